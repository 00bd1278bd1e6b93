#include "core/content/manifest.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/content/bencode.h"
#include "core/content/sha256.h"

namespace p2p::content {
namespace {

using Components = std::vector<absl::string_view>;

void AppendFileEntry(const LayoutFile& file, const Hash256& root, std::string* out) {
  absl::StrAppend(out, "d0:d");
  if (file.executable) absl::StrAppend(out, "4:attr1:x");
  absl::StrAppend(out, "6:length");
  BencodeInteger(static_cast<int64_t>(file.length.value()), out);
  if (file.length.value() > 0) {
    absl::StrAppend(out, "11:pieces root");
    BencodeString(root.AsView(), out);
  }
  absl::StrAppend(out, "ee");
}

// The nested dictionaries of "file tree", from paths that are sorted already.
void AppendFileTree(const Layout& layout, absl::Span<const Hash256> roots, std::string* out) {
  Components open;  // the directories around the current position
  *out += 'd';
  for (size_t i = 0; i < roots.size(); ++i) {
    const LayoutFile& file = layout.files()[i];
    const Components path = absl::StrSplit(file.path, '/');
    const size_t directories = path.size() - 1;
    size_t common = 0;
    while (common < std::min(open.size(), directories) && open[common] == path[common]) ++common;
    out->append(open.size() - common, 'e');
    open.resize(common);
    for (; open.size() < directories; open.push_back(path[open.size()])) {
      BencodeString(path[open.size()], out);
      *out += 'd';
    }
    BencodeString(path.back(), out);
    AppendFileEntry(file, roots[i], out);
  }
  out->append(open.size() + 1, 'e');
}

std::string EncodeInfo(const Layout& layout, absl::Span<const Hash256> roots) {
  std::string info = "d9:file tree";
  AppendFileTree(layout, roots, &info);
  absl::StrAppend(&info, "12:meta version");
  BencodeInteger(2, &info);
  absl::StrAppend(&info, "4:name");
  BencodeString(layout.name(), &info);
  absl::StrAppend(&info, "12:piece length");
  BencodeInteger(limits::kChunkBytes, &info);
  info += 'e';
  return info;
}

}  // namespace

absl::StatusOr<Manifest> Manifest::Make(Layout layout, std::vector<Hash256> roots) {
  if (roots.size() != layout.files().size()) {
    return absl::InvalidArgumentError("a manifest needs one root for each file");
  }
  for (size_t i = 0; i < roots.size(); ++i) {
    if (layout.files()[i].length.value() == 0) roots[i] = Hash256();
  }
  Manifest manifest;
  manifest.info_ = EncodeInfo(layout, roots);
  if (manifest.info_.size() > limits::kMaxManifestBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the share has too many files: its manifest is larger than ",
                     limits::kMaxManifestBytes >> 20, " MiB; pack the files into an archive"));
  }
  manifest.content_id_ = ContentId{Sha256(manifest.info_)};
  manifest.layout_ = std::move(layout);
  manifest.roots_ = std::move(roots);
  return manifest;
}

void SortFiles(std::vector<LayoutFile>* files) {
  std::sort(files->begin(), files->end(),
            [](const LayoutFile& a, const LayoutFile& b) { return PathLess(a.path, b.path); });
}

}  // namespace p2p::content

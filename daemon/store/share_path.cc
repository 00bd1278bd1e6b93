#include "daemon/store/share_path.h"

#include <algorithm>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/text.h"
#include "core/content/sha256.h"

namespace p2p::store {
namespace {

constexpr absl::string_view kPartSuffix = ".part";
// Hexadecimal digits that stand for what was cut from a long name.
constexpr size_t kCutMarkDigits = 16;

}  // namespace

absl::StatusOr<SplitPath> SplitUserPath(absl::string_view path) {
  if (path.empty() || path.front() != '/') {
    return absl::InvalidArgumentError(absl::StrCat("not an absolute path: ", Printable(path)));
  }
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  const absl::string_view name = path.substr(slash + 1);
  if (name.empty() || name == "." || name == ".." || name.find('\0') != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the path has no name at its end: ", Printable(path), "; give a file or a directory"));
  }
  return SplitPath{std::string(slash == 0 ? "/" : path.substr(0, slash)), std::string(name)};
}

std::string PartName(absl::string_view name) {
  const size_t longest = limits::kMaxComponentBytes - kPartSuffix.size();
  if (name.size() <= longest) return absl::StrCat(name, kPartSuffix);
  const std::string mark = content::Sha256(name).Hex().substr(0, kCutMarkDigits);
  size_t keep = longest - mark.size() - 1;
  // Not within a UTF-8 sequence.
  while (keep > 0 && (static_cast<uint8_t>(name[keep]) & 0xc0) == 0x80) --keep;
  return absl::StrCat(name.substr(0, keep), "~", mark, kPartSuffix);
}

std::string DiskName(absl::string_view base, const content::Layout& layout, FileIndex file) {
  if (!layout.is_directory()) return std::string(base);
  return absl::StrCat(base, "/", layout.file(file).path);
}

std::vector<std::string> DiskDirectories(absl::string_view base, const content::Layout& layout) {
  if (!layout.is_directory()) return {};
  std::set<std::string> found;
  for (const content::LayoutFile& file : layout.files()) {
    absl::string_view path = file.path;
    for (size_t slash = path.rfind('/'); slash != absl::string_view::npos;
         slash = path.rfind('/')) {
      path = path.substr(0, slash);
      if (!found.insert(absl::StrCat(base, "/", path)).second) break;
    }
  }
  found.emplace(base);
  // A directory sorts before everything in it, so the reverse order has the deepest first.
  return {found.rbegin(), found.rend()};
}

}  // namespace p2p::store

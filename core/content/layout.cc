#include "core/content/layout.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/names.h"
#include "core/base/status.h"
#include "core/base/text.h"

namespace p2p::content {
namespace {

// Chunk numbers, and byte offsets made of them, cannot overflow.
static_assert(limits::kMaxFileBytes / limits::kChunkBytes + limits::kMaxFiles < (uint64_t{1} << 32),
              "the chunks of the largest share fit a ChunkIndex");

absl::Status CheckPath(absl::string_view path, size_t name_bytes) {
  P2P_RETURN_IF_ERROR(CheckName(path));
  if (name_bytes + 1 + path.size() > limits::kMaxNameBytes) {
    return absl::InvalidArgumentError("the path with the share's name is longer than 1024 bytes");
  }
  if (std::count(path.begin(), path.end(), '/') >= limits::kMaxPathDepth) {
    return absl::InvalidArgumentError(
        absl::StrCat("the path has more than ", limits::kMaxPathDepth, " components"));
  }
  return absl::OkStatus();
}

// `path` directly follows `previous` in the list of files.
absl::Status CheckOrder(absl::string_view previous, absl::string_view path) {
  if (path == previous) return absl::InvalidArgumentError("the path is there twice");
  if (PathLess(path, previous)) return absl::InvalidArgumentError("the files are not sorted");
  if (absl::StartsWith(path, previous) && path[previous.size()] == '/') {
    return absl::InvalidArgumentError("a part of the path is both a file and a directory");
  }
  return absl::OkStatus();
}

absl::Status CheckShape(absl::string_view name, bool is_directory,
                        absl::Span<const LayoutFile> files) {
  P2P_RETURN_IF_ERROR(CheckNameComponent(name));
  if (files.empty()) return absl::InvalidArgumentError("a share needs at least one file");
  if (files.size() > limits::kMaxFiles) {
    return absl::InvalidArgumentError(absl::StrCat("a share has at most ", limits::kMaxFiles,
                                                   " files; pack them into an archive"));
  }
  const bool one_of_that_name = files.size() == 1 && files.front().path == name;
  if (!is_directory && !one_of_that_name) {
    return absl::InvalidArgumentError("a single-file share is one file of the share's name");
  }
  if (is_directory && one_of_that_name) {
    return absl::InvalidArgumentError(
        "a directory with nothing but a file of the directory's own name cannot be told from that "
        "file; share the file itself, or give the share another name");
  }
  return absl::OkStatus();
}

absl::Status CheckPaths(absl::string_view name, absl::Span<const LayoutFile> files) {
  size_t path_bytes = 0;
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string& path = files[i].path;
    absl::Status status = CheckPath(path, name.size());
    if (status.ok() && i > 0) status = CheckOrder(files[i - 1].path, path);
    if (!status.ok()) return Annotate(status, absl::StrCat("file '", Printable(path), "'"));
    path_bytes += path.size();
  }
  if (path_bytes > limits::kMaxPathBytes) {
    return absl::InvalidArgumentError(
        "the paths of the files are too long together; pack them into an archive");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Layout> Layout::Make(std::string name, bool is_directory,
                                    std::vector<LayoutFile> files) {
  P2P_RETURN_IF_ERROR(CheckShape(name, is_directory, files));
  if (is_directory) P2P_RETURN_IF_ERROR(CheckPaths(name, files));

  Layout layout;
  uint64_t total = 0;
  for (LayoutFile& file : files) {
    // Both are at most 2^50 here, so the sum cannot overflow.
    if (file.length.value() > limits::kMaxFileBytes ||
        (total += file.length.value()) > limits::kMaxFileBytes) {
      return absl::InvalidArgumentError(absl::StrCat("a share has at most ",
                                                     HumanBytes(limits::kMaxFileBytes),
                                                     "; share its parts one by one"));
    }
    file.first_chunk = ChunkIndex(layout.chunk_count_);
    file.chunk_count = ChunkCountOf(file.length);
    layout.chunk_count_ += file.chunk_count;
  }
  layout.name_ = std::move(name);
  layout.is_directory_ = is_directory;
  layout.files_ = std::move(files);
  layout.total_bytes_ = ByteCount(total);
  return layout;
}

ChunkPlace Layout::Locate(ChunkIndex chunk) const {
  // The last file that begins at or before the chunk; empty files at the same number come before
  // it.
  const auto after =
      std::upper_bound(files_.begin(), files_.end(), chunk,
                       [](ChunkIndex c, const LayoutFile& f) { return c < f.first_chunk; });
  const LayoutFile& file = *(after - 1);
  ChunkPlace place;
  place.file = FileIndex(static_cast<uint32_t>(after - 1 - files_.begin()));
  place.offset =
      ByteCount(uint64_t{chunk.value() - file.first_chunk.value()} * limits::kChunkBytes);
  place.length = static_cast<uint32_t>(
      std::min<uint64_t>(limits::kChunkBytes, (file.length - place.offset).value()));
  return place;
}

ByteCount Layout::RunBytes(ChunkIndex first, uint32_t count) const {
  uint64_t bytes = 0;
  const uint64_t end = uint64_t{first.value()} + count;
  for (uint64_t chunk = first.value(); chunk < end;) {
    const LayoutFile& in = file(Locate(ChunkIndex(static_cast<uint32_t>(chunk))).file);
    const uint64_t file_end = uint64_t{in.first_chunk.value()} + in.chunk_count;
    const uint64_t stop = std::min(end, file_end);
    const uint64_t from = (chunk - in.first_chunk.value()) * limits::kChunkBytes;
    const uint64_t to = (stop - in.first_chunk.value()) * limits::kChunkBytes;
    bytes += std::min(to, in.length.value()) - from;
    chunk = stop;
  }
  return ByteCount(bytes);
}

uint32_t Layout::PartLength(const ChunkPart& part) const {
  const uint32_t length = ChunkLength(part.chunk);
  if (part.whole()) return length;
  const uint32_t before = std::min(part.first_leaf * limits::kLeafBytes, length);
  return std::min(part.leaf_count * limits::kLeafBytes, length - before);
}

absl::optional<FileIndex> Layout::Find(absl::string_view path) const {
  const auto it = std::lower_bound(
      files_.begin(), files_.end(), path,
      [](const LayoutFile& f, absl::string_view p) { return PathLess(f.path, p); });
  if (it == files_.end() || it->path != path) return absl::nullopt;
  return FileIndex(static_cast<uint32_t>(it - files_.begin()));
}

bool PathLess(absl::string_view a, absl::string_view b) {
  // Names hold no byte below a space, so a '/' that counts as zero ends a component before all
  // else.
  const auto rank = [](char c) { return c == '/' ? uint8_t{0} : static_cast<uint8_t>(c); };
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                      [&](char x, char y) { return rank(x) < rank(y); });
}

uint32_t ChunkCountOf(ByteCount length) {
  return static_cast<uint32_t>((length.value() + limits::kChunkBytes - 1) / limits::kChunkBytes);
}

}  // namespace p2p::content

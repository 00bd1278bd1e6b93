// The shape of a share: its files and how they divide into chunks. Immutable value; any thread.
//
// A chunk never spans two files; a file's last chunk is shorter; an empty file has no chunk. Chunks
// are counted over all files in order, as BEP 52 counts pieces.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "core/base/chunk_part.h"
#include "core/base/ids.h"

namespace p2p::content {

struct LayoutFile {
  std::string
      path;  // components divided by '/', below the share's name; the name itself for a single file
  ByteCount length;
  bool executable = false;
  ChunkIndex first_chunk;    // filled in by Layout::Make
  uint32_t chunk_count = 0;  // filled in by Layout::Make
};

// Where a chunk lies.
struct ChunkPlace {
  FileIndex file;
  ByteCount offset;
  uint32_t length = 0;
};

class Layout {
 public:
  Layout() = default;
  // `files` in the order in which their chunks are counted, which is that of PathLess. Checks names
  // (core/base/names.h), sizes, order, that no path is there twice or both a file and a directory,
  // and the limits of limits.h. A single-file share has exactly one file whose path is `name`.
  //
  // A directory that holds nothing but one file of the directory's own name is refused: BEP 52
  // writes it exactly as that single file.
  static absl::StatusOr<Layout> Make(std::string name, bool is_directory,
                                     std::vector<LayoutFile> files);

  const std::string& name() const { return name_; }
  bool is_directory() const { return is_directory_; }
  const std::vector<LayoutFile>& files() const { return files_; }
  const LayoutFile& file(FileIndex index) const { return files_[index.value()]; }
  uint32_t chunk_count() const { return chunk_count_; }
  ByteCount total_bytes() const { return total_bytes_; }

  // `chunk` must be below chunk_count().
  ChunkPlace Locate(ChunkIndex chunk) const;
  uint32_t ChunkLength(ChunkIndex chunk) const { return Locate(chunk).length; }
  // Of `count` chunks from `first` on, all of which are there. Costs time for each file that they
  // belong to, not for each chunk.
  ByteCount RunBytes(ChunkIndex first, uint32_t count) const;
  // Bytes of the part; it begins at its first leaf. 0 for leaves beyond the chunk's end.
  uint32_t PartLength(const ChunkPart& part) const;
  // The file with that path, if there is one.
  absl::optional<FileIndex> Find(absl::string_view path) const;

 private:
  std::string name_;
  bool is_directory_ = false;
  std::vector<LayoutFile> files_;
  uint32_t chunk_count_ = 0;
  ByteCount total_bytes_;
};

// The order of a bencoded file tree: bytewise, component by component ("a/z" before "a.b").
bool PathLess(absl::string_view a, absl::string_view b);

// The chunks of a file of `length` bytes, which must be at most limits::kMaxFileBytes.
uint32_t ChunkCountOf(ByteCount length);

}  // namespace p2p::content

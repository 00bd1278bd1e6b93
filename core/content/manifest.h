// The manifest: BEP 52's v2 info dictionary of a share, and the chunk hashes beside it. Immutable
// values (ChunkHashes grows; its owner guards it). Pure.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "core/base/ids.h"
#include "core/content/layout.h"
#include "core/content/merkle.h"

namespace p2p::content {

class Manifest {
 public:
  // The manifest of files whose roots are known. `roots[i]` belongs to file i; ignored for empty
  // files. Files must come in manifest order (bytewise by path component, as a bencoded file tree
  // sorts them).
  static absl::StatusOr<Manifest> Make(Layout layout, std::vector<Hash256> roots);

  // Parses a bencoded info dictionary as BEP 52 and limits.h allow: canonical bencoding, "meta
  // version" 2, "piece length" 524,288, legal names, no two entries of one path, no symbolic links
  // or pad files. Unknown keys are kept (they are part of the content id). Never allocates more
  // than a small multiple of the input.
  static absl::StatusOr<Manifest> Parse(std::string info);

  const Layout& layout() const { return layout_; }
  const std::string& info() const { return info_; }  // the bencoded dictionary
  ContentId content_id() const { return content_id_; }
  // The file's pieces root; all zero for an empty file.
  const Hash256& root(FileIndex file) const { return roots_[file.value()]; }

 private:
  Layout layout_;
  std::string info_;
  ContentId content_id_;
  std::vector<Hash256> roots_;
};

// Sorts files into manifest order (PathLess).
void SortFiles(std::vector<LayoutFile>* files);

// The hashes of a share's chunks, as far as they are known and proven.
class ChunkHashes {
 public:
  ChunkHashes() = default;
  // Files of one chunk are known from the manifest at once.
  explicit ChunkHashes(std::shared_ptr<const Manifest> manifest);

  bool Knows(ChunkIndex chunk) const;
  // `chunk` must be known.
  const Hash256& Get(ChunkIndex chunk) const;
  // The chunks that are known, as runs in order, where all of a file's are known or some of its
  // runs: costs time for each file and each run that was proven, not for each chunk.
  std::vector<std::pair<ChunkIndex, uint32_t>> KnownRuns() const;
  // All known: the share can be downloaded to the end.
  bool Complete() const { return unknown_ == 0; }

  // Adds a run after it was verified against the manifest. InvalidArgument when it does not prove.
  absl::Status Add(FileIndex file, const HashRange& range);
  // For serving: the run of `file` that starts at `first`. NotFound when it is not known;
  // InvalidArgument when no run of the file starts there.
  absl::StatusOr<HashRange> Range(FileIndex file, uint32_t first) const;
  // The runs still to be asked for, as (file, first chunk of the file), at most `most` of them.
  struct Wanted {
    FileIndex file;
    uint32_t first;
  };
  std::vector<Wanted> Missing(size_t most) const;

  // All hashes of files with more than one chunk, concatenated in chunk order (32 bytes each): for
  // the catalog. Requires Complete().
  std::string Encode() const;
  // The reverse; InvalidArgument when the bytes do not prove against the manifest.
  static absl::StatusOr<ChunkHashes> Decode(std::shared_ptr<const Manifest> manifest,
                                            absl::string_view bytes);

 private:
  // The first chunk of the run that `chunk`, of a file with more than one chunk, belongs to.
  ChunkIndex RunOf(const LayoutFile& file, ChunkIndex chunk) const;
  // `range` was proven.
  void Keep(const LayoutFile& file, HashRange range);
  // Moves on to the first run at or after the cursor that is not known.
  void AdvanceCursor();

  std::shared_ptr<const Manifest> manifest_;
  // Proven runs of files with more than one chunk, with their proofs, by the run's first chunk.
  // Memory grows with what was proven, never with the sizes that a manifest states.
  absl::flat_hash_map<ChunkIndex, HashRange> runs_;
  uint32_t unknown_ = 0;  // chunks
  // Every run before it is known.
  uint32_t cursor_file_ = 0;
  uint32_t cursor_first_ = 0;
};

}  // namespace p2p::content

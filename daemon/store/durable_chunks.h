// What may be claimed: chunks of an unfinished download that are on the disk for good, and what its
// files are known by. The catalog takes nothing else, and there is no other way to one than a sync
// that went well (WriteLedger), or the catalog that was given one. Data comes before its claim.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/optional.h"
#include "core/base/chunk_set.h"
#include "core/base/ids.h"
#include "core/content/layout.h"
#include "daemon/store/file_system.h"

namespace p2p::store {

class DurableChunks {
 public:
  DurableChunks() = default;
  static DurableChunks None(uint32_t chunk_count) { return DurableChunks(ChunkSet(chunk_count)); }

  const ChunkSet& chunks() const { return chunks_; }
  bool empty() const { return chunks_.size() == 0; }
  // Files that are another than when this was last asked, and what each is now.
  const std::vector<std::pair<FileIndex, FileIdentity>>& files() const { return files_; }

  // Of all of them; counted once after each change. `layout` is that of the content, always the
  // same one.
  uint64_t Bytes(const content::Layout& layout) const {
    if (bytes_.has_value()) return *bytes_;
    bytes_ = 0;
    for (uint32_t at = chunks_.NextMember(0); at < chunks_.size();) {
      const uint32_t gap = chunks_.NextGap(at);
      *bytes_ += layout.RunBytes(ChunkIndex(at), gap - at).value();
      at = chunks_.NextMember(gap);
    }
    return *bytes_;
  }

  void Remove(const ChunkSet& lost) {
    chunks_.Remove(lost);
    bytes_.reset();
  }
  // For so many chunks: the catalog does not know how many there are.
  void Fit(uint32_t chunk_count) {
    ChunkSet fitting(chunk_count);
    for (uint32_t at = chunks_.NextMember(0); at < chunks_.size();) {
      const uint32_t gap = chunks_.NextGap(at);
      fitting.AddRun(ChunkIndex(at), gap - at);
      at = chunks_.NextMember(gap);
    }
    chunks_ = std::move(fitting);
    bytes_.reset();
  }

 private:
  friend class CatalogTables;
  friend class WriteLedger;
  explicit DurableChunks(ChunkSet chunks) : chunks_(std::move(chunks)) {}

  ChunkSet chunks_;
  mutable absl::optional<uint64_t> bytes_;
  std::vector<std::pair<FileIndex, FileIdentity>> files_;
};

// What the catalog says of an unfinished download, and what of it has to be looked at again.
struct PartClaim {
  DurableChunks have;
  std::vector<FileIdentity> files;  // by FileIndex, as they were then; a missing one is not known
  // False: they may have been written to since, so that their times tell nothing.
  bool times_tell = true;
  // Out: chunks of `have` whose files are not the ones that were claimed, or were changed since.
  ChunkSet doubtful;
};

}  // namespace p2p::store

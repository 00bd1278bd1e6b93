// The Merkle trees, as far as they are known, of those chunks of one content that are passed on in
// parts. Belongs to the engine loop.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "core/base/chunk_part.h"
#include "core/base/ids.h"
#include "core/content/chunk_tree.h"

namespace p2p::engine {

class ChunkTrees {
 public:
  // What was verified: `tree` knows the part.
  void Learn(const ChunkPart& part, const Hash256& range_root, absl::Span<const Hash256> proof,
             const content::ChunkTree& tree);
  // All of a chunk's tree.
  void Put(ChunkIndex chunk, const content::ChunkTree& tree);
  void Forget(ChunkIndex chunk) { trees_.erase(chunk); }

  // What proves the part; nothing when that is not known.
  absl::StatusOr<std::vector<Hash256>> Proof(const ChunkPart& part) const;
  // What proves parts that are too small to be remembered, with the bytes around them: a tree that
  // knows their group.
  absl::optional<content::ChunkTree> TreeAround(const ChunkPart& part) const;

 private:
  // Two megabytes. More are made again from the chunk's bytes when they are needed.
  static constexpr size_t kMostTrees = 4'096;
  void MakeRoom();

  absl::flat_hash_map<ChunkIndex, content::ChunkTree> trees_;
};

}  // namespace p2p::engine

#include "daemon/engine/chunk_trees.h"

#include "absl/status/status.h"

namespace p2p::engine {

void ChunkTrees::MakeRoom() {
  if (trees_.size() >= kMostTrees) trees_.erase(trees_.begin());
}

void ChunkTrees::Learn(const ChunkPart& part, const Hash256& range_root,
                       absl::Span<const Hash256> proof, const content::ChunkTree& tree) {
  const auto known = trees_.find(part.chunk);
  if (known == trees_.end()) return Put(part.chunk, tree);
  (void)known->second.Add(part.first_leaf, part.leaf_count, range_root, proof);
}

void ChunkTrees::Put(ChunkIndex chunk, const content::ChunkTree& tree) {
  MakeRoom();
  trees_.insert_or_assign(chunk, tree);
}

absl::StatusOr<std::vector<Hash256>> ChunkTrees::Proof(const ChunkPart& part) const {
  const auto tree = trees_.find(part.chunk);
  if (tree == trees_.end()) return absl::NotFoundError("no tree of this chunk");
  return tree->second.Proof(part.first_leaf, part.leaf_count);
}

absl::optional<content::ChunkTree> ChunkTrees::TreeAround(const ChunkPart& part) const {
  const auto tree = trees_.find(part.chunk);
  if (tree == trees_.end()) return absl::nullopt;
  const content::ChunkTree::Leaves group = tree->second.GroupOf(part.first_leaf);
  if (part.leaf_count >= group.count || !tree->second.Knows(group)) return absl::nullopt;
  return tree->second;
}

}  // namespace p2p::engine

#include "core/content/chunk_tree.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "core/base/status.h"
#include "core/content/merkle.h"
#include "core/content/sha256.h"

namespace p2p::content {
namespace {

// Levels below the root of the widest tree.
constexpr size_t kMaxProofLength = 5;
static_assert(1 << kMaxProofLength == limits::kLeavesPerChunk, "one hash for each level");

using LeafHashes = std::array<Hash256, limits::kLeavesPerChunk>;

bool IsPowerOfTwo(uint32_t n) { return n != 0 && (n & (n - 1)) == 0; }

uint32_t LeavesOf(size_t bytes) {
  return static_cast<uint32_t>((bytes + limits::kLeafBytes - 1) / limits::kLeafBytes);
}

}  // namespace

bool IsProvableRange(uint32_t first_leaf, uint32_t leaf_count, uint32_t width) {
  return IsPowerOfTwo(leaf_count) && leaf_count < width && first_leaf % leaf_count == 0 &&
         first_leaf < width;
}

ChunkTree::ChunkTree(const Hash256& chunk_hash, uint32_t chunk_length, ByteCount file_bytes)
    : width_(TreeWidth(LeavesOf(chunk_length), file_bytes)),
      leaf_count_(LeavesOf(chunk_length)),
      chunk_length_(chunk_length) {
  assert(chunk_length > 0 && chunk_length <= limits::kChunkBytes);
  nodes_[0] = chunk_hash;
  known_ = 1 << 1;
  if (leaf_count_ == width_) return;
  for (uint32_t node = 2; IsKept(node); ++node) {
    if (IsPadding(node)) Keep(node, PaddingRoot(HeightOf(node)));
  }
}

Hash256 ChunkTree::RangeRoot(absl::Span<const uint8_t> bytes, uint32_t leaf_count) {
  assert(IsPowerOfTwo(leaf_count) && leaf_count <= limits::kLeavesPerChunk);
  assert(LeavesOf(bytes.size()) <= leaf_count);
  // Hashes of missing leaves are zero (BEP 52), as the array begins.
  LeafHashes nodes;
  HashLeaves(bytes, nodes.data());
  for (; leaf_count > 1; leaf_count /= 2) HashPairs(nodes.data(), leaf_count / 2, nodes.data());
  return nodes.front();
}

absl::Status ChunkTree::CheckRange(uint32_t first_leaf, uint32_t leaf_count) const {
  if (!IsProvableRange(first_leaf, leaf_count, width_)) {
    return absl::InvalidArgumentError("the range of leaves is not one that can be proven");
  }
  if (first_leaf >= leaf_count_) {
    return absl::InvalidArgumentError("the range of leaves lies beyond the end of the chunk");
  }
  return absl::OkStatus();
}

uint32_t ChunkTree::NodeOf(uint32_t first_leaf, uint32_t leaf_count) const {
  return (width_ + first_leaf) / leaf_count;
}

int ChunkTree::HeightOf(uint32_t node) const {
  int height = 0;
  for (uint32_t first_of_row = width_; node < first_of_row; first_of_row /= 2) ++height;
  return height;
}

bool ChunkTree::IsPadding(uint32_t node) const {
  const uint32_t first_leaf = (node << HeightOf(node)) - width_;
  return first_leaf >= leaf_count_;
}

bool ChunkTree::IsKept(uint32_t node) const {
  // The root of a narrow tree is kept too: it is given.
  return node == 1 || node < 2 * width_ / kGranularityLeaves;
}

void ChunkTree::Keep(uint32_t node, const Hash256& hash) {
  if (!IsKept(node)) return;
  nodes_[node - 1] = hash;
  known_ |= uint32_t{1} << node;
}

absl::Status ChunkTree::Add(uint32_t first_leaf, uint32_t leaf_count, const Hash256& range_root,
                            absl::Span<const Hash256> proof) {
  P2P_RETURN_IF_ERROR(CheckRange(first_leaf, leaf_count));
  const uint32_t lowest = NodeOf(first_leaf, leaf_count);
  if (proof.size() > kMaxProofLength || (lowest >> proof.size()) != 1) {
    return absl::InvalidArgumentError("the proof of the leaves has a wrong length");
  }
  std::array<Hash256, kMaxProofLength + 1> path;
  path[0] = range_root;
  for (size_t i = 0; i < proof.size(); ++i) {
    const uint32_t sibling = (lowest >> i) ^ 1;
    if (IsPadding(sibling) && proof[i] != PaddingRoot(HeightOf(sibling))) {
      return absl::InvalidArgumentError("the proof of the leaves has wrong padding");
    }
    Hash256 pair[2] = {path[i], proof[i]};
    if ((lowest >> i) % 2 != 0) std::swap(pair[0], pair[1]);
    HashPairs(pair, 1, &path[i + 1]);
  }
  if (path[proof.size()] != nodes_[0]) {
    return absl::InvalidArgumentError("the leaves do not lead to the chunk's hash");
  }
  for (size_t i = 0; i < proof.size(); ++i) {
    Keep(lowest >> i, path[i]);
    Keep((lowest >> i) ^ 1, proof[i]);
  }
  return absl::OkStatus();
}

absl::Status ChunkTree::AddAll(absl::Span<const uint8_t> chunk) {
  if (chunk.size() != chunk_length_) {
    return absl::InvalidArgumentError("the chunk has a wrong length");
  }
  ChunkTree all = *this;
  LeafHashes level;
  HashLeaves(chunk, level.data());
  for (uint32_t count = width_; count > 1; count /= 2) {
    // On this level are the nodes `count` to 2 * `count` - 1.
    for (uint32_t i = 0; i < count; ++i) all.Keep(count + i, level[i]);
    HashPairs(level.data(), count / 2, level.data());
  }
  if (level.front() != nodes_[0]) {
    return absl::InvalidArgumentError("the chunk does not have its hash");
  }
  *this = all;
  return absl::OkStatus();
}

ChunkTree::Leaves ChunkTree::GroupOf(uint32_t first_leaf) const {
  const uint32_t count = std::min(kGranularityLeaves, width_);
  return {first_leaf / count * count, count};
}

bool ChunkTree::Knows(const Leaves& group) const {
  const uint32_t node = NodeOf(group.first, group.count);
  return Knows(node) && (node == 1 || Proof(group.first, group.count).ok());
}

absl::StatusOr<std::vector<Hash256>> ChunkTree::ProofWithin(uint32_t first_leaf,
                                                            uint32_t leaf_count,
                                                            absl::Span<const uint8_t> group) const {
  P2P_RETURN_IF_ERROR(CheckRange(first_leaf, leaf_count));
  const Leaves around = GroupOf(first_leaf);
  if (leaf_count >= around.count || LeavesOf(group.size()) > around.count) {
    return absl::InvalidArgumentError("the range of leaves is not within that group");
  }
  LeafHashes level;
  HashLeaves(group, level.data());
  std::vector<Hash256> proof;
  uint32_t index = first_leaf - around.first;  // in the level, of the node above the range
  uint32_t below = 1;                          // leaves below each node of the level
  for (uint32_t count = around.count; count > 1; count /= 2) {
    if (below >= leaf_count) proof.push_back(level[index ^ 1]);
    HashPairs(level.data(), count / 2, level.data());
    index /= 2;
    below *= 2;
  }
  if (!Knows(around)) return absl::NotFoundError("the proof of these leaves is not known");
  const uint32_t node = NodeOf(around.first, around.count);
  if (nodes_[node - 1] != level.front()) {
    return absl::FailedPreconditionError("the leaves do not have their hash");
  }
  if (node == 1) return proof;
  P2P_ASSIGN_OR_RETURN(const auto above, Proof(around.first, around.count));
  proof.insert(proof.end(), above.begin(), above.end());
  return proof;
}

absl::StatusOr<std::vector<Hash256>> ChunkTree::Proof(uint32_t first_leaf,
                                                      uint32_t leaf_count) const {
  P2P_RETURN_IF_ERROR(CheckRange(first_leaf, leaf_count));
  std::vector<Hash256> proof;
  for (uint32_t node = NodeOf(first_leaf, leaf_count); node > 1; node /= 2) {
    const uint32_t sibling = node ^ 1;
    if (!Knows(sibling)) return absl::NotFoundError("the proof of these leaves is not known");
    proof.push_back(nodes_[sibling - 1]);
  }
  return proof;
}

}  // namespace p2p::content

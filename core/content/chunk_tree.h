// What is known of the Merkle tree of one chunk, between its hash and its leaves: lets parts of a
// chunk be verified, and be proven to others, before the chunk is whole. Plain value of about half
// a kibibyte; one thread at a time.
//
// Every node in it was proven by the chunk hash, or stands over missing leaves alone and is known
// without a proof. Ranges are of leaves (16 KiB), counted within the chunk.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/base/ids.h"
#include "core/base/limits.h"

namespace p2p::content {

// Whether a range of leaves stands below one node of a tree of `width` leaves (a power of two), and
// not below the root: a power of two of leaves, aligned to itself, less than the whole.
bool IsProvableRange(uint32_t first_leaf, uint32_t leaf_count, uint32_t width);

class ChunkTree {
 public:
  // Leaves below the lowest nodes that are remembered. Smaller ranges can be verified, but not be
  // proven to others: remembering them would take four times the memory.
  static constexpr uint32_t kGranularityLeaves = 4;

  // Of a chunk of `chunk_length` bytes (1 to limits::kChunkBytes), in a file of `file_bytes` bytes;
  // `chunk_hash` as ChunkHash gives it.
  ChunkTree(const Hash256& chunk_hash, uint32_t chunk_length, ByteCount file_bytes);

  // The node above the leaves of `bytes`: at most `leaf_count` leaves, a power of two up to
  // limits::kLeavesPerChunk. Missing leaves are zero.
  static Hash256 RangeRoot(absl::Span<const uint8_t> bytes, uint32_t leaf_count);

  // OK when `range_root` and the proof (siblings from the range up to below the chunk hash, lowest
  // first) lead to the chunk hash; then the nodes on the way are remembered. InvalidArgument, and
  // nothing remembered, when they do not, when a sibling that stands over missing leaves alone is
  // not their padding, when the proof has another length than log2(width() / leaf_count), or when
  // the range is not provable or lies beyond the chunk's end. So a chunk of which every range was
  // added has its ChunkHash.
  absl::Status Add(uint32_t first_leaf, uint32_t leaf_count, const Hash256& range_root,
                   absl::Span<const Hash256> proof);
  // Learns all that can be remembered from the bytes of the whole chunk. InvalidArgument when they
  // have another length or hash.
  absl::Status AddAll(absl::Span<const uint8_t> chunk);

  // What proves the range to somebody else. NotFound when a part of it is not known, as always for
  // less than kGranularityLeaves leaves; InvalidArgument when the range is not provable or lies
  // beyond the chunk's end.
  absl::StatusOr<std::vector<Hash256>> Proof(uint32_t first_leaf, uint32_t leaf_count) const;

  // For what is smaller: the range around it whose bytes ProofWithin needs.
  struct Leaves {
    uint32_t first;
    uint32_t count;
  };
  Leaves GroupOf(uint32_t first_leaf) const;
  // Whether the group is known, and what proves it.
  bool Knows(const Leaves& group) const;
  // The same as Proof, of a range within that group. FailedPrecondition: these are not its bytes.
  absl::StatusOr<std::vector<Hash256>> ProofWithin(uint32_t first_leaf, uint32_t leaf_count,
                                                   absl::Span<const uint8_t> group) const;

  // Leaves of the tree with its padding: the next power of two of leaf_count() in a file of one
  // chunk, limits::kLeavesPerChunk in a longer one.
  uint32_t width() const { return width_; }
  // Leaves that exist.
  uint32_t leaf_count() const { return leaf_count_; }

 private:
  // Nodes are numbered as in a heap: the root is 1, below n are 2n and 2n + 1.
  static constexpr uint32_t kMostNodes = 2 * limits::kLeavesPerChunk / kGranularityLeaves - 1;

  absl::Status CheckRange(uint32_t first_leaf, uint32_t leaf_count) const;
  // The number of the node above a range.
  uint32_t NodeOf(uint32_t first_leaf, uint32_t leaf_count) const;
  // Layers of the tree below the node.
  int HeightOf(uint32_t node) const;
  // Whether no leaf that exists is below the node.
  bool IsPadding(uint32_t node) const;
  // Whether enough leaves are below the node for it to be remembered.
  bool IsKept(uint32_t node) const;
  bool Knows(uint32_t node) const { return IsKept(node) && ((known_ >> node) & 1) != 0; }
  // `hash` was proven. Does nothing for nodes that are not kept.
  void Keep(uint32_t node, const Hash256& hash);

  uint32_t width_;
  uint32_t leaf_count_;
  uint32_t chunk_length_;                  // bytes
  uint32_t known_ = 0;                     // a bit for each node
  std::array<Hash256, kMostNodes> nodes_;  // node n at n - 1
};

}  // namespace p2p::content

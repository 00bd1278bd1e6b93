// What is asked for, sent and verified in one piece: a chunk, or some of its leaves. Plain value;
// any thread.
#pragma once

#include <cstdint>
#include <ostream>
#include <utility>

#include "core/base/ids.h"

namespace p2p {

struct ChunkPart {
  ChunkIndex chunk;
  uint32_t first_leaf = 0;
  uint32_t leaf_count = 0;  // 0: the whole chunk

  constexpr ChunkPart() = default;
  // A whole chunk is a part too.
  // NOLINTNEXTLINE(google-explicit-constructor)
  constexpr ChunkPart(ChunkIndex whole_chunk) : chunk(whole_chunk) {}
  constexpr ChunkPart(ChunkIndex of_chunk, uint32_t first, uint32_t count)
      : chunk(of_chunk), first_leaf(first), leaf_count(count) {}

  constexpr bool whole() const { return leaf_count == 0; }

  friend constexpr bool operator==(const ChunkPart& a, const ChunkPart& b) {
    return a.chunk == b.chunk && a.first_leaf == b.first_leaf && a.leaf_count == b.leaf_count;
  }
  friend constexpr bool operator!=(const ChunkPart& a, const ChunkPart& b) { return !(a == b); }
  friend constexpr bool operator<(const ChunkPart& a, const ChunkPart& b) {
    if (a.chunk != b.chunk) return a.chunk < b.chunk;
    if (a.first_leaf != b.first_leaf) return a.first_leaf < b.first_leaf;
    return a.leaf_count < b.leaf_count;
  }
  template <typename H>
  friend H AbslHashValue(H h, const ChunkPart& part) {
    return H::combine(std::move(h), part.chunk, part.first_leaf, part.leaf_count);
  }
  friend std::ostream& operator<<(std::ostream& out, const ChunkPart& part) {
    out << part.chunk;
    if (!part.whole()) out << '[' << part.first_leaf << '+' << part.leaf_count << ']';
    return out;
  }
};

}  // namespace p2p

// How often each part of a content was sent by this process: what was sent least often goes first,
// so that many peers get different things and can pass them on. Shared by all connections of the
// content; thread-safe.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "core/base/chunk_part.h"
#include "core/base/limits.h"

namespace p2p {

class SendTally {
 public:
  explicit SendTally(uint32_t chunk_count) : counts_(size_t{chunk_count} * kSlotsPerChunk) {}

  // Of the slot sent most often; 0 for what is not of this content.
  uint32_t Of(const ChunkPart& part) const {
    uint8_t most = 0;
    ForEachSlot(part, [&](const std::atomic<uint8_t>& slot) {
      most = std::max(most, slot.load(std::memory_order_relaxed));
    });
    return most;
  }
  void Add(const ChunkPart& part) {
    ForEachSlot(part, [](std::atomic<uint8_t>& slot) {
      const uint8_t count = slot.load(std::memory_order_relaxed);
      // Two at once may count as one: it is a hint.
      if (count < kMost) slot.store(count + 1, std::memory_order_relaxed);
    });
  }

 private:
  static constexpr uint32_t kSlotsPerChunk = 8;
  static constexpr uint32_t kLeavesPerSlot = limits::kLeavesPerChunk / kSlotsPerChunk;
  static constexpr uint8_t kMost = 255;

  template <typename Visit>
  void ForEachSlot(const ChunkPart& part, Visit visit) const {
    const size_t begin = size_t{part.chunk.value()} * kSlotsPerChunk;
    if (begin >= counts_.size()) return;
    const uint32_t leaves = part.whole() ? limits::kLeavesPerChunk : part.leaf_count;
    const uint32_t end = std::min(part.first_leaf + leaves, limits::kLeavesPerChunk);
    for (uint32_t leaf = part.first_leaf; leaf < end; leaf += kLeavesPerSlot) {
      visit(counts_[begin + leaf / kLeavesPerSlot]);
    }
  }

  mutable std::vector<std::atomic<uint8_t>> counts_;
};

}  // namespace p2p

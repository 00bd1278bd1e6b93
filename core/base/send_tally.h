// How often each part of a content was sent by this process: what was sent least often goes first,
// so that many peers get different things and can pass them on. Takes memory for the chunks around
// those that were sent. Shared by all connections of the content; thread-safe.
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
  explicit SendTally(uint32_t chunk_count)
      : chunk_count_(chunk_count),
        blocks_((size_t{chunk_count} + kBlockChunks - 1) / kBlockChunks) {}
  ~SendTally() {
    for (const std::atomic<Slot*>& block : blocks_) delete[] block.load(std::memory_order_relaxed);
  }
  SendTally(const SendTally&) = delete;
  SendTally& operator=(const SendTally&) = delete;

  // Of the slot sent most often; 0 for what is not of this content.
  uint32_t Of(const ChunkPart& part) const {
    if (part.chunk.value() >= chunk_count_) return 0;
    const Slot* const block = BlockOf(part).load(std::memory_order_acquire);
    if (block == nullptr) return 0;
    uint8_t most = 0;
    ForEachSlot(part, block, [&](const Slot& slot) {
      most = std::max(most, slot.load(std::memory_order_relaxed));
    });
    return most;
  }
  void Add(const ChunkPart& part) {
    if (part.chunk.value() >= chunk_count_) return;
    ForEachSlot(part, MakeBlockOf(part), [](Slot& slot) {
      const uint8_t count = slot.load(std::memory_order_relaxed);
      // Two at once may count as one: it is a hint.
      if (count < kMost) slot.store(count + 1, std::memory_order_relaxed);
    });
  }

 private:
  using Slot = std::atomic<uint8_t>;
  static constexpr uint32_t kSlotsPerChunk = 8;
  static constexpr uint32_t kLeavesPerSlot = limits::kLeavesPerChunk / kSlotsPerChunk;
  static constexpr uint8_t kMost = 255;
  // 64 KiB of slots; the blocks of 2^31 chunks are 2 MiB of pointers.
  static constexpr uint32_t kBlockChunks = 8'192;

  std::atomic<Slot*>& BlockOf(const ChunkPart& part) const {
    return blocks_[part.chunk.value() / kBlockChunks];
  }
  Slot* MakeBlockOf(const ChunkPart& part) {
    std::atomic<Slot*>& block = BlockOf(part);
    Slot* slots = block.load(std::memory_order_acquire);
    if (slots != nullptr) return slots;
    const uint32_t first = part.chunk.value() / kBlockChunks * kBlockChunks;
    Slot* const fresh =
        new Slot[size_t{std::min(kBlockChunks, chunk_count_ - first)} * kSlotsPerChunk]();
    if (block.compare_exchange_strong(slots, fresh, std::memory_order_acq_rel)) return fresh;
    delete[] fresh;
    return slots;
  }

  template <typename Slots, typename Visit>
  static void ForEachSlot(const ChunkPart& part, Slots* block, Visit visit) {
    const size_t begin = size_t{part.chunk.value() % kBlockChunks} * kSlotsPerChunk;
    const uint32_t leaves = part.whole() ? limits::kLeavesPerChunk : part.leaf_count;
    const uint32_t end = std::min(part.first_leaf + leaves, limits::kLeavesPerChunk);
    for (uint32_t leaf = part.first_leaf; leaf < end; leaf += kLeavesPerSlot) {
      visit(block[begin + leaf / kLeavesPerSlot]);
    }
  }

  const uint32_t chunk_count_;
  mutable std::vector<std::atomic<Slot*>> blocks_;
};

}  // namespace p2p

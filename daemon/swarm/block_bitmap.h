// A set of unit numbers that finds the next member common to two sets quickly: blocks without a
// member are skipped. A plain value; one thread at a time.
#pragma once

#include <cstdint>
#include <vector>

namespace p2p::swarm {

class BlockBitmap {
 public:
  explicit BlockBitmap(uint32_t size);

  uint32_t size() const { return size_; }
  uint32_t count() const { return count_; }
  bool Has(uint32_t i) const { return i < size_ && ((words_[i / 64] >> (i % 64)) & 1) != 0; }
  // Return whether the set changed. `i` must be below size().
  bool Add(uint32_t i);
  bool Remove(uint32_t i);
  void AddAll();

  // The first member at or after `from` that `other` has too (nullptr has everything, else a set of
  // the same size); size() when there is none.
  uint32_t FindCommon(uint32_t from, const BlockBitmap* other) const;

 private:
  // 64 words a block: its count fits 16 bits, and 2 million units have 512 blocks.
  static constexpr uint32_t kBlockWords = 64;
  static constexpr uint32_t kBlockBits = 64 * kBlockWords;

  uint32_t size_;
  uint32_t count_ = 0;
  std::vector<uint64_t> words_;
  std::vector<uint16_t> block_counts_;
};

}  // namespace p2p::swarm

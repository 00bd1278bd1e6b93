#include "daemon/swarm/block_bitmap.h"

#include <algorithm>

namespace p2p::swarm {

BlockBitmap::BlockBitmap(uint32_t size)
    : size_(size),
      words_((uint64_t{size} + 63) / 64, 0),
      block_counts_((uint64_t{size} + kBlockBits - 1) / kBlockBits, 0) {}

bool BlockBitmap::Add(uint32_t i) {
  uint64_t& word = words_[i / 64];
  const uint64_t bit = uint64_t{1} << (i % 64);
  if ((word & bit) != 0) return false;
  word |= bit;
  ++block_counts_[i / kBlockBits];
  ++count_;
  return true;
}

bool BlockBitmap::Remove(uint32_t i) {
  uint64_t& word = words_[i / 64];
  const uint64_t bit = uint64_t{1} << (i % 64);
  if ((word & bit) == 0) return false;
  word &= ~bit;
  --block_counts_[i / kBlockBits];
  --count_;
  return true;
}

void BlockBitmap::AddAll() {
  if (size_ == 0) return;
  std::fill(words_.begin(), words_.end(), ~uint64_t{0});
  if (size_ % 64 != 0) words_.back() = (uint64_t{1} << (size_ % 64)) - 1;
  std::fill(block_counts_.begin(), block_counts_.end(), static_cast<uint16_t>(kBlockBits));
  if (size_ % kBlockBits != 0) block_counts_.back() = static_cast<uint16_t>(size_ % kBlockBits);
  count_ = size_;
}

uint32_t BlockBitmap::FindCommon(uint32_t from, const BlockBitmap* other) const {
  if (from >= size_ || count_ == 0) return size_;
  uint64_t mask = ~uint64_t{0} << (from % 64);
  size_t word = from / 64;
  while (word < words_.size()) {
    const size_t block = word / kBlockWords;
    const size_t block_end = std::min<size_t>((block + 1) * kBlockWords, words_.size());
    if (block_counts_[block] != 0 && (other == nullptr || other->block_counts_[block] != 0)) {
      for (; word < block_end; ++word) {
        uint64_t bits = words_[word] & mask;
        if (other != nullptr) bits &= other->words_[word];
        if (bits != 0) return static_cast<uint32_t>(word * 64 + __builtin_ctzll(bits));
        mask = ~uint64_t{0};
      }
    }
    word = block_end;
    mask = ~uint64_t{0};
  }
  return size_;
}

}  // namespace p2p::swarm

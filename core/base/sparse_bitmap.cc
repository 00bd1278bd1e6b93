#include "core/base/sparse_bitmap.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace p2p {
namespace {

// Of the bits `from` to before `end` of a word.
uint64_t MaskOf(uint32_t from, uint32_t end) {
  const uint64_t above = end >= 64 ? 0 : ~uint64_t{0} << end;
  return (~uint64_t{0} << from) & ~above;
}

}  // namespace

SparseBitmap::SparseBitmap(uint32_t size)
    : size_(size), blocks_((uint64_t{size} + kBlockBits - 1) / kBlockBits) {}

SparseBitmap::SparseBitmap(const SparseBitmap& other)
    : size_(other.size_), count_(other.count_), blocks_(other.blocks_.size()) {
  for (uint32_t i = 0; i < block_count(); ++i) {
    const Block& from = other.blocks_[i];
    blocks_[i].count = from.count;
    if (from.words == nullptr || from.count == 0) continue;
    blocks_[i].words.reset(new uint64_t[WordsIn(i)]);
    std::copy_n(from.words.get(), WordsIn(i), blocks_[i].words.get());
  }
}

SparseBitmap& SparseBitmap::operator=(const SparseBitmap& other) {
  if (this != &other) *this = SparseBitmap(other);
  return *this;
}

uint32_t SparseBitmap::BlockSize(uint32_t block) const {
  return std::min(kBlockBits, size_ - block * kBlockBits);
}

uint64_t* SparseBitmap::Words(uint32_t index) {
  Block& block = blocks_[index];
  if (block.words != nullptr) return block.words.get();
  const size_t words = WordsIn(index);
  block.words.reset(new uint64_t[words]);
  std::fill_n(block.words.get(), words, block.count == 0 ? 0 : ~uint64_t{0});
  const uint32_t tail = BlockSize(index) % 64;
  if (block.count != 0 && tail != 0) block.words[words - 1] = MaskOf(0, tail);
  return block.words.get();
}

// An empty block keeps its words: it often has members again soon.
void SparseBitmap::DropWordsWhenFull(uint32_t index) {
  if (blocks_[index].count == BlockSize(index)) blocks_[index].words.reset();
}

bool SparseBitmap::Add(uint32_t i) {
  if (i >= size_ || Has(i)) return false;
  const uint32_t block = i / kBlockBits;
  Words(block)[i % kBlockBits / 64] |= uint64_t{1} << (i % 64);
  ++blocks_[block].count;
  ++count_;
  DropWordsWhenFull(block);
  return true;
}

bool SparseBitmap::Remove(uint32_t i) {
  if (!Has(i)) return false;
  const uint32_t block = i / kBlockBits;
  Words(block)[i % kBlockBits / 64] &= ~(uint64_t{1} << (i % 64));
  --blocks_[block].count;
  --count_;
  return true;
}

void SparseBitmap::SetInBlock(uint32_t index, uint32_t from, uint32_t end, bool member) {
  Block& block = blocks_[index];
  const uint32_t size = BlockSize(index);
  if (block.count == (member ? size : 0)) return;
  const uint32_t before = block.count;
  if (from == 0 && end == size) {
    block.words.reset();
    block.count = member ? size : 0;
  } else {
    uint64_t* const words = Words(index);
    for (uint32_t at = from; at < end; at = (at / 64 + 1) * 64) {
      const uint64_t mask = MaskOf(at % 64, std::min(end - at / 64 * 64, 64u));
      uint64_t& word = words[at / 64];
      const uint64_t changed = (member ? ~word : word) & mask;
      word ^= changed;
      const auto bits = static_cast<uint32_t>(__builtin_popcountll(changed));
      block.count += member ? bits : -bits;
    }
    DropWordsWhenFull(index);
  }
  count_ += block.count - before;
}

void SparseBitmap::AddRange(uint32_t first, uint32_t end) {
  end = std::min(end, size_);
  for (uint32_t at = first; at < end;) {
    const uint32_t block = at / kBlockBits;
    const uint32_t from = block * kBlockBits;
    const uint32_t stop = std::min(end - from, BlockSize(block));
    SetInBlock(block, at - from, stop, /*member=*/true);
    at = from + stop;
  }
}

void SparseBitmap::RemoveRange(uint32_t first, uint32_t end) {
  end = std::min(end, size_);
  for (uint32_t at = first; at < end;) {
    const uint32_t block = at / kBlockBits;
    const uint32_t from = block * kBlockBits;
    const uint32_t stop = std::min(end - from, BlockSize(block));
    SetInBlock(block, at - from, stop, /*member=*/false);
    at = from + stop;
  }
}

uint32_t SparseBitmap::NextGap(uint32_t from) const {
  while (from < size_) {
    const uint32_t index = from / kBlockBits;
    const uint32_t begin = index * kBlockBits;
    const Block& block = blocks_[index];
    if (block.words == nullptr) {
      if (block.count == 0) return from;
    } else {
      for (uint32_t word = (from - begin) / 64; word < WordsIn(index); ++word) {
        uint64_t gaps = ~block.words[word];
        if (word == (from - begin) / 64) gaps &= MaskOf(from % 64, 64);
        if (gaps == 0) continue;
        const uint32_t gap = begin + 64 * word + static_cast<uint32_t>(__builtin_ctzll(gaps));
        return std::min(gap, size_);
      }
    }
    from = begin + BlockSize(index);
  }
  return size_;
}

uint32_t SparseBitmap::FindCommon(uint32_t from, const SparseBitmap* other) const {
  if (count_ == 0) return size_;
  while (from < size_) {
    const uint32_t index = from / kBlockBits;
    const uint32_t begin = index * kBlockBits;
    const Block& block = blocks_[index];
    const Block* const others = other == nullptr ? nullptr : &other->blocks_[index];
    if (block.count != 0 && (others == nullptr || others->count != 0)) {
      const uint64_t* const a = block.words.get();
      const uint64_t* const b = others == nullptr ? nullptr : others->words.get();
      if (a == nullptr && b == nullptr) return from;
      uint64_t mask = MaskOf(from % 64, 64);
      const size_t words = WordsIn(index);
      for (size_t word = (from - begin) / 64; word < words; ++word) {
        uint64_t bits = mask;
        if (a != nullptr) bits &= a[word];
        if (b != nullptr) bits &= b[word];
        if (bits != 0) {
          return begin + static_cast<uint32_t>(64 * word + __builtin_ctzll(bits));
        }
        mask = ~uint64_t{0};
      }
    }
    from = begin + BlockSize(index);
  }
  return size_;
}

void SparseBitmap::MoveBlock(uint32_t block, SparseBitmap* other) {
  assert(other->blocks_[block].count == 0 && other->size_ == size_);
  const uint32_t count = blocks_[block].count;
  std::swap(blocks_[block], other->blocks_[block]);
  count_ -= count;
  other->count_ += count;
}

bool operator==(const SparseBitmap& a, const SparseBitmap& b) {
  if (a.size_ != b.size_ || a.count_ != b.count_) return false;
  for (uint32_t i = 0; i < a.block_count(); ++i) {
    const auto& x = a.blocks_[i];
    const auto& y = b.blocks_[i];
    if (x.count != y.count) return false;
    // Without words it is full or empty, and so is the other.
    if (x.words == nullptr || y.words == nullptr) continue;
    if (!std::equal(x.words.get(), x.words.get() + a.WordsIn(i), y.words.get())) return false;
  }
  return true;
}

}  // namespace p2p

// A set of numbers 0..size-1 in blocks: a block that has all of its numbers, or none, takes no
// bits, so that memory follows what differs and not the size (16 bytes for each block). Finds the
// next member, also of two sets at once, block by block. A plain value; one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace p2p {

class SparseBitmap {
 public:
  // Of 2^31 chunks there are 65,536 blocks.
  static constexpr uint32_t kBlockBits = 1 << 15;

  SparseBitmap() = default;
  explicit SparseBitmap(uint32_t size);
  SparseBitmap(const SparseBitmap& other);
  SparseBitmap& operator=(const SparseBitmap& other);
  SparseBitmap(SparseBitmap&&) = default;
  SparseBitmap& operator=(SparseBitmap&&) = default;

  uint32_t size() const { return size_; }
  uint32_t count() const { return count_; }
  // False for a number beyond the size.
  bool Has(uint32_t i) const {
    if (i >= size_) return false;
    const Block& block = blocks_[i / kBlockBits];
    if (block.words == nullptr) return block.count != 0;
    return ((block.words[i % kBlockBits / 64] >> (i % 64)) & 1) != 0;
  }
  // Return whether the set changed. A number beyond the size changes nothing.
  bool Add(uint32_t i);
  bool Remove(uint32_t i);
  // The numbers from `first` to before `end`, cut where the set ends.
  void AddRange(uint32_t first, uint32_t end);
  void RemoveRange(uint32_t first, uint32_t end);
  void AddAll() { AddRange(0, size_); }
  void Clear() { RemoveRange(0, size_); }

  // The first member at or after `from`; size() when there is none.
  uint32_t NextMember(uint32_t from) const { return FindCommon(from, nullptr); }
  // The first non-member at or after `from`; size() when there is none.
  uint32_t NextGap(uint32_t from) const;
  // The first member at or after `from` that `other` has too (nullptr has everything, else a set of
  // the same size); size() when there is none.
  uint32_t FindCommon(uint32_t from, const SparseBitmap* other) const;

  // --- Blocks: the numbers from block * kBlockBits on.
  uint32_t block_count() const { return static_cast<uint32_t>(blocks_.size()); }
  uint32_t BlockSize(uint32_t block) const;
  uint32_t CountIn(uint32_t block) const { return blocks_[block].count; }
  // What the block has is then in `other`, of the same size, whose block is empty.
  void MoveBlock(uint32_t block, SparseBitmap* other);

  friend bool operator==(const SparseBitmap& a, const SparseBitmap& b);

 private:
  struct Block {
    uint32_t count = 0;
    std::unique_ptr<uint64_t[]> words;  // nullptr: it has all of its numbers, or none
  };

  size_t WordsIn(uint32_t block) const { return (size_t{BlockSize(block)} + 63) / 64; }
  uint64_t* Words(uint32_t block);
  // Of one block, `from` and `end` within it: adds or removes them.
  void SetInBlock(uint32_t block, uint32_t from, uint32_t end, bool member);
  void DropWordsWhenFull(uint32_t block);

  uint32_t size_ = 0;
  uint32_t count_ = 0;
  std::vector<Block> blocks_;
};

}  // namespace p2p

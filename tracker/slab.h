// Records that are named by 32-bit numbers instead of pointers, and hash tables over them that link
// records by these numbers. Neither ever moves a record or rehashes everything at once, so no call
// costs more than another. Memory that no record needs is given back. One owner, one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/numeric/bits.h"

namespace p2p::tracker {

// No record.
inline constexpr uint32_t kNone = UINT32_MAX;

template <typename T>
class Slab {
 public:
  T& operator[](uint32_t i) { return blocks_[i / kBlock][i % kBlock]; }
  const T& operator[](uint32_t i) const { return blocks_[i / kBlock][i % kBlock]; }

  // A record as T's constructor makes it.
  uint32_t Add() {
    // The lowest one: higher blocks become empty, and are given back.
    const uint32_t block = roomy_.empty() ? AddBlock() : *roomy_.begin();
    const uint32_t i = block * kBlock + uses_[block].Take();
    if (uses_[block].count == kBlock) roomy_.erase(roomy_.begin());
    ++size_;
    return i;
  }
  void Remove(uint32_t i) {
    (*this)[i] = T();
    const uint32_t block = i / kBlock;
    if (uses_[block].count == kBlock) roomy_.insert(block);
    uses_[block].PutBack(i % kBlock);
    --size_;
    // One is kept, so that records that come and go do not make a block each time.
    if (uses_[block].count == 0 && roomy_.size() > 1) GiveBack(block);
  }

  size_t size() const { return size_; }
  // Above every number in use.
  uint32_t end() const { return static_cast<uint32_t>(blocks_.size()) * kBlock; }
  // The first number from `i` on that may be looked at, or end(). Of these, those that are not in
  // use name records as Add() gives them.
  uint32_t FirstFrom(uint32_t i) const {
    while (i < end() && blocks_[i / kBlock] == nullptr) i = (i / kBlock + 1) * kBlock;
    return i;
  }

 private:
  static constexpr uint32_t kBlock = 256;

  // What of a block is in use.
  struct Use {
    std::array<uint64_t, kBlock / 64> free = {~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0},
                                              ~uint64_t{0}};
    uint32_t count = 0;

    // There has to be one.
    uint32_t Take() {
      uint32_t word = 0;
      while (free[word] == 0) ++word;
      const auto bit = static_cast<uint32_t>(absl::countr_zero(free[word]));
      free[word] &= free[word] - 1;
      ++count;
      return word * 64 + bit;
    }
    void PutBack(uint32_t i) {
      free[i / 64] |= uint64_t{1} << i % 64;
      --count;
    }
  };

  uint32_t AddBlock() {
    auto block = static_cast<uint32_t>(blocks_.size());
    if (gone_.empty()) {
      blocks_.emplace_back();
      uses_.emplace_back();
    } else {
      block = *gone_.begin();
      gone_.erase(gone_.begin());
    }
    blocks_[block] = std::make_unique<T[]>(kBlock);
    roomy_.insert(block);
    return block;
  }
  void GiveBack(uint32_t block) {
    blocks_[block].reset();
    roomy_.erase(block);
    gone_.insert(block);
    while (!blocks_.empty() && blocks_.back() == nullptr) {
      blocks_.pop_back();
      uses_.pop_back();
      gone_.erase(static_cast<uint32_t>(blocks_.size()));
    }
  }

  std::vector<std::unique_ptr<T[]>> blocks_;  // null: given back
  std::vector<Use> uses_;                     // of each block
  absl::btree_set<uint32_t> roomy_;           // blocks that have a free record
  absl::btree_set<uint32_t> gone_;            // blocks that were given back
  size_t size_ = 0;
};

// Of records with the fields `hash` and `chain` (the next of the same bucket), in linear hashing:
// the table grows by one bucket at a time, and shrinks by two.
template <typename T>
class ChainedTable {
 public:
  explicit ChainedTable(Slab<T>* records) : records_(*records) {}

  // The record of this hash for which `is_it` holds, or kNone.
  template <typename Predicate>
  uint32_t Find(uint32_t hash, const Predicate& is_it) const {
    if (bucket_count_ == 0) return kNone;
    uint32_t at = First(BucketOf(hash));
    while (at != kNone && (records_[at].hash != hash || !is_it(records_[at]))) {
      at = records_[at].chain;
    }
    return at;
  }

  void Insert(uint32_t i, uint32_t hash) {
    records_[i].hash = hash;
    if (++count_ > bucket_count_) AddBucket();
    Push(&First(BucketOf(hash)), i);
  }

  void Erase(uint32_t i) {
    uint32_t* link = &First(BucketOf(records_[i].hash));
    while (*link != i) link = &records_[*link].chain;
    *link = records_[i].chain;
    --count_;
    for (int n = 0; n < 2 && bucket_count_ > 2 * count_; ++n) RemoveBucket();
  }

  // How many records share the fullest bucket. Looks at all of them.
  size_t LongestChain() const {
    size_t longest = 0;
    for (uint32_t bucket = 0; bucket < bucket_count_; ++bucket) {
      size_t length = 0;
      for (uint32_t at = First(bucket); at != kNone; at = records_[at].chain) ++length;
      longest = length > longest ? length : longest;
    }
    return longest;
  }

 private:
  static constexpr uint32_t kBlock = 256;

  uint32_t& First(uint32_t bucket) { return buckets_[bucket / kBlock][bucket % kBlock]; }
  uint32_t First(uint32_t bucket) const { return buckets_[bucket / kBlock][bucket % kBlock]; }
  uint32_t BucketOf(uint32_t hash) const {
    const uint32_t bucket = hash & mask_;
    return bucket < bucket_count_ ? bucket : bucket & mask_ >> 1;
  }
  void Push(uint32_t* first, uint32_t i) {
    records_[i].chain = *first;
    *first = i;
  }
  // Records of a chain, each to the bucket that has its hash now.
  void Spread(uint32_t at) {
    while (at != kNone) {
      const uint32_t next = records_[at].chain;
      Push(&First(BucketOf(records_[at].hash)), at);
      at = next;
    }
  }
  // Its records are in the bucket that had its hashes until now.
  void AddBucket() {
    if (bucket_count_ % kBlock == 0) buckets_.emplace_back(new uint32_t[kBlock]);
    const uint32_t added = bucket_count_++;
    First(added) = kNone;
    if (added > mask_) mask_ = mask_ << 1 | 1;
    if (added > 0) Spread(std::exchange(First(added & mask_ >> 1), kNone));
  }
  // The last one; its records go where they were before it was added.
  void RemoveBucket() {
    const uint32_t removed = --bucket_count_;
    const uint32_t first = First(removed);
    if (removed % kBlock == 0) buckets_.pop_back();
    if (removed == (mask_ >> 1) + 1) mask_ >>= 1;
    Spread(first);
  }

  Slab<T>& records_;
  std::vector<std::unique_ptr<uint32_t[]>> buckets_;  // the first record of each, in blocks
  uint32_t bucket_count_ = 0;
  uint32_t mask_ = 0;
  size_t count_ = 0;
};

}  // namespace p2p::tracker

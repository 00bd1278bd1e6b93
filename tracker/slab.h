// Records that are named by 32-bit numbers instead of pointers, and hash tables over them that link
// records by these numbers. Neither ever moves a record or rehashes everything at once, so no call
// costs more than another. One owner, one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

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
    if (!free_.empty()) {
      const uint32_t i = free_.back();
      free_.pop_back();
      return i;
    }
    if (end_ % kBlock == 0) blocks_.push_back(std::make_unique<T[]>(kBlock));
    return end_++;
  }
  void Remove(uint32_t i) {
    (*this)[i] = T();
    free_.push_back(i);
  }

  size_t size() const { return end_ - free_.size(); }
  // Above every number in use. Those below that are not in use name records as Add() gives them.
  uint32_t end() const { return end_; }

 private:
  static constexpr uint32_t kBlock = 256;

  std::vector<std::unique_ptr<T[]>> blocks_;
  std::vector<uint32_t> free_;
  uint32_t end_ = 0;
};

// Of records with the fields `hash` and `chain` (the next of the same bucket), in linear hashing:
// the table grows by one bucket at a time.
template <typename T>
class ChainedTable {
 public:
  explicit ChainedTable(Slab<T>* records) : records_(*records) {}

  // The record of this hash for which `is_it` holds, or kNone.
  template <typename Predicate>
  uint32_t Find(uint32_t hash, const Predicate& is_it) const {
    if (buckets_.end() == 0) return kNone;
    uint32_t at = buckets_[BucketOf(hash)].first;
    while (at != kNone && (records_[at].hash != hash || !is_it(records_[at]))) {
      at = records_[at].chain;
    }
    return at;
  }

  void Insert(uint32_t i, uint32_t hash) {
    records_[i].hash = hash;
    if (++count_ > buckets_.end()) AddBucket();
    Push(&buckets_[BucketOf(hash)], i);
  }

  void Erase(uint32_t i) {
    uint32_t* link = &buckets_[BucketOf(records_[i].hash)].first;
    while (*link != i) link = &records_[*link].chain;
    *link = records_[i].chain;
    --count_;
  }

  // How many records share the fullest bucket. Looks at all of them.
  size_t LongestChain() const {
    size_t longest = 0;
    for (uint32_t bucket = 0; bucket < buckets_.end(); ++bucket) {
      size_t length = 0;
      for (uint32_t at = buckets_[bucket].first; at != kNone; at = records_[at].chain) ++length;
      longest = length > longest ? length : longest;
    }
    return longest;
  }

 private:
  struct Bucket {
    uint32_t first = kNone;
  };

  uint32_t BucketOf(uint32_t hash) const {
    const uint32_t bucket = hash & mask_;
    return bucket < buckets_.end() ? bucket : bucket & mask_ >> 1;
  }
  void Push(Bucket* bucket, uint32_t i) {
    records_[i].chain = bucket->first;
    bucket->first = i;
  }
  // Its records are in the bucket that had its hashes until now.
  void AddBucket() {
    const uint32_t added = buckets_.Add();
    if (added > mask_) mask_ = mask_ << 1 | 1;
    if (added == 0) return;
    uint32_t at = buckets_[added & mask_ >> 1].first;
    buckets_[added & mask_ >> 1].first = kNone;
    while (at != kNone) {
      const uint32_t next = records_[at].chain;
      Push(&buckets_[BucketOf(records_[at].hash)], at);
      at = next;
    }
  }

  Slab<T>& records_;
  Slab<Bucket> buckets_;
  uint32_t mask_ = 0;
  size_t count_ = 0;
};

}  // namespace p2p::tracker

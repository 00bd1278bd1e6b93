// A set of chunk numbers 0..size-1 with its count: have-sets. A plain value; one thread at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/base/ids.h"

namespace p2p {

class ChunkSet {
 public:
  ChunkSet() = default;
  explicit ChunkSet(uint32_t size) : size_(size), words_((size + 63) / 64, 0) {}

  uint32_t size() const { return size_; }
  uint32_t count() const { return count_; }
  bool All() const { return count_ == size_; }
  bool None() const { return count_ == 0; }
  // False for an index beyond the size.
  bool Has(ChunkIndex chunk) const {
    return chunk.value() < size_ && ((words_[chunk.value() / 64] >> (chunk.value() % 64)) & 1) != 0;
  }
  // Return whether the set changed. An index beyond the size changes nothing.
  bool Add(ChunkIndex chunk);
  bool Remove(ChunkIndex chunk);
  void AddAll();
  // The members of `other`, which has the same size.
  void Add(const ChunkSet& other);
  void Remove(const ChunkSet& other);
  void Clear();
  // The first member at or after `from`; size() when there is none.
  uint32_t NextMember(uint32_t from) const;
  // The first non-member at or after `from`; size() when there is none.
  uint32_t NextGap(uint32_t from) const;

  // ceil(size / 8) bytes, chunk 0 in the highest bit of the first byte (BEP 3's order).
  std::string ToBytes() const;
  // Adds the members that `bytes` shows for the chunks from `first` on; bits beyond the size are
  // ignored.
  void AddBytes(ChunkIndex first, absl::string_view bytes);

  friend bool operator==(const ChunkSet& a, const ChunkSet& b) {
    return a.size_ == b.size_ && a.words_ == b.words_;
  }

 private:
  uint32_t size_ = 0;
  uint32_t count_ = 0;
  std::vector<uint64_t> words_;
};

}  // namespace p2p

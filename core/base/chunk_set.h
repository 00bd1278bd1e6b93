// A set of chunk numbers 0..size-1 with its count: have-sets. Takes memory for the blocks of chunks
// that it has some but not all of (see SparseBitmap). A plain value; one thread at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "core/base/ids.h"
#include "core/base/sparse_bitmap.h"

namespace p2p {

class ChunkSet {
 public:
  ChunkSet() = default;
  explicit ChunkSet(uint32_t size) : bits_(size) {}

  uint32_t size() const { return bits_.size(); }
  uint32_t count() const { return bits_.count(); }
  bool All() const { return count() == size(); }
  bool None() const { return count() == 0; }
  // False for an index beyond the size.
  bool Has(ChunkIndex chunk) const { return bits_.Has(chunk.value()); }
  // Return whether the set changed. An index beyond the size changes nothing.
  bool Add(ChunkIndex chunk) { return bits_.Add(chunk.value()); }
  bool Remove(ChunkIndex chunk) { return bits_.Remove(chunk.value()); }
  // `count` chunks from `first` on, cut where the set ends.
  void AddRun(ChunkIndex first, uint32_t count) {
    bits_.AddRange(first.value(), End(first, count));
  }
  void RemoveRun(ChunkIndex first, uint32_t count) {
    bits_.RemoveRange(first.value(), End(first, count));
  }
  void AddAll() { bits_.AddAll(); }
  // The members of `other`, which has the same size.
  void Add(const ChunkSet& other);
  void Remove(const ChunkSet& other);
  void Clear() { bits_.Clear(); }
  // The first member at or after `from`; size() when there is none.
  uint32_t NextMember(uint32_t from) const { return bits_.NextMember(from); }
  // The first non-member at or after `from`; size() when there is none.
  uint32_t NextGap(uint32_t from) const { return bits_.NextGap(from); }
  const SparseBitmap& bits() const { return bits_; }

  // ceil(size / 8) bytes, chunk 0 in the highest bit of the first byte (BEP 3's order).
  std::string ToBytes() const { return ToBytes(0, size()); }
  // The same of the chunks from `first`, a multiple of 8, to before `end`, at most size().
  std::string ToBytes(uint32_t first, uint32_t end) const;
  // Adds the members that `bytes` shows for the chunks from `first` on; bits beyond the size are
  // ignored.
  void AddBytes(ChunkIndex first, absl::string_view bytes);

  // For the catalog: as ToBytes; of more than kMaxPlainChunks chunks only the blocks that are not
  // empty.
  static constexpr uint32_t kMaxPlainChunks = 1 << 23;
  std::string Encode() const;
  // The reverse of either for a set of `size` chunks. What is no such text adds nothing, what is
  // cut adds what is there.
  static ChunkSet Decode(uint32_t size, absl::string_view bytes);
  // A size that has room for all of either text: of what was encoded, rounded up.
  static uint32_t SizeIn(absl::string_view bytes);

  friend bool operator==(const ChunkSet& a, const ChunkSet& b) { return a.bits_ == b.bits_; }

 private:
  uint32_t End(ChunkIndex first, uint32_t count) const {
    return count > size() - std::min(size(), first.value()) ? size() : first.value() + count;
  }

  SparseBitmap bits_;
};

}  // namespace p2p

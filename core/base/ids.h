// Identifiers and sizes as types that do not mix. Plain values; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace p2p {

// An unsigned integer with a meaning of its own: arithmetic stays within one meaning.
template <typename Tag, typename Rep>
class StrongInt {
 public:
  using rep = Rep;
  constexpr StrongInt() = default;
  constexpr explicit StrongInt(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }

  friend constexpr bool operator==(StrongInt a, StrongInt b) { return a.value_ == b.value_; }
  friend constexpr bool operator!=(StrongInt a, StrongInt b) { return a.value_ != b.value_; }
  friend constexpr bool operator<(StrongInt a, StrongInt b) { return a.value_ < b.value_; }
  friend constexpr bool operator<=(StrongInt a, StrongInt b) { return a.value_ <= b.value_; }
  friend constexpr bool operator>(StrongInt a, StrongInt b) { return a.value_ > b.value_; }
  friend constexpr bool operator>=(StrongInt a, StrongInt b) { return a.value_ >= b.value_; }
  friend constexpr StrongInt operator+(StrongInt a, StrongInt b) {
    return StrongInt(a.value_ + b.value_);
  }
  friend constexpr StrongInt operator-(StrongInt a, StrongInt b) {
    return StrongInt(a.value_ - b.value_);
  }
  StrongInt& operator+=(StrongInt b) {
    value_ += b.value_;
    return *this;
  }
  StrongInt& operator-=(StrongInt b) {
    value_ -= b.value_;
    return *this;
  }
  StrongInt& operator++() {
    ++value_;
    return *this;
  }
  template <typename H>
  friend H AbslHashValue(H h, StrongInt v) {
    return H::combine(std::move(h), v.value_);
  }
  friend std::ostream& operator<<(std::ostream& out, StrongInt v) { return out << v.value_; }

 private:
  Rep value_ = 0;
};

// A chunk of a share, counted over all its files in manifest order (BEP 52's piece index).
using ChunkIndex = StrongInt<struct ChunkIndexTag, uint32_t>;
// A file of a share, in manifest order.
using FileIndex = StrongInt<struct FileIndexTag, uint32_t>;
// A number of bytes or an offset in bytes.
using ByteCount = StrongInt<struct ByteCountTag, uint64_t>;
// One connection of this process, never used again after it closed.
using LinkId = StrongInt<struct LinkIdTag, uint64_t>;
// A transfer of this daemon; its decimal text is what users see.
using TransferId = StrongInt<struct TransferIdTag, uint64_t>;

// 32 bytes of SHA-256 output or of the same shape.
struct Hash256 {
  std::array<uint8_t, 32> bytes{};

  // 64 lower-case hexadecimal digits.
  std::string Hex() const;
  // Accepts exactly 64 hexadecimal digits of either case, else InvalidArgument.
  static absl::StatusOr<Hash256> FromHex(absl::string_view hex);
  // `raw` must have 32 bytes.
  static Hash256 FromBytes(absl::Span<const uint8_t> raw);
  absl::string_view AsView() const {
    return absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  friend bool operator==(const Hash256& a, const Hash256& b) { return a.bytes == b.bytes; }
  friend bool operator!=(const Hash256& a, const Hash256& b) { return a.bytes != b.bytes; }
  friend bool operator<(const Hash256& a, const Hash256& b) { return a.bytes < b.bytes; }
  template <typename H>
  friend H AbslHashValue(H h, const Hash256& v) {
    return H::combine(std::move(h), v.bytes);
  }
  friend std::ostream& operator<<(std::ostream& out, const Hash256& v) { return out << v.Hex(); }
};

// A Hash256 with a meaning of its own.
template <typename Tag>
struct TaggedHash {
  Hash256 hash;

  std::string Hex() const { return hash.Hex(); }
  friend bool operator==(const TaggedHash& a, const TaggedHash& b) { return a.hash == b.hash; }
  friend bool operator!=(const TaggedHash& a, const TaggedHash& b) { return a.hash != b.hash; }
  friend bool operator<(const TaggedHash& a, const TaggedHash& b) { return a.hash < b.hash; }
  template <typename H>
  friend H AbslHashValue(H h, const TaggedHash& v) {
    return H::combine(std::move(h), v.hash);
  }
  friend std::ostream& operator<<(std::ostream& out, const TaggedHash& v) { return out << v.Hex(); }
};

// SHA-256 of a share's bencoded info dictionary (BEP 52's v2 info hash).
using ContentId = TaggedHash<struct ContentIdTag>;
// Random, made at a daemon's first start and kept in its state directory.
using PeerId = TaggedHash<struct PeerIdTag>;

absl::StatusOr<ContentId> ContentIdFromHex(absl::string_view hex);

}  // namespace p2p

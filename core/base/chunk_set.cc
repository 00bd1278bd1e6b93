#include "core/base/chunk_set.h"

#include <algorithm>

namespace p2p {

bool ChunkSet::Add(ChunkIndex chunk) {
  if (chunk.value() >= size_ || Has(chunk)) return false;
  words_[chunk.value() / 64] |= uint64_t{1} << (chunk.value() % 64);
  ++count_;
  return true;
}

bool ChunkSet::Remove(ChunkIndex chunk) {
  if (!Has(chunk)) return false;
  words_[chunk.value() / 64] &= ~(uint64_t{1} << (chunk.value() % 64));
  --count_;
  return true;
}

void ChunkSet::Add(const ChunkSet& other) {
  for (uint32_t i = other.NextMember(0); i < other.size_; i = other.NextMember(i + 1)) {
    Add(ChunkIndex(i));
  }
}

void ChunkSet::Remove(const ChunkSet& other) {
  for (uint32_t i = other.NextMember(0); i < other.size_; i = other.NextMember(i + 1)) {
    Remove(ChunkIndex(i));
  }
}

void ChunkSet::AddAll() {
  std::fill(words_.begin(), words_.end(), ~uint64_t{0});
  if (size_ % 64 != 0) words_.back() = (uint64_t{1} << (size_ % 64)) - 1;
  count_ = size_;
}

void ChunkSet::Clear() {
  std::fill(words_.begin(), words_.end(), 0);
  count_ = 0;
}

uint32_t ChunkSet::NextMember(uint32_t from) const {
  while (from < size_) {
    const uint64_t word = words_[from / 64] >> (from % 64);
    if (word != 0) return from + static_cast<uint32_t>(__builtin_ctzll(word));
    from = (from / 64 + 1) * 64;
  }
  return size_;
}

uint32_t ChunkSet::NextGap(uint32_t from) const {
  while (from < size_) {
    const uint64_t word = ~words_[from / 64] >> (from % 64);
    if (word != 0) return std::min(size_, from + static_cast<uint32_t>(__builtin_ctzll(word)));
    from = (from / 64 + 1) * 64;
  }
  return size_;
}

std::string ChunkSet::ToBytes() const {
  std::string bytes((size_ + 7) / 8, '\0');
  for (uint32_t i = NextMember(0); i < size_; i = NextMember(i + 1)) {
    bytes[i / 8] = static_cast<char>(static_cast<uint8_t>(bytes[i / 8]) | (0x80u >> (i % 8)));
  }
  return bytes;
}

void ChunkSet::AddBytes(ChunkIndex first, absl::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    const uint8_t byte = static_cast<uint8_t>(bytes[i]);
    const uint64_t base = uint64_t{first.value()} + 8 * i;
    if (base >= size_) return;
    for (uint32_t bit = 0; byte != 0 && bit < 8; ++bit) {
      if ((byte & (0x80u >> bit)) != 0 && base + bit < size_) {
        Add(ChunkIndex(static_cast<uint32_t>(base + bit)));
      }
    }
  }
}

}  // namespace p2p

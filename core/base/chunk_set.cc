#include "core/base/chunk_set.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace p2p {
namespace {

// An encoded set: this, then for each block that is not empty its number (4 bytes, the lowest
// first) and a letter: 'a' for all of it, 'b' with the bytes of its chunks behind it.
constexpr absl::string_view kBlocksMagic = "p2p-set\n";
constexpr size_t kNumberBytes = 4;

}  // namespace

void ChunkSet::Add(const ChunkSet& other) {
  for (uint32_t i = other.NextMember(0); i < other.size();) {
    const uint32_t end = other.NextGap(i);
    bits_.AddRange(i, end);
    i = other.NextMember(end);
  }
}

void ChunkSet::Remove(const ChunkSet& other) {
  for (uint32_t i = other.NextMember(0); i < other.size();) {
    const uint32_t end = other.NextGap(i);
    bits_.RemoveRange(i, end);
    i = other.NextMember(end);
  }
}

std::string ChunkSet::ToBytes(uint32_t first, uint32_t end) const {
  std::string bytes((uint64_t{end - first} + 7) / 8, '\0');
  for (uint32_t i = NextMember(first); i < end;) {
    const uint32_t stop = std::min(NextGap(i), end);
    while (i < stop) {
      char& byte = bytes[(i - first) / 8];
      if ((i - first) % 8 == 0 && stop - i >= 8) {
        byte = '\xff';
        i += 8;
      } else {
        byte = static_cast<char>(static_cast<uint8_t>(byte) | (0x80u >> ((i - first) % 8)));
        ++i;
      }
    }
    i = NextMember(stop);
  }
  return bytes;
}

void ChunkSet::AddBytes(ChunkIndex first, absl::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    const uint8_t byte = static_cast<uint8_t>(bytes[i]);
    const uint64_t base = uint64_t{first.value()} + 8 * i;
    if (base >= size()) return;
    for (uint32_t bit = 0; byte != 0 && bit < 8; ++bit) {
      if ((byte & (0x80u >> bit)) != 0 && base + bit < size()) {
        Add(ChunkIndex(static_cast<uint32_t>(base + bit)));
      }
    }
  }
}

std::string ChunkSet::Encode() const {
  if (size() <= kMaxPlainChunks) {
    std::string plain = ToBytes();
    if (!absl::StartsWith(plain, kBlocksMagic)) return plain;
  }
  std::string text(kBlocksMagic);
  for (uint32_t block = 0; block < bits_.block_count(); ++block) {
    if (bits_.CountIn(block) == 0) continue;
    for (size_t i = 0; i < kNumberBytes; ++i) text.push_back(static_cast<char>(block >> (8 * i)));
    const uint32_t first = block * SparseBitmap::kBlockBits;
    const bool all = bits_.CountIn(block) == bits_.BlockSize(block);
    text.push_back(all ? 'a' : 'b');
    if (!all) text += ToBytes(first, first + bits_.BlockSize(block));
  }
  return text;
}

uint32_t ChunkSet::SizeIn(absl::string_view bytes) {
  if (!absl::ConsumePrefix(&bytes, kBlocksMagic)) {
    return static_cast<uint32_t>(std::min<size_t>(8 * bytes.size(), ~0u));
  }
  uint64_t size = 0;
  while (bytes.size() > kNumberBytes) {
    uint64_t block = 0;
    for (size_t i = 0; i < kNumberBytes; ++i) {
      block |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
    }
    size = std::max(size, (block + 1) * SparseBitmap::kBlockBits);
    const bool all = bytes[kNumberBytes] == 'a';
    bytes.remove_prefix(kNumberBytes + 1);
    if (!all) bytes.remove_prefix(std::min<size_t>(bytes.size(), SparseBitmap::kBlockBits / 8));
  }
  return static_cast<uint32_t>(std::min<uint64_t>(size, ~0u));
}

ChunkSet ChunkSet::Decode(uint32_t size, absl::string_view bytes) {
  ChunkSet set(size);
  if (!absl::StartsWith(bytes, kBlocksMagic)) {
    set.AddBytes(ChunkIndex(0), bytes);
    return set;
  }
  bytes.remove_prefix(kBlocksMagic.size());
  while (bytes.size() > kNumberBytes) {
    uint32_t block = 0;
    for (size_t i = 0; i < kNumberBytes; ++i) {
      block |= uint32_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
    }
    const bool all = bytes[kNumberBytes] == 'a';
    bytes.remove_prefix(kNumberBytes + 1);
    if (block >= set.bits_.block_count()) break;
    const ChunkIndex first(block * SparseBitmap::kBlockBits);
    if (all) {
      set.AddRun(first, set.bits_.BlockSize(block));
      continue;
    }
    const absl::string_view some = bytes.substr(0, (set.bits_.BlockSize(block) + 7) / 8);
    set.AddBytes(first, some);
    bytes.remove_prefix(some.size());
  }
  return set;
}

}  // namespace p2p

// What the implementations of sha256.h that hash several messages at once ("lanes") have in common.
// Internal to core/content. Source of constants and padding: FIPS 180-4.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/content/sha256.h"

namespace p2p::content::lanes {

constexpr size_t kBlockBytes = 64;

alignas(64) inline constexpr uint32_t kRoundConstants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

inline constexpr uint32_t kInitialState[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                              0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

inline void StoreBigEndian(uint32_t word, uint8_t* out) {
  for (int i = 0; i < 4; ++i) out[i] = static_cast<uint8_t>(word >> (24 - 8 * i));
}

// Writes a message's last length % 64 bytes and its padding; returns the blocks that they fill, one
// or two.
inline size_t MakeTail(const uint8_t* message, size_t length, uint8_t (&tail)[2 * kBlockBytes]) {
  const size_t rest = length % kBlockBytes;
  const size_t blocks = rest + 1 + sizeof(uint64_t) <= kBlockBytes ? 1 : 2;
  std::memset(tail, 0, sizeof tail);
  if (rest != 0) std::memcpy(tail, message + length - rest, rest);
  tail[rest] = 0x80;
  const uint64_t bits = uint64_t{length} * 8;
  uint8_t* const end = tail + blocks * kBlockBytes;
  StoreBigEndian(static_cast<uint32_t>(bits >> 32), end - 8);
  StoreBigEndian(static_cast<uint32_t>(bits), end - 4);
  return blocks;
}

// `Lanes` is one implementation:
//   kLanes                             messages at once
//   State                              of all lanes
//   Start(State*)                      to the initial state
//   Compress(State*, in, blocks)       takes `blocks` blocks of 64 bytes from each in[lane]
//   Finish(const State&, Hash256*)     writes kLanes hashes

// Hashes the first `used` (at least one) of kLanes messages; the other lanes repeat the first.
// Every message is read to its end before a hash is written, so that the output may overlap the
// input of earlier messages.
template <typename Lanes>
void HashGroup(const uint8_t* const* in, size_t length, size_t used, Hash256* out) {
  constexpr size_t kLanes = Lanes::kLanes;
  uint8_t tails[kLanes][2 * kBlockBytes];
  const uint8_t* messages[kLanes];
  const uint8_t* ends[kLanes];
  size_t tail_blocks = 0;
  // Whole blocks leave nothing but padding, which is the same for all.
  const size_t different_tails = length % kBlockBytes == 0 ? 1 : used;
  for (size_t lane = 0; lane < kLanes; ++lane) {
    messages[lane] = in[lane < used ? lane : 0];
    if (lane < different_tails) tail_blocks = MakeTail(messages[lane], length, tails[lane]);
    ends[lane] = tails[lane < different_tails ? lane : 0];
  }
  typename Lanes::State state;
  Lanes::Start(&state);
  Lanes::Compress(&state, messages, length / kBlockBytes);
  Lanes::Compress(&state, ends, tail_blocks);
  if (used == kLanes) {
    Lanes::Finish(state, out);
    return;
  }
  Hash256 hashes[kLanes];
  Lanes::Finish(state, hashes);
  std::copy_n(hashes, used, out);
}

// Full groups by Lanes; what is left over in one partly used group where that has at least `fewest`
// messages, else by `rest`, which must be faster for so few.
template <typename Lanes>
void HashMany(const uint8_t* const* in, size_t length, size_t count, Hash256* out, size_t fewest,
              HashManyFunction rest) {
  constexpr size_t kLanes = Lanes::kLanes;
  for (; count >= kLanes; count -= kLanes, in += kLanes, out += kLanes) {
    HashGroup<Lanes>(in, length, kLanes, out);
  }
  if (count == 0) return;
  if (count >= fewest) {
    HashGroup<Lanes>(in, length, count, out);
  } else {
    rest(in, length, count, out);
  }
}

// One message after the other, by the library.
void HashManyWithLibrary(const uint8_t* const* messages, size_t length, size_t count, Hash256* out);

// Each exists on its processors only; Runs tells whether this machine has the
// instructions.
bool ShaNiRuns();
extern const HashImplementation kShaNi;
bool Avx512Runs();
extern const HashImplementation kAvx512;
bool Avx2Runs();
extern const HashImplementation kAvx2;
bool ArmV8Runs();
extern const HashImplementation kArmV8;

}  // namespace p2p::content::lanes

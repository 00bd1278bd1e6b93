// Random orders for answers: even enough, and cheap. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/random/random.h"
#include "core/base/limits.h"

namespace p2p::tracker {

// Even but for size / 2^32. The standard's shuffle, which is even to the last bit, takes a tenth of
// the time of an answer.
inline uint32_t RandomBelow(size_t size, absl::InsecureBitGen* random) {
  return static_cast<uint32_t>(((*random)() >> 32) * uint64_t{size} >> 32);
}

template <typename T>
void Shuffle(T* values, size_t size, absl::InsecureBitGen* random) {
  for (size_t i = size; i > 1; --i) std::swap(values[i - 1], values[RandomBelow(i, random)]);
}

// `count` different numbers below `size`, in random order; all where there are fewer. `count` is at
// most limits::kMaxPeersPerAnswer.
using RandomNumberList = absl::InlinedVector<uint32_t, limits::kMaxPeersPerAnswer>;
RandomNumberList RandomNumbers(size_t count, size_t size, absl::InsecureBitGen* random);

}  // namespace p2p::tracker

// SHA-256 with the SHA extensions of x86-64. One message leaves the processor waiting for the
// latency of sha256rnds2; several interleaved ones fill the gaps.
#include "core/content/sha256_lanes.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define P2P_SHA_TARGET __attribute__((target("sha,sse4.1,ssse3")))

namespace p2p::content::lanes {
namespace {

template <int kLaneCount>
struct ShaNi {
  static constexpr int kLanes = kLaneCount;
  // The instructions keep the eight words as {A,B,E,F} and {C,D,G,H}, the first in the highest
  // element.
  struct State {
    __m128i abef[kLanes];
    __m128i cdgh[kLanes];
  };

  static void Start(State* state) {
    const auto word = [](int i) { return static_cast<int>(kInitialState[i]); };
    for (int l = 0; l < kLanes; ++l) {
      state->abef[l] = _mm_set_epi32(word(0), word(1), word(4), word(5));
      state->cdgh[l] = _mm_set_epi32(word(2), word(3), word(6), word(7));
    }
  }

  P2P_SHA_TARGET static void Compress(State* state, const uint8_t* const (&in)[kLanes],
                                      size_t blocks) {
    State s = *state;
    for (size_t b = 0; b < blocks; ++b) CompressBlock(&s, in, b * kBlockBytes);
    *state = s;
  }

  static void Finish(const State& state, Hash256* out) {
    for (int l = 0; l < kLanes; ++l) {
      uint32_t feba[4], hgdc[4];
      _mm_storeu_si128(reinterpret_cast<__m128i*>(feba), state.abef[l]);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(hgdc), state.cdgh[l]);
      const uint32_t words[8] = {feba[3], feba[2], hgdc[3], hgdc[2],
                                 feba[1], feba[0], hgdc[1], hgdc[0]};
      for (int i = 0; i < 8; ++i) StoreBigEndian(words[i], &out[l].bytes[4 * i]);
    }
  }

 private:
  P2P_SHA_TARGET static inline __attribute__((always_inline)) void CompressBlock(
      State* state, const uint8_t* const (&in)[kLanes], size_t offset) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    State s = *state;
    __m128i w[4][kLanes];  // the last sixteen words of the message schedule
#pragma GCC unroll 16
    for (int r = 0; r < 16; ++r) {  // four rounds each
      const __m128i k = _mm_load_si128(reinterpret_cast<const __m128i*>(&kRoundConstants[r * 4]));
#pragma GCC unroll 4
      for (int l = 0; l < kLanes; ++l) {
        __m128i& now = w[r & 3][l];
        if (r < 4) {
          const auto* from = reinterpret_cast<const __m128i*>(in[l] + offset + r * 16);
          now = _mm_shuffle_epi8(_mm_loadu_si128(from), big_endian);
        } else {
          const __m128i last = w[(r + 3) & 3][l];
          const __m128i seven_back = _mm_alignr_epi8(last, w[(r + 2) & 3][l], 4);
          const __m128i sum =
              _mm_add_epi32(_mm_sha256msg1_epu32(now, w[(r + 1) & 3][l]), seven_back);
          now = _mm_sha256msg2_epu32(sum, last);
        }
        const __m128i input = _mm_add_epi32(now, k);
        s.cdgh[l] = _mm_sha256rnds2_epu32(s.cdgh[l], s.abef[l], input);
        s.abef[l] = _mm_sha256rnds2_epu32(s.abef[l], s.cdgh[l], _mm_shuffle_epi32(input, 0x0e));
      }
    }
    for (int l = 0; l < kLanes; ++l) {
      state->abef[l] = _mm_add_epi32(state->abef[l], s.abef[l]);
      state->cdgh[l] = _mm_add_epi32(state->cdgh[l], s.cdgh[l]);
    }
  }
};

// One to three messages, in as many lanes: idle lanes would cost as much as busy ones.
void HashRest(const uint8_t* const* in, size_t length, size_t count, Hash256* out) {
  if (count == 3) HashGroup<ShaNi<3>>(in, length, count, out);
  if (count == 2) HashGroup<ShaNi<2>>(in, length, count, out);
  if (count == 1) HashGroup<ShaNi<1>>(in, length, count, out);
}

void HashManyShaNi(const uint8_t* const* in, size_t length, size_t count, Hash256* out) {
  HashMany<ShaNi<4>>(in, length, count, out, /*fewest=*/4, HashRest);
}

}  // namespace

bool ShaNiRuns() {
  // __builtin_cpu_supports of GCC 12 does not know the SHA extensions: CPUID leaf 7, EBX bit 29.
  unsigned int a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned int kShaBit = 1u << 29;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & kShaBit) != 0 &&
         __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
}

const HashImplementation kShaNi = {"sha-ni x4", HashManyShaNi};

}  // namespace p2p::content::lanes

#endif

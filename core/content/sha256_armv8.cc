// SHA-256 with the cryptographic extension of ARMv8, four interleaved messages. CMake switches the
// instructions on for this file alone: Clang before 16 offers their intrinsics in no other way.
#include "core/content/sha256_lanes.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif

namespace p2p::content::lanes {
namespace {

struct ArmV8 {
  static constexpr int kLanes = 4;
  struct State {
    uint32x4_t abcd[kLanes];
    uint32x4_t efgh[kLanes];
  };

  static void Start(State* state) {
    for (int l = 0; l < kLanes; ++l) {
      state->abcd[l] = vld1q_u32(kInitialState);
      state->efgh[l] = vld1q_u32(kInitialState + 4);
    }
  }

  static void Compress(State* state, const uint8_t* const (&in)[kLanes], size_t blocks) {
    for (size_t b = 0; b < blocks; ++b) {
      State s = *state;
      uint32x4_t w[4][kLanes];  // the last sixteen words of the message schedule
#pragma GCC unroll 16
      for (int r = 0; r < 16; ++r) {  // four rounds each
        const uint32x4_t k = vld1q_u32(&kRoundConstants[r * 4]);
#pragma GCC unroll 4
        for (int l = 0; l < kLanes; ++l) {
          uint32x4_t& now = w[r & 3][l];
          if (r < 4) {
            now = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(in[l] + b * kBlockBytes + r * 16)));
          } else {
            now = vsha256su1q_u32(vsha256su0q_u32(now, w[(r + 1) & 3][l]), w[(r + 2) & 3][l],
                                  w[(r + 3) & 3][l]);
          }
          const uint32x4_t input = vaddq_u32(now, k);
          const uint32x4_t abcd = s.abcd[l];
          s.abcd[l] = vsha256hq_u32(abcd, s.efgh[l], input);
          s.efgh[l] = vsha256h2q_u32(s.efgh[l], abcd, input);
        }
      }
      for (int l = 0; l < kLanes; ++l) {
        state->abcd[l] = vaddq_u32(state->abcd[l], s.abcd[l]);
        state->efgh[l] = vaddq_u32(state->efgh[l], s.efgh[l]);
      }
    }
  }

  static void Finish(const State& state, Hash256* out) {
    for (int l = 0; l < kLanes; ++l) {
      uint8_t* const bytes = out[l].bytes.data();
      vst1q_u8(bytes, vrev32q_u8(vreinterpretq_u8_u32(state.abcd[l])));
      vst1q_u8(bytes + 16, vrev32q_u8(vreinterpretq_u8_u32(state.efgh[l])));
    }
  }
};

void HashManyArmV8(const uint8_t* const* in, size_t length, size_t count, Hash256* out) {
  HashMany<ArmV8>(in, length, count, out, /*fewest=*/2, HashManyWithLibrary);
}

}  // namespace

bool ArmV8Runs() {
#if defined(__linux__)
  constexpr unsigned long kSha2Bit = 1ul << 6;  // HWCAP_SHA2
  return (getauxval(AT_HWCAP) & kSha2Bit) != 0;
#else
  return true;  // every aarch64 machine of Apple has them
#endif
}

const HashImplementation kArmV8 = {"armv8 x4", HashManyArmV8};

}  // namespace p2p::content::lanes

#endif

// SHA-256 of as many messages at once as a vector register has 32-bit elements: element i of every
// vector belongs to message i. Internal to core/content.
//
// The including file defines P2P_WIDE_TARGET, the function attribute that switches its instructions
// on. All is in an unnamed namespace, so that no function made for one processor is ever linked
// into another's code.
#pragma once

#include "core/content/sha256_lanes.h"

#define P2P_WIDE_INLINE P2P_WIDE_TARGET static inline __attribute__((always_inline))

namespace p2p::content::lanes {
namespace {

// `Ops` names the vector type and its instructions:
//   Vector, kLanes, Load, Store, Broadcast, Add, Xor, ShiftRight<n>, RotateRight<n>,
//   Choose(x, y, z)     for each bit y where x is set, else z
//   Majority(x, y, z)
//   Transpose(in, offset, w)   w[t] = big-endian word t of the block at in[lane] + offset, for all
//   lanes
template <typename Ops>
struct Wide {
  using Vector = typename Ops::Vector;
  static constexpr int kLanes = Ops::kLanes;
  struct State {
    alignas(64) uint32_t words[8][kLanes];
  };

  static void Start(State* state) {
    for (int i = 0; i < 8; ++i) std::fill_n(state->words[i], kLanes, kInitialState[i]);
  }

  P2P_WIDE_TARGET static void Compress(State* state, const uint8_t* const (&in)[kLanes],
                                       size_t blocks) {
    Vector s[8];
    for (int i = 0; i < 8; ++i) s[i] = Ops::Load(state->words[i]);
    for (size_t b = 0; b < blocks; ++b) CompressBlock(s, in, b * kBlockBytes);
    for (int i = 0; i < 8; ++i) Ops::Store(s[i], state->words[i]);
  }

  static void Finish(const State& state, Hash256* out) {
    for (int l = 0; l < kLanes; ++l) {
      for (int i = 0; i < 8; ++i) StoreBigEndian(state.words[i][l], &out[l].bytes[4 * i]);
    }
  }

 private:
  template <int a, int b, int c>
  P2P_WIDE_INLINE Vector BigSigma(Vector x) {
    return Ops::Xor(Ops::template RotateRight<a>(x), Ops::template RotateRight<b>(x),
                    Ops::template RotateRight<c>(x));
  }
  template <int a, int b, int c>
  P2P_WIDE_INLINE Vector SmallSigma(Vector x) {
    return Ops::Xor(Ops::template RotateRight<a>(x), Ops::template RotateRight<b>(x),
                    Ops::template ShiftRight<c>(x));
  }

  P2P_WIDE_INLINE void CompressBlock(Vector (&state)[8], const uint8_t* const (&in)[kLanes],
                                     size_t offset) {
    Vector w[16];  // the last sixteen words of the message schedule
    Ops::Transpose(in, offset, w);
    Vector s[8];
    for (int i = 0; i < 8; ++i) s[i] = state[i];
#pragma GCC unroll 64
    for (int t = 0; t < 64; ++t) {
      Vector& word = w[t & 15];
      if (t >= 16) {
        word = Ops::Add(Ops::Add(word, SmallSigma<7, 18, 3>(w[(t + 1) & 15])),
                        Ops::Add(w[(t + 9) & 15], SmallSigma<17, 19, 10>(w[(t + 14) & 15])));
      }
      // Instead of moving a..h by one place each round, their names move.
      const auto at = [&s, t](int i) P2P_WIDE_TARGET -> Vector& { return s[(i - t) & 7]; };
      const Vector input = Ops::Add(word, Ops::Broadcast(kRoundConstants[t]));
      const Vector t1 = Ops::Add(Ops::Add(at(7), BigSigma<6, 11, 25>(at(4))),
                                 Ops::Add(Ops::Choose(at(4), at(5), at(6)), input));
      const Vector t2 = Ops::Add(BigSigma<2, 13, 22>(at(0)), Ops::Majority(at(0), at(1), at(2)));
      at(3) = Ops::Add(at(3), t1);
      at(7) = Ops::Add(t1, t2);
    }
    for (int i = 0; i < 8; ++i) state[i] = Ops::Add(state[i], s[i]);
  }
};

}  // namespace
}  // namespace p2p::content::lanes

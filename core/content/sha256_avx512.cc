// Sixteen messages at once with AVX-512.
#if defined(__x86_64__)

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 warns of its own header's deliberately undefined registers (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include <immintrin.h>

#define P2P_WIDE_TARGET __attribute__((target("avx512f,avx512bw")))
#include "core/content/sha256_wide.h"

namespace p2p::content::lanes {
namespace {

struct Avx512Ops {
  using Vector = __m512i;
  static constexpr int kLanes = 16;

  P2P_WIDE_INLINE Vector Load(const uint32_t* from) { return _mm512_load_si512(from); }
  P2P_WIDE_INLINE void Store(Vector v, uint32_t* to) { _mm512_store_si512(to, v); }
  P2P_WIDE_INLINE Vector Broadcast(uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }
  P2P_WIDE_INLINE Vector Add(Vector x, Vector y) { return _mm512_add_epi32(x, y); }
  // The last operand of ternarylogic is the truth table of the function over x, y, z.
  P2P_WIDE_INLINE Vector Xor(Vector x, Vector y, Vector z) {
    return _mm512_ternarylogic_epi32(x, y, z, 0x96);
  }
  template <int n>
  P2P_WIDE_INLINE Vector ShiftRight(Vector x) {
    return _mm512_srli_epi32(x, n);
  }
  template <int n>
  P2P_WIDE_INLINE Vector RotateRight(Vector x) {
    return _mm512_ror_epi32(x, n);
  }
  P2P_WIDE_INLINE Vector Choose(Vector x, Vector y, Vector z) {
    return _mm512_ternarylogic_epi32(x, y, z, 0xca);
  }
  P2P_WIDE_INLINE Vector Majority(Vector x, Vector y, Vector z) {
    return _mm512_ternarylogic_epi32(x, y, z, 0xe8);
  }

  P2P_WIDE_INLINE void Transpose(const uint8_t* const (&in)[kLanes], size_t offset,
                                 Vector (&w)[16]) {
    const __m512i big_endian =
        _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
    Vector pairs[16], quads[16];
    for (int l = 0; l < 16; l += 2) {
      const Vector even = _mm512_shuffle_epi8(_mm512_loadu_si512(in[l] + offset), big_endian);
      const Vector odd = _mm512_shuffle_epi8(_mm512_loadu_si512(in[l + 1] + offset), big_endian);
      pairs[l] = _mm512_unpacklo_epi32(even, odd);
      pairs[l + 1] = _mm512_unpackhi_epi32(even, odd);
    }
    // quads[4g + c] holds words c, 4 + c, 8 + c and 12 + c of the lanes 4g to 4g + 3.
    for (int i = 0; i < 16; i += 4) {
      quads[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
      quads[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
      quads[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
      quads[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    for (int c = 0; c < 4; ++c) {
      const Vector low_even = _mm512_shuffle_i32x4(quads[c], quads[4 + c], 0x88);
      const Vector low_odd = _mm512_shuffle_i32x4(quads[c], quads[4 + c], 0xdd);
      const Vector high_even = _mm512_shuffle_i32x4(quads[8 + c], quads[12 + c], 0x88);
      const Vector high_odd = _mm512_shuffle_i32x4(quads[8 + c], quads[12 + c], 0xdd);
      w[c] = _mm512_shuffle_i32x4(low_even, high_even, 0x88);
      w[4 + c] = _mm512_shuffle_i32x4(low_odd, high_odd, 0x88);
      w[8 + c] = _mm512_shuffle_i32x4(low_even, high_even, 0xdd);
      w[12 + c] = _mm512_shuffle_i32x4(low_odd, high_odd, 0xdd);
    }
  }
};

// Sixteen lanes take as long as about eight messages with SHA extensions, and as two without.
void HashManyAvx512(const uint8_t* const* in, size_t length, size_t count, Hash256* out) {
  static const bool kShaNiRuns = ShaNiRuns();
  HashMany<Wide<Avx512Ops>>(in, length, count, out, kShaNiRuns ? 9 : 2,
                            kShaNiRuns ? kShaNi.hash_many : HashManyWithLibrary);
}

}  // namespace

bool Avx512Runs() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

const HashImplementation kAvx512 = {"avx512 x16", HashManyAvx512};

}  // namespace p2p::content::lanes

#endif

// Eight messages at once with AVX2.
#if defined(__x86_64__)

#include <immintrin.h>

#define P2P_WIDE_TARGET __attribute__((target("avx2")))
#include "core/content/sha256_wide.h"

namespace p2p::content::lanes {
namespace {

struct Avx2Ops {
  using Vector = __m256i;
  static constexpr int kLanes = 8;

  P2P_WIDE_INLINE Vector Load(const uint32_t* from) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
  }
  P2P_WIDE_INLINE void Store(Vector v, uint32_t* to) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(to), v);
  }
  P2P_WIDE_INLINE Vector Broadcast(uint32_t x) { return _mm256_set1_epi32(static_cast<int>(x)); }
  P2P_WIDE_INLINE Vector Add(Vector x, Vector y) { return _mm256_add_epi32(x, y); }
  P2P_WIDE_INLINE Vector Xor(Vector x, Vector y, Vector z) {
    return _mm256_xor_si256(_mm256_xor_si256(x, y), z);
  }
  template <int n>
  P2P_WIDE_INLINE Vector ShiftRight(Vector x) {
    return _mm256_srli_epi32(x, n);
  }
  template <int n>
  P2P_WIDE_INLINE Vector RotateRight(Vector x) {
    return _mm256_or_si256(_mm256_srli_epi32(x, n), _mm256_slli_epi32(x, 32 - n));
  }
  P2P_WIDE_INLINE Vector Choose(Vector x, Vector y, Vector z) {
    return _mm256_xor_si256(z, _mm256_and_si256(x, _mm256_xor_si256(y, z)));
  }
  P2P_WIDE_INLINE Vector Majority(Vector x, Vector y, Vector z) {
    return _mm256_or_si256(_mm256_and_si256(x, y), _mm256_and_si256(z, _mm256_or_si256(x, y)));
  }

  P2P_WIDE_INLINE void Transpose(const uint8_t* const (&in)[kLanes], size_t offset,
                                 Vector (&w)[16]) {
    for (int half = 0; half < 2; ++half) TransposeEight(in, offset + 32 * half, w + 8 * half);
  }

 private:
  P2P_WIDE_INLINE void TransposeEight(const uint8_t* const (&in)[kLanes], size_t offset,
                                      Vector* w) {
    const __m256i big_endian =
        _mm256_broadcastsi128_si256(_mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
    Vector rows[8], pairs[8], quads[8];
    for (int l = 0; l < 8; ++l) {
      const auto* from = reinterpret_cast<const __m256i*>(in[l] + offset);
      rows[l] = _mm256_shuffle_epi8(_mm256_loadu_si256(from), big_endian);
    }
    for (int i = 0; i < 8; i += 2) {
      pairs[i] = _mm256_unpacklo_epi32(rows[i], rows[i + 1]);
      pairs[i + 1] = _mm256_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    // quads[4g + c] holds words c and 4 + c of the lanes 4g to 4g + 3.
    for (int i = 0; i < 8; i += 4) {
      quads[i] = _mm256_unpacklo_epi64(pairs[i], pairs[i + 2]);
      quads[i + 1] = _mm256_unpackhi_epi64(pairs[i], pairs[i + 2]);
      quads[i + 2] = _mm256_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
      quads[i + 3] = _mm256_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    for (int c = 0; c < 4; ++c) {
      w[c] = _mm256_permute2x128_si256(quads[c], quads[4 + c], 0x20);
      w[4 + c] = _mm256_permute2x128_si256(quads[c], quads[4 + c], 0x31);
    }
  }
};

// Eight lanes take as long as two and a half messages one after the other without SHA extensions;
// where there are such, this is not the fastest implementation anyway.
void HashManyAvx2(const uint8_t* const* in, size_t length, size_t count, Hash256* out) {
  HashMany<Wide<Avx2Ops>>(in, length, count, out, /*fewest=*/3, HashManyWithLibrary);
}

}  // namespace

bool Avx2Runs() { return __builtin_cpu_supports("avx2"); }

const HashImplementation kAvx2 = {"avx2 x8", HashManyAvx2};

}  // namespace p2p::content::lanes

#endif

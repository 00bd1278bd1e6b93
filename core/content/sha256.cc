#include "core/content/sha256.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "core/base/limits.h"
#include "core/content/sha256_lanes.h"

namespace p2p::content {
namespace {

// The library's first, then by rising speed.
const std::vector<HashImplementation>* FindImplementations() {
  auto* running = new std::vector<HashImplementation>{{"library", lanes::HashManyWithLibrary}};
#if defined(__x86_64__)
  if (lanes::Avx2Runs()) running->push_back(lanes::kAvx2);
  if (lanes::Avx512Runs()) running->push_back(lanes::kAvx512);
  if (lanes::ShaNiRuns()) running->push_back(lanes::kShaNi);
  // Intel has one unit for the SHA extensions: on a Sapphire Rapids 2.3 GB/s, and 4.1 GB/s with
  // AVX-512. An AMD EPYC of family 25 makes 3.6 GB/s of the former.
  if (lanes::Avx512Runs() && lanes::ShaNiRuns() && __builtin_cpu_is("intel")) {
    std::swap(running->back(), running->end()[-2]);
  }
#elif defined(__aarch64__)
  if (lanes::ArmV8Runs()) running->push_back(lanes::kArmV8);
#endif
  return running;
}

}  // namespace

void lanes::HashManyWithLibrary(const uint8_t* const* messages, size_t length, size_t count,
                                Hash256* out) {
  for (size_t i = 0; i < count; ++i) out[i] = Sha256({messages[i], length});
}

Hash256 Sha256(absl::Span<const uint8_t> data) {
  Hash256 result;
  // Fails only where the library has no SHA-256 at all: nothing can run there.
  if (gnutls_hash_fast(GNUTLS_DIG_SHA256, data.data(), data.size(), result.bytes.data()) != 0) {
    std::abort();
  }
  return result;
}

Hash256 Sha256(absl::string_view data) {
  return Sha256({reinterpret_cast<const uint8_t*>(data.data()), data.size()});
}

absl::Span<const HashImplementation> HashImplementations() {
  static const std::vector<HashImplementation>* const kRunning = FindImplementations();
  return *kRunning;
}

const HashImplementation& BestHashImplementation() {
  static const HashImplementation& kBest = HashImplementations().back();
  return kBest;
}

void HashLeaves(absl::Span<const uint8_t> data, Hash256* out) { HashLeaves({&data, 1}, out); }

void HashLeaves(absl::Span<const absl::Span<const uint8_t>> pieces, Hash256* out) {
  const HashManyFunction hash_many = BestHashImplementation().hash_many;
  // Whole leaves wait here until there are enough for all lanes of every implementation; a short
  // one goes alone.
  absl::InlinedVector<const uint8_t*, limits::kLeavesPerChunk> leaves;
  absl::InlinedVector<Hash256*, limits::kLeavesPerChunk> places;
  const auto flush = [&] {
    Hash256 hashes[limits::kLeavesPerChunk];
    hash_many(leaves.data(), limits::kLeafBytes, leaves.size(), hashes);
    for (size_t i = 0; i < leaves.size(); ++i) *places[i] = hashes[i];
    leaves.clear();
    places.clear();
  };
  for (absl::Span<const uint8_t> piece : pieces) {
    while (!piece.empty()) {
      const uint8_t* const leaf = piece.data();
      const size_t length = std::min<size_t>(piece.size(), limits::kLeafBytes);
      piece.remove_prefix(length);
      if (length < limits::kLeafBytes) {
        hash_many(&leaf, length, 1, out++);
        continue;
      }
      leaves.push_back(leaf);
      places.push_back(out++);
      if (leaves.size() == limits::kLeavesPerChunk) flush();
    }
  }
  flush();
}

void HashPairs(const Hash256* in, size_t pairs, Hash256* out) {
  static_assert(sizeof(Hash256) == 32, "two hashes that lie side by side are one message");
  constexpr size_t kPairsAtOnce = 64;
  const HashManyFunction hash_many = BestHashImplementation().hash_many;
  const uint8_t* messages[kPairsAtOnce];
  for (size_t done = 0; done < pairs; done += kPairsAtOnce) {
    const size_t count = std::min(kPairsAtOnce, pairs - done);
    for (size_t i = 0; i < count; ++i) messages[i] = in[2 * (done + i)].bytes.data();
    hash_many(messages, 2 * sizeof(Hash256), count, out + done);
  }
}

}  // namespace p2p::content

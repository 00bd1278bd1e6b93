// SHA-256: the library's one-shot, and many equal leaves at once in lanes. Pure; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/ids.h"

namespace p2p::content {

// The library's (GnuTLS) one-shot; also the oracle for the lanes.
Hash256 Sha256(absl::Span<const uint8_t> data);
Hash256 Sha256(absl::string_view data);

// Hashes `count` messages of `length` bytes each into out[i]. One implementation for each kind of
// processor.
using HashManyFunction = void (*)(const uint8_t* const* messages, size_t length, size_t count,
                                  Hash256* out);
struct HashImplementation {
  const char* name;  // "library", "sha-ni x4", "avx512 x16", ...
  HashManyFunction hash_many;
};
// Every implementation that this machine can run; the library's comes first.
absl::Span<const HashImplementation> HashImplementations();
// The fastest of them for 16 KiB leaves; chosen once.
const HashImplementation& BestHashImplementation();

// The SHA-256 of each 16 KiB leaf of `data` (the last may be shorter) into out[0..ceil(size/16
// KiB)).
void HashLeaves(absl::Span<const uint8_t> data, Hash256* out);
// The same of several pieces, the leaves of one behind those of the other: small pieces fill the
// lanes together.
void HashLeaves(absl::Span<const absl::Span<const uint8_t>> pieces, Hash256* out);
// Hashes pairs: out[i] = SHA-256(in[2i] || in[2i+1]) for i < pairs. `out` may be `in`.
void HashPairs(const Hash256* in, size_t pairs, Hash256* out);

}  // namespace p2p::content

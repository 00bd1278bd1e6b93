// SipHash-2-4 (Aumasson and Bernstein): a hash that nobody can aim at who does not know its key.
// Pure; any thread.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace p2p::tracker {

struct HashKey {
  uint64_t first = 0;
  uint64_t second = 0;

  // Of the system's randomness.
  static HashKey Random();
};

uint64_t KeyedHash(const HashKey& key, absl::string_view bytes);

}  // namespace p2p::tracker

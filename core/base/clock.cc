#include "core/base/clock.h"

#include <chrono>

namespace p2p {

absl::Time MonotonicNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace p2p

// Time for timers and rates. Any thread.
#pragma once

#include "absl/time/time.h"

namespace p2p {

// The monotonic clock as an absl::Time (its zero is arbitrary; never shown to a user): a changed
// wall clock moves no timer. Parts take `now` as an argument; only drivers call this.
absl::Time MonotonicNow();

}  // namespace p2p

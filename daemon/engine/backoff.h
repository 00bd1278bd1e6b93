// Growing, jittered waits between tries. One owner, one thread.
#pragma once

#include <algorithm>
#include <random>

#include "absl/time/time.h"

namespace p2p::engine {

class Backoff {
 public:
  Backoff(absl::Duration first, absl::Duration longest) : first_(first), longest_(longest) {}

  // The wait before the next try: doubles with every call, between 0.75 and 1.25 of the nominal
  // one.
  absl::Duration Next(std::mt19937_64* random) {
    const absl::Duration nominal =
        std::min(longest_, first_ * (int64_t{1} << std::min(failures_, 20)));
    ++failures_;
    return nominal * std::uniform_real_distribution<>(0.75, 1.25)(*random);
  }
  void Reset() { failures_ = 0; }
  int failures() const { return failures_; }

 private:
  absl::Duration first_;
  absl::Duration longest_;
  int failures_ = 0;
};

}  // namespace p2p::engine

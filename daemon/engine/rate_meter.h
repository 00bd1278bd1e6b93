// A smoothed byte rate. Thread-safe: written where bytes move, read where figures are shown.
#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace p2p::engine {

class RateMeter {
 public:
  void Add(uint64_t bytes, absl::Time now);
  // Bytes a second over about the last two seconds; fades to 0 when nothing moves.
  double Rate(absl::Time now) const;
  uint64_t total_bytes() const;

 private:
  double FadedLocked(absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  uint64_t total_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // Bytes weighted by exp(-age / window).
  double weighted_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time updated_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Time burst_began_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace p2p::engine

// Tells when a transfer moves less than limits::kMinTransferBytes in limits::kSlowReaderTimeout.
// Virtual time: only Tick brings a time that is known to be current. Part of a session; on its
// loop.
#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "core/base/limits.h"

namespace p2p::session {

class RateWatch {
 public:
  // While it runs, time counts. Starting anew begins a new stretch.
  void Run(bool running) {
    if (running == running_) return;
    running_ = running;
    Restart();
  }
  // Begins a new stretch at the next Tick.
  void Restart() {
    start_.reset();
    bytes_ = 0;
  }
  void Progress(uint64_t bytes) {
    bytes_ += bytes;
    if (bytes_ >= limits::kMinTransferBytes) Restart();
  }
  void Tick(absl::Time now) {
    if (running_ && !start_) start_ = now;
  }
  bool Expired(absl::Time now) const {
    return running_ && start_ && now >= *start_ + limits::kSlowReaderTimeout;
  }
  // When to Tick next: `last` is the last time that was known.
  absl::Time WakeUpTime(absl::Time last) const {
    return running_ ? start_.value_or(last) + limits::kSlowReaderTimeout : absl::InfiniteFuture();
  }

 private:
  bool running_ = false;
  absl::optional<absl::Time> start_;
  uint64_t bytes_ = 0;
};

// Tells when something is waited for longer than it may be. Counts from the first Tick, for which
// it asks at once.
class Patience {
 public:
  // Zero: for nothing. Another duration counts from the same beginning.
  void Wait(absl::Duration most) {
    if (most == absl::ZeroDuration()) start_.reset();
    most_ = most;
  }
  void Tick(absl::Time now) {
    if (most_ != absl::ZeroDuration() && !start_) start_ = now;
  }
  bool Expired(absl::Time now) const { return start_ && now >= *start_ + most_; }
  absl::Time WakeUpTime(absl::Time last) const {
    if (most_ == absl::ZeroDuration()) return absl::InfiniteFuture();
    return start_ ? *start_ + most_ : last;
  }

 private:
  absl::Duration most_ = absl::ZeroDuration();
  absl::optional<absl::Time> start_;
};

}  // namespace p2p::session

// Tells watchers that something changed which they should see at once. Thread-safe.
#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/timed_wait.h"

namespace p2p::engine {

class ChangeFeed {
 public:
  void Changed() {
    absl::MutexLock lock(&mutex_);
    ++revision_;
    changed_.SignalAll();
  }
  uint64_t revision() const {
    absl::MutexLock lock(&mutex_);
    return revision_;
  }
  // Waits until the revision differs from `seen`, or for `timeout`.
  uint64_t WaitForChange(uint64_t seen, absl::Duration timeout) const {
    absl::MutexLock lock(&mutex_);
    changed_.WaitFor(&mutex_, timeout,
                     [this, seen]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return revision_ != seen; });
    return revision_;
  }

 private:
  mutable absl::Mutex mutex_;
  uint64_t revision_ ABSL_GUARDED_BY(mutex_) = 1;
  mutable TimedCondition changed_;
};

}  // namespace p2p::engine

// Waiting with a time limit that a changed wall clock does not move. Abseil's own waits end by
// CLOCK_REALTIME: one that is under way when the clock is set back lasts that much longer.
#pragma once

#include <condition_variable>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace p2p {

// What threads wait on that hold one mutex. Thread-safe.
class TimedCondition {
 public:
  // After a change that somebody may wait for.
  void SignalAll() { changed_.notify_all(); }

  // Gives up `mutex` while it waits. True as soon as `holds` says so, which is called with the
  // mutex held; false when `timeout` is over first.
  template <typename Holds>
  bool WaitFor(absl::Mutex* mutex, absl::Duration timeout,
               const Holds& holds) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    constexpr absl::Duration kForEver = absl::Hours(24 * 365);  // its sum with the time has to fit
    Held held{mutex};
    return changed_.wait_for(
        held, absl::ToChronoNanoseconds(timeout < kForEver ? timeout : kForEver), holds);
  }

 private:
  // As std::condition_variable_any wants it.
  struct Held {
    absl::Mutex* mutex;
    void lock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex->Lock(); }
    void unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex->Unlock(); }
  };

  std::condition_variable_any changed_;
};

// Something that happens once. Thread-safe.
class TimedNotification {
 public:
  void Notify() {
    absl::MutexLock lock(&mutex_);
    notified_ = true;
    condition_.SignalAll();
  }
  bool HasBeenNotified() const {
    absl::MutexLock lock(&mutex_);
    return notified_;
  }
  // Whether it happened before `timeout` was over.
  bool WaitFor(absl::Duration timeout) {
    absl::MutexLock lock(&mutex_);
    return condition_.WaitFor(&mutex_, timeout,
                              [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return notified_; });
  }

 private:
  mutable absl::Mutex mutex_;
  bool notified_ ABSL_GUARDED_BY(mutex_) = false;
  TimedCondition condition_;
};

}  // namespace p2p

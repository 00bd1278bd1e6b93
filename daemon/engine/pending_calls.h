// The answers that callers from other threads wait for: each is given once, and when the engine
// stops, those that are still owed are given at once. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace p2p::engine {

class PendingCalls {
 public:
  // `Answer`: absl::Status or an absl::StatusOr. Gives back what to answer with, from any thread;
  // the first answer counts, and `done` runs with it on the thread that gives it. After End() that
  // is at once.
  template <typename Answer>
  std::function<void(Answer)> Add(std::function<void(Answer)> done) {
    auto once = [given = std::make_shared<std::atomic<bool>>(false),
                 done = std::move(done)](Answer answer) {
      if (!given->exchange(true)) done(std::move(answer));
    };
    absl::Status why;
    uint64_t number = 0;
    {
      absl::MutexLock lock(&mutex_);
      why = ended_;
      if (why.ok()) owed_.emplace(number = next_++, [once](const absl::Status& end) { once(end); });
    }
    if (!why.ok()) once(why);
    return [this, number, once](Answer answer) {
      Forget(number);
      once(std::move(answer));
    };
  }

  // Gives `why` to all that wait, and to all that come later.
  void End(const absl::Status& why) {
    std::map<uint64_t, std::function<void(const absl::Status&)>> owed;
    {
      absl::MutexLock lock(&mutex_);
      ended_ = why;
      owed.swap(owed_);
    }
    for (const auto& [number, answer] : owed) answer(why);
  }
  bool ended() const {
    absl::MutexLock lock(&mutex_);
    return !ended_.ok();
  }

 private:
  void Forget(uint64_t number) {
    absl::MutexLock lock(&mutex_);
    owed_.erase(number);
  }

  mutable absl::Mutex mutex_;
  absl::Status ended_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<uint64_t, std::function<void(const absl::Status&)>> owed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace p2p::engine

// Threads for calls that may wait for the catalog. gRPC runs all calls on a few threads of its own:
// two that wait there would hold up every other. Also for starts and reloads. Thread-safe.
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace p2p::control {

class CallThreads {
 public:
  // At most `most` threads: the first one at once (std::system_error when there is none to be had),
  // the others when they are first needed. Where the system gives no more of them, calls wait for
  // those that there are.
  explicit CallThreads(int most);
  // Runs what it was given, then joins.
  ~CallThreads();
  CallThreads(const CallThreads&) = delete;
  CallThreads& operator=(const CallThreads&) = delete;

  // At once, or as soon as a thread is free, in the order of the calls.
  void Run(std::function<void()> call);

 private:
  void Work();
  void StartThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    threads_.emplace_back([this] { Work(); });
  }
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopping_ || !calls_.empty(); }

  const int most_;
  absl::Mutex mutex_;
  std::deque<std::function<void()>> calls_ ABSL_GUARDED_BY(mutex_);
  int idle_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace p2p::control

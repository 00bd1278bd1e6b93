#include "daemon/control/call_threads.h"

#include <utility>

namespace p2p::control {

CallThreads::~CallThreads() {
  std::vector<std::thread> threads;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

void CallThreads::Run(std::function<void()> call) {
  absl::MutexLock lock(&mutex_);
  calls_.push_back(std::move(call));
  if (calls_.size() > static_cast<size_t>(idle_) && threads_.size() < static_cast<size_t>(most_)) {
    threads_.emplace_back([this] { Work(); });
  }
}

void CallThreads::Work() {
  for (;;) {
    std::function<void()> call;
    {
      absl::MutexLock lock(&mutex_);
      ++idle_;
      mutex_.Await(absl::Condition(this, &CallThreads::HasWork));
      --idle_;
      if (calls_.empty()) return;  // stopping
      call = std::move(calls_.front());
      calls_.pop_front();
    }
    call();
  }
}

}  // namespace p2p::control

#include "daemon/control/call_threads.h"

#include <system_error>
#include <utility>

#include "spdlog/spdlog.h"

namespace p2p::control {

CallThreads::CallThreads(int most) : most_(most) {
  absl::MutexLock lock(&mutex_);
  StartThread();
}

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
  if (calls_.size() <= static_cast<size_t>(idle_) || threads_.size() >= static_cast<size_t>(most_))
    return;
  try {
    StartThread();
  } catch (const std::system_error& error) {
    spdlog::warn("control: no further thread for calls: {}; they wait for one another",
                 error.what());
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

#include "daemon/store/worker_pool.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace p2p::store {
namespace {

// What the system keeps of a thread's name, without its NUL.
constexpr size_t kMaxThreadNameBytes = 15;

void NameThisThread(absl::string_view name, int number) {
  const std::string suffix = absl::StrCat("-", number);
  const std::string whole = absl::StrCat(
      name.substr(0, kMaxThreadNameBytes - std::min(suffix.size(), kMaxThreadNameBytes)), suffix);
#if defined(__APPLE__)
  ::pthread_setname_np(whole.c_str());
#else
  ::pthread_setname_np(::pthread_self(), whole.c_str());
#endif
}

// Then a bulk job has its turn: a transfer that keeps every worker busy must not put off syncs for
// as long as it lasts.
constexpr int kUrgentInARow = 64;

}  // namespace

WorkerPool::WorkerPool(int threads, std::string thread_name, std::function<void()> prepare)
    : thread_name_(std::move(thread_name)), thread_count_(std::max(threads, 1)) {
  for (int number = 0; number < thread_count_; ++number) {
    const bool urgent_only = number == 0 && thread_count_ >= 2;
    threads_.emplace_back([this, number, urgent_only, prepare] {
      NameThisThread(thread_name_, number);
      prepare();
      Run(urgent_only);
    });
  }
}

WorkerPool::~WorkerPool() { Stop(); }

void WorkerPool::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void WorkerPool::Submit(Priority priority, Job job) {
  absl::MutexLock lock(&mutex_);
  (priority == Priority::kUrgent ? urgent_ : bulk_).push_back(std::move(job));
}

void WorkerPool::SubmitInTurn(uint64_t key, Job job) {
  absl::MutexLock lock(&mutex_);
  const auto [turn, nobody_there] = turns_.try_emplace(key);
  if (nobody_there) {
    bulk_.push_back(InTurn(key, std::move(job)));
  } else {
    turn->second.push_back(std::move(job));
  }
}

WorkerPool::Job WorkerPool::InTurn(uint64_t key, Job job) {
  return [this, key, job = std::move(job)]() mutable {
    job();
    EndTurn(key);
  };
}

void WorkerPool::EndTurn(uint64_t key) {
  absl::MutexLock lock(&mutex_);
  const auto turn = turns_.find(key);
  if (turn->second.empty()) {
    turns_.erase(turn);
    return;
  }
  bulk_.push_back(InTurn(key, std::move(turn->second.front())));
  turn->second.pop_front();
}

bool WorkerPool::HasUrgentWork() const { return stopping_ || !urgent_.empty(); }

bool WorkerPool::HasAnyWork() const { return HasUrgentWork() || !bulk_.empty(); }

void WorkerPool::Run(bool urgent_only) {
  const absl::Condition work(this,
                             urgent_only ? &WorkerPool::HasUrgentWork : &WorkerPool::HasAnyWork);
  int urgent_in_a_row = 0;
  while (true) {
    Job job;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(work);
      const bool bulk_is_due = !urgent_only && urgent_in_a_row >= kUrgentInARow && !bulk_.empty();
      const bool urgent = urgent_only || (!urgent_.empty() && !bulk_is_due);
      urgent_in_a_row = urgent ? urgent_in_a_row + 1 : 0;
      std::deque<Job>& queue = urgent ? urgent_ : bulk_;
      if (queue.empty()) return;  // stopping
      job = std::move(queue.front());
      queue.pop_front();
    }
    job();
  }
}

}  // namespace p2p::store

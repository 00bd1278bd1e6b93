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
    threads_.emplace_back([this, number, prepare] {
      NameThisThread(thread_name_, number);
      prepare();
      Run();
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
  QueueOf(priority).push_back(std::move(job));
}

void WorkerPool::SubmitForDisk(Priority priority, uint64_t disk, Job job) {
  absl::MutexLock lock(&mutex_);
  DiskJobs& jobs = disks_[disk];
  if (jobs.under_way < bulk_threads()) {
    ++jobs.under_way;
    QueueOf(priority).push_back(ForDisk(disk, std::move(job)));
  } else {
    jobs.waiting.emplace_back(priority, std::move(job));
  }
}

WorkerPool::Job WorkerPool::ForDisk(uint64_t disk, Job job) {
  return [this, disk, job = std::move(job)]() mutable {
    job();
    EndForDisk(disk);
  };
}

void WorkerPool::EndForDisk(uint64_t disk) {
  absl::MutexLock lock(&mutex_);
  const auto jobs = disks_.find(disk);
  if (!jobs->second.waiting.empty()) {
    auto [priority, job] = std::move(jobs->second.waiting.front());
    jobs->second.waiting.pop_front();
    QueueOf(priority).push_back(ForDisk(disk, std::move(job)));
  } else if (--jobs->second.under_way == 0) {
    disks_.erase(jobs);
  }
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

bool WorkerPool::MayTakeBulk() const { return !bulk_.empty() && bulk_running_ < bulk_threads(); }

bool WorkerPool::HasWork() const { return stopping_ || !urgent_.empty() || MayTakeBulk(); }

void WorkerPool::Run() {
  const absl::Condition work(this, &WorkerPool::HasWork);
  int urgent_in_a_row = 0;
  while (true) {
    Job job;
    bool bulk;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(work);
      bulk = MayTakeBulk() && (urgent_.empty() || urgent_in_a_row >= kUrgentInARow);
      urgent_in_a_row = bulk ? 0 : urgent_in_a_row + 1;
      std::deque<Job>& queue = bulk ? bulk_ : urgent_;
      if (queue.empty()) return;  // stopping
      if (bulk) ++bulk_running_;
      job = std::move(queue.front());
      queue.pop_front();
    }
    job();
    if (!bulk) continue;
    absl::MutexLock lock(&mutex_);
    --bulk_running_;
  }
}

}  // namespace p2p::store

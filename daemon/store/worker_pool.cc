#include "daemon/store/worker_pool.h"

#include <pthread.h>

#include <system_error>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"

namespace p2p::store {
namespace {

// What the system keeps of a thread's name, without its NUL.
constexpr size_t kMaxThreadNameBytes = 15;

void NameThisThread(absl::string_view name, const std::string& suffix) {
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
// Of the patience: how often it is looked for stuck jobs while any job runs.
constexpr int kLooksPerPatience = 4;

}  // namespace

WorkerPool::WorkerPool(int threads, std::string thread_name, absl::Duration patience,
                       std::function<void()> prepare)
    : thread_name_(std::move(thread_name)),
      thread_count_(std::max(threads, 1)),
      patience_(patience),
      prepare_(std::move(prepare)) {
  {
    absl::MutexLock lock(&mutex_);
    for (int i = 0; i < thread_count_; ++i) StartThread();
  }
  if (patience_ < absl::InfiniteDuration()) watcher_ = std::thread([this] { Watch(); });
}

WorkerPool::~WorkerPool() { Stop(); }

void WorkerPool::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    done_.SignalAll();
  }
  // It lets stand-ins do what is queued behind stuck jobs.
  if (watcher_.joinable()) watcher_.join();
  std::list<Worker> workers;
  {
    absl::MutexLock lock(&mutex_);
    // Elements stay where they are: each thread still marks its own.
    workers.splice(workers.end(), workers_);
  }
  for (Worker& worker : workers) worker.thread.join();
}

void WorkerPool::StartThread() {
  workers_.emplace_back();
  Worker* const worker = &workers_.back();
  try {
    worker->thread = std::thread([this, worker, number = next_number_] {
      NameThisThread(thread_name_, absl::StrCat("-", number));
      prepare_();
      Run(worker);
    });
  } catch (const std::system_error&) {
    workers_.pop_back();
    throw;
  }
  ++next_number_;
  ++able_;
}

void WorkerPool::Add(Task task) {
  std::deque<Task>& queue = task.priority == Priority::kUrgent ? urgent_ : bulk_;
  queue.push_back(std::move(task));
}

void WorkerPool::SubmitComputation(Priority priority, Job job) {
  absl::MutexLock lock(&mutex_);
  Add({priority, absl::nullopt, absl::nullopt, std::move(job)});
}

void WorkerPool::Submit(Priority priority, DiskId disk, Job job) {
  const Lane lane(disk, false);
  absl::MutexLock lock(&mutex_);
  AddToLane(lane, {priority, lane, absl::nullopt, std::move(job)});
}

void WorkerPool::SubmitSweep(DiskId disk, Job job) {
  const Lane lane(disk, true);
  absl::MutexLock lock(&mutex_);
  AddToLane(lane, {Priority::kBulk, lane, absl::nullopt, std::move(job)});
}

void WorkerPool::AddToLane(Lane lane, Task task) {
  LaneJobs& jobs = lanes_[lane];
  if (jobs.under_way < bulk_threads()) {
    ++jobs.under_way;
    Add(std::move(task));
  } else {
    jobs.waiting.push_back(std::move(task));
  }
}

void WorkerPool::LeaveLane(Lane lane) {
  LaneJobs& jobs = lanes_[lane];
  --jobs.under_way;
  if (!jobs.waiting.empty()) {
    ++jobs.under_way;
    Add(std::move(jobs.waiting.front()));
    jobs.waiting.pop_front();
  } else if (jobs.under_way == 0 && jobs.stuck == 0) {
    lanes_.erase(lane);
  }
}

void WorkerPool::SubmitInTurn(uint64_t key, Job job) {
  absl::MutexLock lock(&mutex_);
  const auto [turn, nobody_there] = turns_.try_emplace(key);
  if (nobody_there) {
    Add({Priority::kBulk, absl::nullopt, key, std::move(job)});
  } else {
    turn->second.push_back(std::move(job));
  }
}

void WorkerPool::EndTurn(uint64_t key) {
  const auto turn = turns_.find(key);
  if (turn->second.empty()) {
    turns_.erase(turn);
    return;
  }
  Add({Priority::kBulk, absl::nullopt, key, std::move(turn->second.front())});
  turn->second.pop_front();
}

bool WorkerPool::MayTakeBulk() const { return !bulk_.empty() && bulk_running_ < bulk_threads(); }

bool WorkerPool::HasWork() const { return stopping_ || !urgent_.empty() || MayTakeBulk(); }

void WorkerPool::Run(Worker* self) {
  const absl::Condition work(this, &WorkerPool::HasWork);
  int urgent_in_a_row = 0;
  absl::MutexLock lock(&mutex_);
  while (true) {
    mutex_.Await(work);
    const bool bulk = MayTakeBulk() && (urgent_.empty() || urgent_in_a_row >= kUrgentInARow);
    urgent_in_a_row = bulk ? 0 : urgent_in_a_row + 1;
    std::deque<Task>& queue = bulk ? bulk_ : urgent_;
    if (queue.empty()) break;  // stopping
    if (bulk) ++bulk_running_;
    Task task = std::move(queue.front());
    queue.pop_front();
    const auto running = running_.insert(
        running_.end(), {MonotonicNow(), task.priority, task.may_wait(), task.lane});
    mutex_.Unlock();
    task.job();
    task.job = nullptr;  // what it held may be the last to close a file
    mutex_.Lock();
    if (!End(running, task.turn)) break;
  }
  --able_;
  self->ended = true;
  done_.SignalAll();
}

bool WorkerPool::End(std::list<Running>::iterator running, absl::optional<uint64_t> turn) {
  const Running ended = *running;
  running_.erase(running);
  if (ended.priority == Priority::kBulk && !ended.stuck) --bulk_running_;
  if (ended.lane.has_value()) {
    if (!ended.counts_in_lane) {
      LaneJobs& jobs = lanes_[*ended.lane];
      --jobs.stuck;
      ++jobs.under_way;  // until it leaves, which is now
    }
    LeaveLane(*ended.lane);
  }
  if (turn.has_value()) EndTurn(*turn);
  if (ended.stuck) ++able_;
  if (stopping_) done_.SignalAll();
  return able_ <= thread_count_;
}

void WorkerPool::ReplaceStuck(absl::Time now) {
  for (Running& running : running_) {
    if (now - running.begun < patience_) break;
    if (!running.may_wait || running.stuck) continue;
    running.stuck = true;
    --able_;
    if (running.priority == Priority::kBulk) --bulk_running_;
  }
  // Also those that were stuck before their disk had room for another stuck one.
  for (Running& running : running_) {
    if (!running.stuck || !running.counts_in_lane || !running.lane.has_value()) continue;
    LaneJobs& jobs = lanes_[*running.lane];
    if (jobs.stuck >= limits::kMaxStuckJobsPerDisk) continue;
    running.counts_in_lane = false;
    ++jobs.stuck;
    LeaveLane(*running.lane);
  }
  while (able_ < thread_count_ && (!stopping_ || !urgent_.empty() || MayTakeBulk()) &&
         workers_.size() < static_cast<size_t>(thread_count_ + limits::kMaxStandInThreads)) {
    try {
      StartThread();
    } catch (const std::system_error&) {
      return;  // tried again with the next look
    }
  }
}

std::list<WorkerPool::Worker> WorkerPool::TakeEnded() {
  std::list<Worker> ended;
  for (auto worker = workers_.begin(); worker != workers_.end();) {
    const auto next = std::next(worker);
    if (worker->ended) ended.splice(ended.end(), workers_, worker);
    worker = next;
  }
  return ended;
}

void WorkerPool::Watch() {
  NameThisThread(thread_name_, "-watch");
  while (true) {
    std::list<Worker> ended;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &WorkerPool::HasSomethingToWatch));
      const bool done = done_.WaitFor(&mutex_, patience_ / kLooksPerPatience,
                                      [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return IsDone(); });
      if (done) return;
      ReplaceStuck(MonotonicNow());
      ended = TakeEnded();
    }
    for (Worker& worker : ended) worker.thread.join();
  }
}

}  // namespace p2p::store

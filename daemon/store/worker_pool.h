// Threads that hash, read, write and sync. Jobs see what came with them; results are posted by the
// job itself. Thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace p2p::store {

class WorkerPool {
 public:
  using Job = absl::AnyInvocable<void()>;
  // kUrgent: what a peer or a user waits for (chunks in flight, reads to serve); kBulk: hashing of
  // shares, verification, syncs. Where there are two threads or more, one is always left to urgent
  // jobs; a thread takes a bulk job after 64 urgent ones. A bulk job that takes longer than some
  // milliseconds cuts itself into several.
  enum class Priority { kUrgent, kBulk };

  // Each thread calls `prepare` first.
  WorkerPool(
      int threads, std::string thread_name, std::function<void()> prepare = [] {});
  // Stop() if it was not called.
  ~WorkerPool();

  // Runs what is queued, and what that queues, then joins. Jobs submitted after that never run.
  void Stop();

  void Submit(Priority priority, Job job);
  // A job that waits for this disk (any number that tells it from others). Of one disk at most
  // bulk_threads() are under way, the others wait as they came: however slow it is, it leaves a
  // thread to the rest.
  void SubmitForDisk(Priority priority, uint64_t disk, Job job);
  // A bulk job that waits until no other one with this key runs: one after the other, as they came.
  void SubmitInTurn(uint64_t key, Job job);
  int threads() const { return thread_count_; }
  // Bulk jobs that run at once.
  int bulk_threads() const { return std::max(threads() - 1, 1); }

 private:
  struct DiskJobs {
    int under_way = 0;  // queued or running
    std::deque<std::pair<Priority, Job>> waiting;
  };

  void Run();
  std::deque<Job>& QueueOf(Priority priority) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return priority == Priority::kUrgent ? urgent_ : bulk_;
  }
  Job ForDisk(uint64_t disk, Job job);
  void EndForDisk(uint64_t disk);
  Job InTurn(uint64_t key, Job job);
  void EndTurn(uint64_t key);
  bool MayTakeBulk() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  const std::string thread_name_;
  mutable absl::Mutex mutex_;
  std::deque<Job> urgent_ ABSL_GUARDED_BY(mutex_);
  std::deque<Job> bulk_ ABSL_GUARDED_BY(mutex_);
  int bulk_running_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<uint64_t, DiskJobs> disks_ ABSL_GUARDED_BY(mutex_);
  // Keys of which a job is queued or runs, with the jobs that wait for its end.
  absl::flat_hash_map<uint64_t, std::deque<Job>> turns_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  const int thread_count_;
  std::vector<std::thread> threads_;
};

}  // namespace p2p::store

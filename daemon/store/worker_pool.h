// Threads that hash, read, write and sync. Jobs see what came with them; results are posted by the
// job itself. Thread-safe.
//
// Who submits says what the job may wait for: a disk, or nothing but a processor. A disk that hangs
// keeps its own jobs; others lose no thread to it for longer than limits::kJobPatience.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "core/base/limits.h"
#include "core/base/timed_wait.h"
#include "daemon/store/device_type.h"

namespace p2p::store {

class WorkerPool {
 public:
  using Job = absl::AnyInvocable<void()>;
  // kUrgent: what a peer or a user waits for (chunks in flight, reads to serve); kBulk: hashing of
  // shares, verification, syncs. Where there are two threads or more, one is always left to urgent
  // jobs; a thread takes a bulk job after 64 urgent ones. A bulk job that takes longer than some
  // milliseconds cuts itself into several.
  enum class Priority { kUrgent, kBulk };

  // `patience`: a job for a disk that runs for longer gets a stand-in, a thread that does the work
  // of its own meanwhile (infinite: none does, and a pool of one thread runs one job at a time).
  // Each thread calls `prepare` first.
  WorkerPool(
      int threads, std::string thread_name, absl::Duration patience = absl::InfiniteDuration(),
      std::function<void()> prepare = [] {});
  // Stop() if it was not called.
  ~WorkerPool();

  // Runs what is queued, and what that queues, then joins. Jobs submitted after that never run.
  void Stop();

  // A job that touches files on `disk`, or a path that leads there. Of one disk at most
  // bulk_threads() are under way, not counting stuck ones (at most limits::kMaxStuckJobsPerDisk);
  // the others wait as they came: however slow it is, it leaves a thread to the rest.
  void Submit(Priority priority, DiskId disk, Job job);
  // A bulk job of a sweep over many files, with the same rule for sweeps alone: what peers and
  // users wait for is not counted with them.
  void SubmitSweep(DiskId disk, Job job);
  // The same, and it waits until no other one with this key runs: one after the other, as they
  // came.
  void SubmitInTurn(uint64_t key, Job job);
  // A job that touches no file.
  void SubmitComputation(Priority priority, Job job);
  int threads() const { return thread_count_; }
  // Bulk jobs that run at once.
  int bulk_threads() const { return std::max(threads() - 1, 1); }

 private:
  // What shares a disk's place among the threads.
  using Lane = std::pair<DiskId, bool>;  // true: sweeps
  struct Task {
    Priority priority;
    absl::optional<Lane> lane;
    absl::optional<uint64_t> turn;
    Job job;
    bool may_wait() const { return lane.has_value() || turn.has_value(); }
  };
  struct LaneJobs {
    int under_way = 0;  // queued or running, without the stuck ones
    int stuck = 0;
    std::deque<Task> waiting;
  };
  // A job that runs.
  struct Running {
    absl::Time begun;
    Priority priority;
    bool may_wait;
    absl::optional<Lane> lane;
    bool stuck = false;
    bool counts_in_lane = true;
  };
  struct Worker {
    std::thread thread;
    bool ended = false;
  };

  void Add(Task task) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddToLane(Lane lane, Task task) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LeaveLane(Lane lane) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndTurn(uint64_t key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StartThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Run(Worker* self);
  // False when a stand-in took the thread's place for good.
  bool End(std::list<Running>::iterator running, absl::optional<uint64_t> turn)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // On a thread of its own: finds stuck jobs.
  void Watch();
  void ReplaceStuck(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::list<Worker> TakeEnded() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayTakeBulk() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool HasSomethingToWatch() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !running_.empty();
  }
  bool IsDone() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_ && running_.empty() && urgent_.empty() && bulk_.empty();
  }

  const std::string thread_name_;
  const int thread_count_;
  const absl::Duration patience_;
  const std::function<void()> prepare_;
  mutable absl::Mutex mutex_;
  std::deque<Task> urgent_ ABSL_GUARDED_BY(mutex_);
  std::deque<Task> bulk_ ABSL_GUARDED_BY(mutex_);
  std::list<Running> running_ ABSL_GUARDED_BY(mutex_);  // as they began
  int bulk_running_ ABSL_GUARDED_BY(mutex_) = 0;        // without the stuck ones
  absl::flat_hash_map<Lane, LaneJobs> lanes_ ABSL_GUARDED_BY(mutex_);
  // Keys of which a job is queued or runs, with the jobs that wait for its end.
  absl::flat_hash_map<uint64_t, std::deque<Job>> turns_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  int able_ ABSL_GUARDED_BY(mutex_) = 0;  // threads that are not stuck
  int next_number_ ABSL_GUARDED_BY(mutex_) = 0;
  std::list<Worker> workers_ ABSL_GUARDED_BY(mutex_);
  TimedCondition done_;  // IsDone()
  std::thread watcher_;
};

}  // namespace p2p::store

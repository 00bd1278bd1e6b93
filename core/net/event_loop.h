// One thread that waits for sockets and timers, and runs what is posted to it. Owned by a
// composition root; Post is thread-safe, all else belongs to the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "asio/executor_work_guard.hpp"
#include "asio/io_context.hpp"
#include "core/net/fair_turns.h"

namespace p2p::net {

// For threads that move bulk, once: on a busy core, those that decide and answer users then go
// first. Does nothing where priorities do not belong to threads.
void LowerPriorityOfThisThread();

class EventLoop {
 public:
  // `thread_name` (at most 15 bytes) is what top and perf show.
  explicit EventLoop(std::string thread_name);
  // Stops and joins.
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  void Start();
  // Ends the loop after the handler that runs; what was posted and not run is destroyed, not run.
  void Stop();

  // Runs `task` on the loop's thread, in the order of posting. From any thread; never runs after
  // Stop.
  void Post(std::function<void()> task);
  // Runs `task` on the loop's thread and waits for it. Not from the loop's own thread; the loop
  // must run.
  void RunAndWait(std::function<void()> task);
  bool IsInLoop() const;

  // Post for threads that may outlive the loop: does nothing once it is gone.
  using WeakPoster = std::function<void(std::function<void()>)>;
  WeakPoster MakeWeakPoster();

  // Memory that is free for use until the running handler returns: 64 KiB, made when first asked
  // for.
  absl::Span<uint8_t> Scratch();

  // For what connections do; only on the loop's thread.
  FairTurns& turns() { return turns_; }

  asio::io_context& context() { return context_; }

 private:
  struct Gate;

  const std::string thread_name_;
  std::shared_ptr<Gate> gate_;
  std::vector<uint8_t> scratch_;
  FairTurns turns_;
  asio::io_context context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::thread thread_;
};

// A one-shot timer on the monotonic clock. Belongs to its loop's thread; destroyed or re-armed, an
// earlier arming never fires. Arming again for a later time costs no system call.
class Timer {
 public:
  explicit Timer(EventLoop* loop);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Calls `fire` at `when` (core/base/clock.h's time). absl::InfiniteFuture() only disarms.
  void Arm(absl::Time when, std::function<void()> fire);
  void Disarm();
  // absl::InfiniteFuture() when not armed.
  absl::Time due() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace p2p::net

// One thread that waits for sockets and timers, and runs what is posted to it. Owned by a composition root;
// Post is thread-safe, all else belongs to the loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "asio/io_context.hpp"

namespace p2p::net {

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

  // Runs `task` on the loop's thread, in the order of posting. From any thread.
  void Post(std::function<void()> task);
  // Runs `task` on the loop's thread and waits for it. Not from the loop's own thread; the loop must run.
  void RunAndWait(std::function<void()> task);
  bool IsInLoop() const;

  asio::io_context& context() { return context_; }

 private:
  const std::string thread_name_;
  asio::io_context context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::thread thread_;
};

// A one-shot timer on the monotonic clock. Belongs to its loop's thread; destroyed or re-armed, an earlier
// arming never fires.
class Timer {
 public:
  explicit Timer(EventLoop* loop);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Calls `fire` at `when` (core/base/clock.h's time). absl::InfiniteFuture() only disarms.
  void Arm(absl::Time when, std::function<void()> fire);
  void Disarm();
  absl::Time due() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace p2p::net

// Virtual time: events in the order of their times, and of their making where the times are equal.
#pragma once

#include <cstdint>
#include <queue>
#include <vector>

#include "absl/time/time.h"

namespace p2p::sim {

// Outlives every event that was set for it.
class EventHandler {
 public:
  virtual ~EventHandler() = default;
  // `what` is the handler's own word.
  virtual void OnEvent(uint32_t what) = 0;
};

class EventQueue {
 public:
  absl::Time now() const { return absl::UnixEpoch() + absl::Nanoseconds(now_); }
  double seconds() const { return now_ * 1e-9; }
  uint64_t handled() const { return handled_; }

  // A time that has passed means now.
  void At(absl::Time when, EventHandler* handler, uint32_t what) {
    Push(absl::ToInt64Nanoseconds(when - absl::UnixEpoch()), handler, what);
  }
  void In(absl::Duration delay, EventHandler* handler, uint32_t what) {
    Push(now_ + absl::ToInt64Nanoseconds(delay), handler, what);
  }
  void InSeconds(double delay, EventHandler* handler, uint32_t what) {
    Push(now_ + static_cast<int64_t>(delay * 1e9), handler, what);
  }
  // False when there is none.
  bool HandleNext() {
    if (events_.empty()) return false;
    const Event event = events_.top();
    events_.pop();
    now_ = event.when;
    ++handled_;
    event.handler->OnEvent(event.what);
    return true;
  }

 private:
  struct Event {
    int64_t when;  // nanoseconds
    uint64_t number;
    EventHandler* handler;
    uint32_t what;
    bool operator<(const Event& other) const {  // the earliest is at the top
      return when != other.when ? when > other.when : number > other.number;
    }
  };

  void Push(int64_t when, EventHandler* handler, uint32_t what) {
    events_.push({when < now_ ? now_ : when, made_++, handler, what});
  }

  int64_t now_ = 0;
  uint64_t made_ = 0;
  uint64_t handled_ = 0;
  std::priority_queue<Event> events_;
};

}  // namespace p2p::sim

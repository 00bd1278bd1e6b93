// The service manager's watchdog: told that the daemon lives for as long as every loop of it makes
// progress, so that a daemon that is stuck is started again. Owned by the composition root, with an
// event loop of its own that nothing else can hold up.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "core/net/event_loop.h"
#include "daemon/engine/engine.h"

namespace p2p::daemon {

// Finds out which loops run what is posted to them. One thread.
class ProgressWatch {
 public:
  explicit ProgressWatch(std::vector<engine::LoopHandle> loops);

  // The names of the loops that have not yet run what was posted last, with commas between; when
  // there are none, "", and each is asked again.
  std::string Check();

 private:
  struct Watched {
    engine::LoopHandle loop;
    std::shared_ptr<std::atomic<bool>> answered;  // shared with the task, which may outlive this
  };
  std::vector<Watched> watched_;
};

// The time within which this process's service manager wants to hear of it (WATCHDOG_USEC and
// WATCHDOG_PID, see sd_watchdog_enabled(3)), or none.
absl::optional<absl::Duration> WatchdogInterval();

class Watchdog {
 public:
  // Checks `loops` four times in each `interval`.
  Watchdog(std::vector<engine::LoopHandle> loops, absl::Duration interval);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  void Check();

  const absl::Duration interval_;
  ProgressWatch watch_;
  int silent_checks_ = 0;
  net::EventLoop loop_{"p2pd-watchdog"};
  absl::optional<net::Timer> timer_;
};

}  // namespace p2p::daemon

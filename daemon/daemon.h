// The running daemon: its parts, and what signals do to them. Owned by main.
//
// Main's thread only waits for signals, and stops: whatever disk a start or a reload waits for,
// SIGTERM gets through. Those run on a thread beside it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "core/base/timed_wait.h"
#include "daemon/config.h"
#include "daemon/control/call_threads.h"
#include "daemon/control/control_server.h"
#include "daemon/control/control_socket.h"
#include "daemon/control/engine_transfer_service.h"
#include "daemon/engine/engine.h"
#include "daemon/watchdog.h"

namespace p2p::daemon {

// Blocks the signals that Daemon::Run waits for. Before the first thread starts, so that no thread
// is interrupted.
void BlockAwaitedSignals();

class Daemon {
 public:
  // `load_config` reads the configuration again, on SIGHUP.
  Daemon(Config config, std::function<absl::StatusOr<Config>()> load_config)
      : config_(std::move(config)), load_config_(std::move(load_config)) {}

  // Returns after SIGTERM or SIGINT, stopped: OK. Else why it did not start. What then takes longer
  // than five seconds is cut off, and ends the process.
  absl::Status Run();

 private:
  // On the thread beside main's.
  absl::Status Start();
  absl::Status StartParts();
  void Reload();
  void LogFigures();

  // The rest on main's.
  void AwaitEnd();
  // Does `chore` on the other thread; asked for again before it began, it is done once.
  void Ask(std::atomic<bool>* wanted, void (Daemon::*chore)());
  void Stop();
  // From any thread. Only once: a second signal would end the process at once.
  void StopAsIfSignalled();

  Config config_;
  const std::function<absl::StatusOr<Config>()> load_config_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> reload_wanted_{false};
  std::atomic<bool> figures_wanted_{false};
  absl::Time next_figures_ = absl::InfinitePast();
  absl::Status start_result_;  // once `started_` is notified
  TimedNotification started_;
  std::unique_ptr<control::ControlSocket> socket_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<control::EngineTransferService> transfers_;
  std::unique_ptr<control::ControlServer> server_;
  absl::optional<Watchdog> watchdog_;
  // Destroyed first.
  std::unique_ptr<control::CallThreads> beside_;
};

}  // namespace p2p::daemon

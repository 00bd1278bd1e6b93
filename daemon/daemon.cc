#include "daemon/daemon.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/start_guard.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/logging.h"
#include "daemon/service_notify.h"
#include "spdlog/spdlog.h"

namespace p2p::daemon {
namespace {

// A stop that takes longer is cut off: what is committed is safe, the rest is checked at the next
// start.
constexpr unsigned kStopTimeoutSeconds = 5;
// Left to the engine of them.
constexpr absl::Duration kEngineStopTimeout = absl::Seconds(4);

// Then nothing is lost by an end that is cut off.
std::atomic<bool> everything_is_committed{false};

sigset_t SetOf(std::initializer_list<int> numbers) {
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : numbers) sigaddset(&signals, number);
  return signals;
}

sigset_t AwaitedSignals() { return SetOf({SIGTERM, SIGINT, SIGHUP, SIGUSR1}); }

void EndAtOnce(int) {
  constexpr char kMessage[] =
      "p2pd: ended at once; what was not committed is checked at the next start\n";
  if (everything_is_committed) _exit(EXIT_SUCCESS);
  // Where nobody reads it, it is not worth waiting for.
  pollfd room{STDERR_FILENO, POLLOUT, 0};
  if (poll(&room, 1, 0) != 0) (void)!write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
  _exit(EXIT_FAILURE);
}

// From here on SIGTERM, SIGINT or the time limit end the process at once.
void LetSignalsEndTheProcess() {
  struct sigaction end_at_once {};
  end_at_once.sa_handler = EndAtOnce;
  for (int signal : {SIGTERM, SIGINT, SIGALRM}) sigaction(signal, &end_at_once, nullptr);
  const sigset_t unblocked = SetOf({SIGTERM, SIGINT, SIGALRM});
  pthread_sigmask(SIG_UNBLOCK, &unblocked, nullptr);
  alarm(kStopTimeoutSeconds);
}

engine::EngineOptions EngineOptionsOf(const Config& config) {
  engine::EngineOptions options;
  options.state_dir = config.state_dir;
  options.download_dir = config.download_dir;
  options.listen = config.listen;
  options.trackers = config.trackers;
  options.congestion_control = config.congestion_control;
  options.worker_threads = config.worker_threads;
  options.allow_unverified = config.allow_unverified;
  return options;
}

}  // namespace

void BlockAwaitedSignals() {
  const sigset_t signals = AwaitedSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

absl::Status Daemon::Run() {
  absl::optional<StartGuard> guard("p2pd");  // also while half of a start is taken down
  try {
    beside_ = std::make_unique<control::CallThreads>(1);
  } catch (const std::system_error& error) {
    return absl::UnavailableError(absl::StrCat("cannot start: ", error.what()));
  }
  beside_->Run([this, &guard] {
    start_result_ = Start();
    if (start_result_.ok()) guard.reset();
    started_.Notify();
    if (!start_result_.ok()) StopAsIfSignalled();
  });
  AwaitEnd();
  stopping_ = true;
  LetSignalsEndTheProcess();
  started_.WaitFor(absl::InfiniteDuration());
  if (start_result_.ok()) {
    Stop();
    return absl::OkStatus();
  }
  beside_.reset();
  server_.reset();
  transfers_.reset();
  engine_.reset();
  socket_.reset();
  return start_result_;
}

absl::Status Daemon::Start() {
  try {
    return StartParts();
  } catch (const std::system_error& error) {  // from Asio and std::thread
    return absl::UnavailableError(absl::StrCat("cannot start: ", error.what()));
  }
}

absl::Status Daemon::StartParts() {
  P2P_ASSIGN_OR_RETURN(socket_, control::ControlSocket::Claim({config_.socket, config_.group}));
  P2P_ASSIGN_OR_RETURN(engine_, engine::Engine::Start(EngineOptionsOf(config_)));
  transfers_ = std::make_unique<control::EngineTransferService>(engine_.get());
  P2P_ASSIGN_OR_RETURN(server_, control::ControlServer::Serve(socket_.get(), transfers_.get(),
                                                              [this] { StopAsIfSignalled(); }));
  spdlog::info("p2pd {} listening on {}; control socket {}", P2P_VERSION, engine_->listen(),
               Printable(socket_->path()));
  NotifyServiceManager("READY=1");
  const auto watchdog_interval = WatchdogInterval();
  if (watchdog_interval) watchdog_.emplace(engine_->Loops(), *watchdog_interval);
  return absl::OkStatus();
}

void Daemon::AwaitEnd() {
  const sigset_t signals = AwaitedSignals();
  for (;;) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    if (signal == SIGHUP) {
      Ask(&reload_wanted_, &Daemon::Reload);
    } else if (signal == SIGUSR1) {
      Ask(&figures_wanted_, &Daemon::LogFigures);
    } else {
      return;
    }
  }
}

void Daemon::Ask(std::atomic<bool>* wanted, void (Daemon::*chore)()) {
  if (wanted->exchange(true)) return;
  beside_->Run([this, wanted, chore] {
    *wanted = false;
    if (engine_ != nullptr && server_ != nullptr && !stopping_) (this->*chore)();
  });
}

void Daemon::StopAsIfSignalled() {
  if (!stopping_.exchange(true)) kill(getpid(), SIGTERM);
}

void Daemon::Stop() {
  NotifyServiceManager("STOPPING=1");
  spdlog::info("stopping");
  watchdog_.reset();
  // First of all: no call of a client, and no disk that one waits for, comes before what is to be
  // committed.
  everything_is_committed = engine_->Stop(kEngineStopTimeout);
  server_->Stop();
  beside_.reset();
  server_.reset();
  transfers_.reset();
  engine_.reset();
  socket_.reset();
}

void Daemon::Reload() {
  const int64_t now_us = absl::ToInt64Microseconds(MonotonicNow() - absl::UnixEpoch());
  NotifyServiceManager(absl::StrCat("RELOADING=1\nMONOTONIC_USEC=", now_us));
  auto config = load_config_();
  if (stopping_) return;
  if (!config.ok()) {
    const std::string reason(config.status().message());
    spdlog::error("the configuration stays as it was: {}", reason);
    NotifyServiceManager(absl::StrCat("READY=1\nSTATUS=configuration not reloaded: ", reason));
    return;
  }
  if (config->socket != config_.socket || config->group != config_.group) {
    spdlog::warn("a new socket or group is used from the next start on");
  }
  config_ = *std::move(config);
  SetLogLevel(config_.log_level);
  engine_->Reconfigure(EngineOptionsOf(config_));
  spdlog::info("configuration reloaded");
  NotifyServiceManager("READY=1\nSTATUS=");
}

// At most once a second: whoever sends a storm of signals gets no storm of lines.
void Daemon::LogFigures() {
  const absl::Time now = MonotonicNow();
  if (now < next_figures_) return;
  next_figures_ = now + absl::Seconds(1);
  const absl::StatusOr<engine::DaemonInfo> info = engine_->Daemon();
  if (!info.ok()) return spdlog::error("no figures: {}", std::string(info.status().message()));
  spdlog::info("{} transfers, {} connections, received {} ({}/s), sent {} ({}/s)", info->transfers,
               info->connections, HumanBytes(info->bytes_down),
               HumanBytes(static_cast<uint64_t>(info->rate_down)), HumanBytes(info->bytes_up),
               HumanBytes(static_cast<uint64_t>(info->rate_up)));
}

}  // namespace p2p::daemon

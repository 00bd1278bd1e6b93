// p2pd: a peer that shares and fetches files. Flags and config -> control socket, engine, control
// server -> run until a signal -> stop.
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <initializer_list>
#include <iostream>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "core/base/clock.h"
#include "core/base/free_memory.h"
#include "core/base/start_guard.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "core/net/congestion_control.h"
#include "core/net/descriptors.h"
#include "daemon/config.h"
#include "daemon/control/control_server.h"
#include "daemon/control/control_socket.h"
#include "daemon/control/engine_transfer_service.h"
#include "daemon/engine/engine.h"
#include "daemon/logging.h"
#include "daemon/service_notify.h"
#include "daemon/store/catalog.h"
#include "daemon/watchdog.h"
#include "spdlog/spdlog.h"

namespace p2p::daemon {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitConfig = 78;  // EX_CONFIG of sysexits.h
// Left to the engine of the five seconds that a stop may take: the control server ends first.
constexpr absl::Duration kEngineStopTimeout = absl::Seconds(3);
// A stop that takes longer is cut off: what is committed is safe, the rest is checked at the next
// start.
constexpr unsigned kStopTimeoutSeconds = 5;

struct CommandLine {
  std::string config_file;
  bool check_config = false;
  Settings flags;
};

int Fail(int exit_code, const absl::Status& status) {
  std::cerr << "p2pd: " << std::string(status.message()) << "\n";
  return exit_code;
}

// The shell's current directory means nothing to the config file, but it does on the command line.
std::string AbsolutePath(const std::string& path) {
  if (path.empty() || path[0] == '/') return path;
  char* current = getcwd(nullptr, 0);
  if (current == nullptr) return path;
  std::string absolute = absl::StrCat(current, "/", path);
  std::free(current);
  return absolute;
}

// -1: go on; else the exit code.
int ParseCommandLine(int argc, char** argv, CommandLine* line) {
  CLI::App app(
      "A peer that shares and fetches files in verified chunks. p2pctl tells it what to do.",
      "p2pd");
  std::string state_dir, socket, listen, download_dir, congestion, group, log_level;
  std::vector<std::string> trackers;
  int64_t worker_threads = 0;
  app.add_option("--config", line->config_file,
                 "TOML file whose keys are these flags; see p2pd.toml")
      ->type_name("FILE");
  auto* state_dir_option =
      app.add_option("--state-dir", state_dir, "What the daemon remembers")->type_name("DIR");
  auto* socket_option =
      app.add_option("--socket", socket, "Where p2pctl reaches it")->type_name("PATH");
  auto* listen_option =
      app.add_option("--listen", listen,
                     "Where peers reach it (default port 9001); port 0 takes a free one")
          ->type_name("HOST:PORT");
  auto* trackers_option =
      app.add_option("--tracker", trackers, "A tracker to use; may be given more than once")
          ->type_name("HOST:PORT")
          ->allow_extra_args(false)
          ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  auto* download_dir_option = app.add_option("--download-dir", download_dir,
                                             "Where downloads without a path of their own go")
                                  ->type_name("DIR");
  auto* congestion_option =
      app.add_option("--congestion-control", congestion,
                     "TCP congestion control towards peers: auto, system, or a name such as bbr")
          ->type_name("NAME");
  auto* group_option =
      app.add_option("--group", group,
                     "Its members may use the socket, besides root and the daemon's user")
          ->type_name("NAME");
  auto* log_level_option =
      app.add_option("--log-level", log_level, "debug, info, warning or error")->type_name("LEVEL");
  auto* worker_threads_option =
      app.add_option("--worker-threads", worker_threads,
                     "Threads that hash and use the disk; 0 (default): chosen by cores")
          ->type_name("NUMBER");
  auto* allow_unverified_option =
      app.add_flag("--allow-unverified",
                   "Downloads may come from peers of the original protocol, which have no hashes");
  app.add_flag("--check-config", line->check_config, "Only check flags and config");
  app.set_version_flag("--version", "p2pd " P2P_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::cerr << "p2pd: " << error.what() << "; see p2pd --help\n";
    return kExitUsage;
  }
  if (*state_dir_option) line->flags.state_dir = AbsolutePath(state_dir);
  if (*socket_option) line->flags.socket = AbsolutePath(socket);
  if (*listen_option) line->flags.listen = listen;
  if (*trackers_option) line->flags.trackers = trackers;
  if (*download_dir_option) line->flags.download_dir = AbsolutePath(download_dir);
  if (*congestion_option) line->flags.congestion_control = congestion;
  if (*group_option) line->flags.group = group;
  if (*log_level_option) line->flags.log_level = log_level;
  if (*worker_threads_option) line->flags.worker_threads = worker_threads;
  if (*allow_unverified_option) line->flags.allow_unverified = true;
  return -1;
}

absl::StatusOr<Config> LoadConfig(const CommandLine& line) {
  Settings file;
  if (!line.config_file.empty()) {
    P2P_ASSIGN_OR_RETURN(file, ReadSettings(line.config_file));
  }
  return Complete(Override(file, line.flags), Environment::OfThisProcess());
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

int ExitCodeOf(const absl::Status& failure) {
  return absl::IsInvalidArgument(failure) ? kExitConfig : kExitFailed;
}

// What a start would say of settings that are well formed and mean nothing on this system.
absl::Status CheckOnThisSystem(const Config& config) {
  P2P_RETURN_IF_ERROR(control::ControlSocket::Check({config.socket, config.group}));
  return net::CheckCongestionControl(config.congestion_control);
}

// A place for downloads that is not there yet is made; where it cannot be, downloads with a path of
// their own still work.
void PrepareDownloadDir(const std::string& path) {
  constexpr uint32_t kWhatTheUmaskAllows = 0777;
  const absl::Status made = store::MakeDirectories(path, kWhatTheUmaskAllows);
  if (!made.ok()) spdlog::warn("{}", std::string(made.message()));
}

// The signals that Daemon::Run waits for. Blocked before the first thread starts, so that no thread
// is interrupted.
sigset_t AwaitedSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&signals, signal);
  return signals;
}

// From here on SIGTERM, SIGINT or the time limit end the process at once.
void LetSignalsEndTheProcess() {
  struct sigaction end_at_once {};
  end_at_once.sa_handler = [](int) {
    constexpr char kMessage[] =
        "p2pd: ended at once; what was not committed is checked at the next start\n";
    // Where nobody reads it, it is not worth waiting for.
    pollfd room{STDERR_FILENO, POLLOUT, 0};
    if (poll(&room, 1, 0) != 0) (void)!write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
    _exit(kExitFailed);
  };
  for (int signal : {SIGTERM, SIGINT, SIGALRM}) sigaction(signal, &end_at_once, nullptr);
  sigset_t unblocked;
  sigemptyset(&unblocked);
  for (int signal : {SIGTERM, SIGINT, SIGALRM}) sigaddset(&unblocked, signal);
  pthread_sigmask(SIG_UNBLOCK, &unblocked, nullptr);
  alarm(kStopTimeoutSeconds);
}

// Not to go on with half of what was to be done: what is committed is safe, and a service manager
// starts the daemon again.
void EndForWantOfMemory() {
  constexpr char kMessage[] =
      "p2pd: out of memory; what was not committed is checked at the next start\n";
  (void)!write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
  _exit(kExitFailed);
}

// The running parts, and what signals do to them. One thread.
class Daemon {
 public:
  Daemon(CommandLine line, Config config) : line_(std::move(line)), config_(std::move(config)) {}

  absl::Status Start() {
    P2P_ASSIGN_OR_RETURN(socket_, control::ControlSocket::Claim({config_.socket, config_.group}));
    PrepareDownloadDir(config_.download_dir);
    P2P_ASSIGN_OR_RETURN(engine_, engine::Engine::Start(EngineOptionsOf(config_)));
    transfers_ = std::make_unique<control::EngineTransferService>(engine_.get());
    P2P_ASSIGN_OR_RETURN(server_, control::ControlServer::Serve(socket_.get(), transfers_.get(),
                                                                [this] { StopAsIfSignalled(); }));
    spdlog::info("p2pd {} listening on {}; control socket {}", P2P_VERSION,
                 engine_->Daemon().listen, Printable(socket_->path()));
    NotifyServiceManager("READY=1");
    const auto watchdog_interval = WatchdogInterval();
    if (watchdog_interval) watchdog_.emplace(engine_->Loops(), *watchdog_interval);
    return absl::OkStatus();
  }

  // Returns after SIGTERM or SIGINT.
  void Run() {
    const sigset_t signals = AwaitedSignals();
    for (;;) {
      int signal = 0;
      if (sigwait(&signals, &signal) != 0) continue;
      if (signal == SIGHUP) {
        Reload();
      } else if (signal == SIGUSR1) {
        LogFigures();
      } else {
        return;
      }
    }
  }

  void Stop() {
    stopping_ = true;
    NotifyServiceManager("STOPPING=1");
    LetSignalsEndTheProcess();
    spdlog::info("stopping");
    watchdog_.reset();
    engine_->EndWaits();
    server_->Stop();
    engine_->Stop(kEngineStopTimeout);
    server_.reset();
    transfers_.reset();
    engine_.reset();
    socket_.reset();
  }

 private:
  // From any thread. Only once: a second signal would end the process at once.
  void StopAsIfSignalled() {
    if (!stopping_.exchange(true)) kill(getpid(), SIGTERM);
  }

  void Reload() {
    const int64_t now_us = absl::ToInt64Microseconds(MonotonicNow() - absl::UnixEpoch());
    NotifyServiceManager(absl::StrCat("RELOADING=1\nMONOTONIC_USEC=", now_us));
    auto config = LoadConfig(line_);
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
    PrepareDownloadDir(config_.download_dir);
    engine_->Reconfigure(EngineOptionsOf(config_));
    spdlog::info("configuration reloaded");
    NotifyServiceManager("READY=1\nSTATUS=");
  }

  // At most once a second: whoever sends a storm of signals gets no storm of lines.
  void LogFigures() {
    const absl::Time now = MonotonicNow();
    if (now < next_figures_) return;
    next_figures_ = now + absl::Seconds(1);
    const engine::DaemonInfo info = engine_->Daemon();
    spdlog::info("{} transfers, {} connections, received {} ({}/s), sent {} ({}/s)", info.transfers,
                 info.connections, HumanBytes(info.bytes_down),
                 HumanBytes(static_cast<uint64_t>(info.rate_down)), HumanBytes(info.bytes_up),
                 HumanBytes(static_cast<uint64_t>(info.rate_up)));
  }

  const CommandLine line_;
  Config config_;
  std::atomic<bool> stopping_{false};
  absl::Time next_figures_ = absl::InfinitePast();
  std::unique_ptr<control::ControlSocket> socket_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<control::EngineTransferService> transfers_;
  std::unique_ptr<control::ControlServer> server_;
  absl::optional<Watchdog> watchdog_;
};

int Run(int argc, char** argv) {
  CommandLine line;
  const int exit_code = ParseCommandLine(argc, argv, &line);
  if (exit_code >= 0) return exit_code;
  const absl::Status flags_ok = CheckFlags(line.flags);
  if (!flags_ok.ok()) return Fail(kExitUsage, flags_ok);
  auto config = LoadConfig(line);
  if (!config.ok()) return Fail(kExitConfig, config.status());
  if (line.check_config) {
    const absl::Status usable = CheckOnThisSystem(*config);
    if (!usable.ok()) return Fail(ExitCodeOf(usable), usable);
    std::cout << "the configuration is good\n";
    return EXIT_SUCCESS;
  }
  const absl::Status descriptors = net::CheckDescriptorLimit();
  if (!descriptors.ok()) return Fail(kExitFailed, descriptors);
  const sigset_t signals = AwaitedSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  StartLogging(config->log_level);
  absl::optional<StartGuard> guard("p2pd");  // also while half of a start is taken down
  Daemon daemon(std::move(line), *std::move(config));
  absl::Status started;
  try {
    started = daemon.Start();
  } catch (const std::system_error& error) {  // from Asio and std::thread
    started = absl::UnavailableError(absl::StrCat("cannot start: ", error.what()));
  }
  if (!started.ok()) return Fail(ExitCodeOf(started), started);
  guard.reset();
  daemon.Run();
  daemon.Stop();
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace p2p::daemon

int main(int argc, char** argv) {
  p2p::KeepFreeMemoryTogether();
  p2p::net::HoldStandardDescriptors();
  p2p::net::RaiseDescriptorLimit();
  std::set_new_handler(p2p::daemon::EndForWantOfMemory);
  // A peer that goes away, or a file that may not grow, is an error of one call, never the end of
  // the process.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
#ifdef NDEBUG
  // Debian's Abseil looks for deadlocks at every lock, under one lock of the whole process.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
  return p2p::daemon::Run(argc, argv);
}

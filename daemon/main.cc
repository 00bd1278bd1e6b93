// p2pd: a peer that shares and fetches files. Flags and config -> Daemon, which runs until a
// signal.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/base/free_memory.h"
#include "core/base/status.h"
#include "core/net/congestion_control.h"
#include "core/net/descriptors.h"
#include "daemon/config.h"
#include "daemon/control/control_socket.h"
#include "daemon/daemon.h"
#include "daemon/logging.h"

namespace p2p::daemon {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitConfig = 78;  // EX_CONFIG of sysexits.h

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

int ExitCodeOf(const absl::Status& failure) {
  return absl::IsInvalidArgument(failure) ? kExitConfig : kExitFailed;
}

// What a start would say of settings that are well formed and mean nothing on this system.
absl::Status CheckOnThisSystem(const Config& config) {
  P2P_RETURN_IF_ERROR(control::ControlSocket::Check({config.socket, config.group}));
  return net::CheckCongestionControl(config.congestion_control);
}

// Not to go on with half of what was to be done: what is committed is safe, and a service manager
// starts the daemon again.
void EndForWantOfMemory() {
  constexpr char kMessage[] =
      "p2pd: out of memory; what was not committed is checked at the next start\n";
  (void)!write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
  _exit(kExitFailed);
}

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
  BlockAwaitedSignals();
  StartLogging(config->log_level);
  Daemon daemon(*std::move(config), [line = std::move(line)] { return LoadConfig(line); });
  const absl::Status started = daemon.Run();
  return started.ok() ? EXIT_SUCCESS : Fail(ExitCodeOf(started), started);
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

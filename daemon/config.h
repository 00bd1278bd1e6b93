// What the operator chose: the TOML file's keys, the flags that override them, and the defaults
// under both. Plain values; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace p2p::daemon {

// What one source (the file, the flags) says; what it does not say is absent. Each field has the
// name of its key.
struct Settings {
  absl::optional<std::string> state_dir;
  absl::optional<std::string> socket;
  absl::optional<std::string> listen;                 // literal HOST:PORT; port 0 takes a free one
  absl::optional<std::vector<std::string>> trackers;  // HOST:PORT
  absl::optional<std::string> download_dir;
  absl::optional<std::string> congestion_control;  // auto, system, or the kernel's name
  absl::optional<std::string> group;               // its members may use the control socket
  absl::optional<std::string> log_level;           // debug, info, warning, error
  absl::optional<int64_t> worker_threads;
  absl::optional<bool> allow_unverified;  // downloads from peers of the original protocol
};

// What the daemon runs with.
struct Config {
  std::string state_dir;
  std::string socket;
  std::string listen;
  std::vector<std::string> trackers;
  std::string download_dir;
  std::string congestion_control;
  std::string group;  // "": none
  std::string log_level;
  int worker_threads = 0;  // 0: chosen by the engine
  bool allow_unverified = false;
};

// The parts of the environment that defaults come from.
struct Environment {
  // The value of an environment variable, "" when it is not set.
  std::function<std::string(const char*)> get;
  unsigned user_id = 0;
  bool has_ipv6 = false;

  bool is_root() const { return user_id == 0; }
  static Environment OfThisProcess();
};

// `path` is only used in messages. InvalidArgument reads "path:line: what is wrong and what to
// write instead".
absl::StatusOr<Settings> ParseSettings(absl::string_view toml, absl::string_view path);

// The same for a file of at most kMaxConfigBytes; reads no more than that of it.
absl::StatusOr<Settings> ReadSettings(const std::string& path);
inline constexpr size_t kMaxConfigBytes = 1 << 20;

// The rules for values, as for those of the file; the message begins with "--flag".
absl::Status CheckFlags(const Settings& flags);

// `above` where it says something, else `below`.
Settings Override(const Settings& below, const Settings& above);

// Fills in the defaults. FailedPrecondition when the environment gives none (no HOME).
absl::StatusOr<Config> Complete(const Settings& settings, const Environment& environment);

}  // namespace p2p::daemon

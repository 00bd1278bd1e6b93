#include "daemon/config.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <numeric>
#include <string_view>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/limits.h"
#include "core/base/names.h"
#include "core/base/socket_path.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "core/net/address.h"
#include "core/net/congestion_control.h"
#include "core/net/socket.h"
#include "toml++/toml.h"

namespace p2p::daemon {
namespace {

// Takes IPv4 as well.
constexpr char kListenEverywhere[] = "[::]:9001";
constexpr char kListenIpv4[] = "0.0.0.0:9001";

absl::Status CheckPath(const std::string& value) {
  if (value.empty()) return absl::InvalidArgumentError("must not be empty");
  if (value.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError("must not hold a NUL character");
  }
  if (value[0] != '/') {
    return absl::InvalidArgumentError(absl::StrCat(
        "must be an absolute path, one that begins with '/', not \"", Printable(value), "\""));
  }
  return absl::OkStatus();
}

absl::Status CheckListen(const std::string& value) {
  return net::ParseEndpoint(value, /*allow_port_zero=*/true).status();
}

absl::Status CheckTracker(const std::string& value) { return net::ParseHostPort(value).status(); }

absl::Status CheckCongestion(const std::string& value) { return net::CheckCongestionName(value); }

absl::Status CheckGroup(const std::string& value) {
  if (value.empty() || value.find_first_of(std::string("\0:\n", 3)) != std::string::npos) {
    return absl::InvalidArgumentError("must be the name of a group of this system");
  }
  return absl::OkStatus();
}

absl::Status CheckLogLevel(const std::string& value) {
  for (const char* level : {"debug", "info", "warning", "error"}) {
    if (value == level) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("must be debug, info, warning or error, not \"", Printable(value), "\""));
}

// One key with one value.
struct TextKey {
  const char* key;
  const char* flag;
  absl::optional<std::string> Settings::*field;
  absl::Status (*check)(const std::string&);
};
constexpr TextKey kTextKeys[] = {
    {"state_dir", "--state-dir", &Settings::state_dir, CheckPath},
    {"socket", "--socket", &Settings::socket, CheckPath},
    {"listen", "--listen", &Settings::listen, CheckListen},
    {"download_dir", "--download-dir", &Settings::download_dir, CheckPath},
    {"congestion_control", "--congestion-control", &Settings::congestion_control, CheckCongestion},
    {"group", "--group", &Settings::group, CheckGroup},
    {"log_level", "--log-level", &Settings::log_level, CheckLogLevel},
};
absl::Status CheckWorkerThreads(int64_t value) {
  if (value >= 0 && value <= limits::kMaxWorkerThreads) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("must be between 0 (chosen by the daemon) and ",
                                                 limits::kMaxWorkerThreads, ", not ", value));
}

// The one key with a truth value.
constexpr char kAllowUnverifiedKey[] = "allow_unverified";
// The one key with a number.
constexpr char kWorkerThreadsKey[] = "worker_threads";
// The one key with a list.
constexpr char kTrackersKey[] = "trackers";

// Edits (insert, delete, replace) that turn `a` into `b`. Keys are short: a quadratic time does no
// harm.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::string UnknownKey(absl::string_view key) {
  std::vector<absl::string_view> known = {kTrackersKey, kWorkerThreadsKey, kAllowUnverifiedKey};
  for (const TextKey& k : kTextKeys) known.push_back(k.key);
  std::sort(known.begin(), known.end());
  const std::string shown = Printable(key, 64);
  if (key.size() <= 64) {
    const auto nearest = std::min_element(known.begin(), known.end(), [&](auto a, auto b) {
      return EditDistance(key, a) < EditDistance(key, b);
    });
    if (EditDistance(key, *nearest) <= std::max<size_t>(2, nearest->size() / 3)) {
      return absl::StrCat("unknown key \"", shown, "\"; did you mean \"", *nearest, "\"?");
    }
  }
  return absl::StrCat("unknown key \"", shown, "\"; the keys are ", absl::StrJoin(known, ", "));
}

// What a value of the wrong type is called in messages.
absl::string_view TypeName(const toml::node& node) {
  if (node.is_string()) return "text";
  if (node.is_boolean()) return "a truth value";
  if (node.is_number()) return "a number";
  if (node.is_array()) return "a list";
  if (node.is_table()) return "a table";
  return "a date or time";
}

// Turns one file's table into Settings, keeping the place of each error.
class SettingsReader {
 public:
  explicit SettingsReader(absl::string_view path) : path_(path) {}

  absl::StatusOr<Settings> Read(const toml::table& table) const {
    Settings settings;
    for (auto&& [key, node] : table) {
      const absl::string_view name(key.data(), key.length());
      P2P_RETURN_IF_ERROR(ReadKey(name, key.source().begin.line, node, &settings));
    }
    return settings;
  }

  absl::Status Error(uint32_t line, absl::string_view message) const {
    return absl::InvalidArgumentError(absl::StrCat(path_, ":", line, ": ", message));
  }

 private:
  absl::Status ReadKey(absl::string_view name, uint32_t line, const toml::node& node,
                       Settings* settings) const {
    if (name == kTrackersKey) return ReadTrackers(line, node, settings);
    if (name == kWorkerThreadsKey) return ReadWorkerThreads(line, node, settings);
    if (name == kAllowUnverifiedKey) return ReadAllowUnverified(line, node, settings);
    for (const TextKey& key : kTextKeys) {
      if (name != key.key) continue;
      if (!node.is_string()) {
        return Error(line, absl::StrCat(name, " must be text in quotes, not ", TypeName(node)));
      }
      settings->*key.field = node.as_string()->get();
      return At(line, name, key.check(*(settings->*key.field)));
    }
    return Error(line, UnknownKey(name));
  }

  absl::Status ReadTrackers(uint32_t line, const toml::node& node, Settings* settings) const {
    const toml::array* list = node.as_array();
    if (list == nullptr) {
      return Error(line, absl::StrCat("trackers must be a list such as [\"192.0.2.1:8080\"], not ",
                                      TypeName(node)));
    }
    settings->trackers.emplace();
    for (const toml::node& element : *list) {
      const uint32_t at = element.source().begin.line;
      if (!element.is_string()) {
        return Error(at,
                     absl::StrCat("trackers must hold text in quotes, not ", TypeName(element)));
      }
      settings->trackers->push_back(element.as_string()->get());
      P2P_RETURN_IF_ERROR(At(at, kTrackersKey, CheckTracker(settings->trackers->back())));
    }
    return absl::OkStatus();
  }

  absl::Status ReadWorkerThreads(uint32_t line, const toml::node& node, Settings* settings) const {
    if (!node.is_integer()) {
      return Error(line, absl::StrCat("worker_threads must be a whole number, not ",
                                      node.is_number() ? "a fraction" : TypeName(node)));
    }
    settings->worker_threads = node.as_integer()->get();
    return At(line, kWorkerThreadsKey, CheckWorkerThreads(*settings->worker_threads));
  }

  absl::Status ReadAllowUnverified(uint32_t line, const toml::node& node,
                                   Settings* settings) const {
    if (!node.is_boolean()) {
      return Error(line,
                   absl::StrCat("allow_unverified must be true or false, not ", TypeName(node)));
    }
    settings->allow_unverified = node.as_boolean()->get();
    return absl::OkStatus();
  }

  absl::Status At(uint32_t line, absl::string_view name, const absl::Status& status) const {
    return status.ok() ? status : Error(line, absl::StrCat(name, ": ", status.message()));
  }

  const std::string path_;
};

absl::StatusOr<std::string> DefaultStateDir(const Environment& environment) {
  // systemd separates several directories with ':'; the first is ours.
  const std::string given = environment.get("STATE_DIRECTORY");
  if (!given.empty()) return given.substr(0, given.find(':'));
  if (environment.is_root()) return std::string("/var/lib/p2pd");
  const std::string state_home = environment.get("XDG_STATE_HOME");
  if (!state_home.empty()) return absl::StrCat(state_home, "/p2pd");
  const std::string home = environment.get("HOME");
  if (!home.empty()) return absl::StrCat(home, "/.local/state/p2pd");
  return absl::FailedPreconditionError(
      "there is no place for the daemon's state: HOME is not set; give --state-dir");
}

// A service keeps downloads with its state; a person finds them where browsers put theirs.
absl::StatusOr<std::string> DefaultDownloadDir(const std::string& state_dir,
                                               const Environment& environment) {
  if (environment.is_root() || !environment.get("STATE_DIRECTORY").empty()) {
    return absl::StrCat(state_dir, "/downloads");
  }
  const std::string chosen = environment.get("XDG_DOWNLOAD_DIR");
  if (!chosen.empty()) return chosen;
  const std::string home = environment.get("HOME");
  if (!home.empty()) return absl::StrCat(home, "/Downloads");
  return absl::FailedPreconditionError(
      "there is no place for downloads: HOME is not set; give --download-dir");
}

// Where p2pctl looks first for a daemon like this one. A person's daemon leaves the system's socket
// alone.
std::string DefaultSocket(const Environment& environment) {
  SocketSurroundings surroundings;
  surroundings.p2p_socket = environment.get("P2P_SOCKET");
  surroundings.xdg_runtime_dir = environment.get("XDG_RUNTIME_DIR");
  surroundings.system_socket_exists =
      environment.is_root() || !environment.get("RUNTIME_DIRECTORY").empty();
  surroundings.user_id = environment.user_id;
  return ChooseSocketPath(surroundings);
}

}  // namespace

Environment Environment::OfThisProcess() {
  Environment environment;
  environment.get = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  environment.user_id = geteuid();
  const int probe = net::OpenSocket(AF_INET6);
  environment.has_ipv6 = probe >= 0;
  if (probe >= 0) close(probe);
  return environment;
}

absl::StatusOr<Settings> ParseSettings(absl::string_view toml, absl::string_view path) {
  const SettingsReader reader(path);
  const toml::parse_result parsed = toml::parse(std::string_view(toml.data(), toml.size()));
  if (!parsed) {
    const std::string_view text = parsed.error().description();
    return reader.Error(std::max<uint32_t>(1, parsed.error().source().begin.line),
                        Printable(absl::string_view(text.data(), text.size())));
  }
  return reader.Read(parsed.table());
}

absl::StatusOr<Settings> ReadSettings(const std::string& path) {
  // O_NONBLOCK: a FIFO must not hold up the start.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("cannot read the configuration ", path));
  const absl::Cleanup closer = [fd] { close(fd); };
  struct stat info {};
  if (fstat(fd, &info) != 0) return ErrnoStatus(errno, absl::StrCat("cannot read ", path));
  if (!S_ISREG(info.st_mode) && !S_ISCHR(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is not a file; --config takes a TOML file"));
  }
  std::string text;
  char buffer[16 * 1024];
  while (text.size() <= kMaxConfigBytes) {
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, absl::StrCat("cannot read the configuration ", path));
    if (n == 0) return ParseSettings(text, path);
    text.append(buffer, static_cast<size_t>(n));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      path, ": is larger than ", HumanBytes(kMaxConfigBytes), ", too large for a configuration"));
}

absl::Status CheckFlags(const Settings& flags) {
  for (const TextKey& key : kTextKeys) {
    const absl::optional<std::string>& value = flags.*key.field;
    if (value.has_value()) P2P_RETURN_IF_ERROR(Annotate(key.check(*value), key.flag));
  }
  for (const std::string& tracker : flags.trackers.value_or(std::vector<std::string>())) {
    P2P_RETURN_IF_ERROR(Annotate(CheckTracker(tracker), "--tracker"));
  }
  return Annotate(CheckWorkerThreads(flags.worker_threads.value_or(0)), "--worker-threads");
}

Settings Override(const Settings& below, const Settings& above) {
  Settings result = below;
  for (const TextKey& key : kTextKeys) {
    if ((above.*key.field).has_value()) result.*key.field = above.*key.field;
  }
  if (above.trackers.has_value()) result.trackers = above.trackers;
  if (above.worker_threads.has_value()) result.worker_threads = above.worker_threads;
  if (above.allow_unverified.has_value()) result.allow_unverified = above.allow_unverified;
  return result;
}

absl::StatusOr<Config> Complete(const Settings& settings, const Environment& environment) {
  Config config;
  if (settings.state_dir.has_value()) {
    config.state_dir = *settings.state_dir;
  } else {
    P2P_ASSIGN_OR_RETURN(config.state_dir, DefaultStateDir(environment));
  }
  if (settings.download_dir.has_value()) {
    config.download_dir = *settings.download_dir;
  } else {
    P2P_ASSIGN_OR_RETURN(config.download_dir, DefaultDownloadDir(config.state_dir, environment));
  }
  config.socket = settings.socket.value_or(DefaultSocket(environment));
  config.listen = settings.listen.value_or(environment.has_ipv6 ? kListenEverywhere : kListenIpv4);
  config.trackers = settings.trackers.value_or(std::vector<std::string>());
  config.congestion_control = settings.congestion_control.value_or(net::kCongestionAuto);
  config.group = settings.group.value_or("");
  config.log_level = settings.log_level.value_or("info");
  config.worker_threads = static_cast<int>(settings.worker_threads.value_or(0));
  config.allow_unverified = settings.allow_unverified.value_or(false);
  return config;
}

}  // namespace p2p::daemon

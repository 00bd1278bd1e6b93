#include "tracker/config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "core/net/address.h"
#include "toml++/toml.h"
#include "tracker/store_url.h"

namespace p2p::tracker {
namespace {

// For the loops, the log and the snapshot: a tracker needs few besides its connections.
constexpr int kSpareDescriptors = 128;

constexpr size_t kMaxConfigBytes = 64 << 10;
constexpr TextSetting kTextSettings[] = {
    {"listen", &Config::listen, "HOST:PORT", "Address to listen on; port 0 takes a free one"},
    {"state", &Config::state, "FILE",
     "Keep registrations there, so that they outlive a restart (default: not kept)"},
    {"store", &Config::store, "URL",
     "Share registrations with other trackers through Redis or a Redis Cluster: "
     "redis://[USER@]HOST:PORT/DB, rediss:// for TLS, HOST:PORT,HOST:PORT for nodes of a cluster "
     "(default: not shared)"},
    {"store_password_file", &Config::store_password_file, "FILE",
     "File whose first line is the store's password (default: $P2P_STORE_PASSWORD)"},
    {"store_ca", &Config::store_ca, "FILE",
     "Certificates (PEM) that the store's must be signed by (default: the system's)"},
};
constexpr SwitchSetting kSwitchSettings[] = {
    {"trust_addresses", &Config::trust_addresses,
     "Let peers register addresses other than the one they connect from"},
    {"public_stats", &Config::public_stats, "Answer STATS to everybody, not to loopback only"},
    {"access_log", &Config::access_log, "Log every request with its answer"},
};
constexpr NumberSetting kNumberSettings[] = {
    {"ttl", &Config::ttl, 1, 24 * 60 * 60, "SECONDS",
     "How long a registration lives unless it is renewed (default 120)"},
    {"max_connections", &Config::max_connections, 1, 10'000'000, "N",
     "Connections of all addresses (default 100000)"},
    {"max_connections_per_address", &Config::max_connections_per_address, 1, 10'000'000, "N",
     "Connections of one address, or /64 of IPv6 (default 64)"},
    {"max_new_connections_per_second", &Config::max_new_connections_per_second, 1, 10'000'000, "N",
     "New connections of one address, or /64 of IPv6, a second (default 100)"},
    {"max_registrations_per_address", &Config::max_registrations_per_address, 1, 2'000'000'000, "N",
     "Registrations of one address, or /64 of IPv6 (default 1000)"},
    {"max_memory", &Config::max_memory, 1, 1 << 20, "MIB",
     "Memory of all registrations, estimated (default 1024)"},
};

// Every key, in order, for the error about an unknown one.
std::string AllKeys() {
  std::vector<absl::string_view> keys;
  for (const auto& setting : kTextSettings) keys.push_back(setting.key);
  for (const auto& setting : kSwitchSettings) keys.push_back(setting.key);
  for (const auto& setting : kNumberSettings) keys.push_back(setting.key);
  std::sort(keys.begin(), keys.end());
  return absl::StrJoin(keys, ", ");
}

absl::Status ReadKey(absl::string_view key, const toml::node& node, Config* config) {
  for (const TextSetting& setting : kTextSettings) {
    if (key != setting.key) continue;
    const auto text = node.value_exact<std::string>();
    if (!text.has_value()) return absl::InvalidArgumentError("must be text in quotes");
    config->*setting.value = *text;
    if (key == "listen") return net::ParseEndpoint(*text, /*allow_port_zero=*/true).status();
    if (key == "store") return ParseStoreUrl(*text).status();
    return absl::OkStatus();
  }
  for (const SwitchSetting& setting : kSwitchSettings) {
    if (key != setting.key) continue;
    const auto value = node.value_exact<bool>();
    if (!value.has_value()) return absl::InvalidArgumentError("must be true or false");
    config->*setting.value = *value;
    return absl::OkStatus();
  }
  for (const NumberSetting& setting : kNumberSettings) {
    if (key != setting.key) continue;
    const auto number = node.value_exact<int64_t>();
    if (!number.has_value()) return absl::InvalidArgumentError("must be a number");
    config->*setting.value = *number;
    return CheckNumber(setting, *number);
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown key; the keys are ", AllKeys()));
}

template <typename Setting>
void TakeMissing(absl::Span<const Setting> settings, const Config& from, Config* to) {
  for (const Setting& setting : settings) {
    if (!(to->*setting.value).has_value()) to->*setting.value = from.*setting.value;
  }
}

}  // namespace

absl::Span<const TextSetting> TextSettings() { return kTextSettings; }
absl::Span<const SwitchSetting> SwitchSettings() { return kSwitchSettings; }
absl::Span<const NumberSetting> NumberSettings() { return kNumberSettings; }

absl::Status CheckNumber(const NumberSetting& setting, int64_t number) {
  if (number >= setting.min && number <= setting.max) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("must be ", setting.min, " to ", setting.max, ", not ", number));
}

Config Merge(const Config& flags, const Config& file) {
  Config merged = flags;
  TakeMissing(TextSettings(), file, &merged);
  TakeMissing(SwitchSettings(), file, &merged);
  TakeMissing(NumberSettings(), file, &merged);
  return merged;
}

ServerOptions OptionsOf(const Config& config) {
  ServerOptions options;
  options.listener.spare_descriptors = kSpareDescriptors;
  const auto set = [](const absl::optional<int64_t>& from, int* to) {
    if (from.has_value()) *to = static_cast<int>(*from);
  };
  if (config.ttl.has_value()) options.registry.ttl = absl::Seconds(*config.ttl);
  if (config.max_memory.has_value()) {
    options.registry.max_bytes = static_cast<size_t>(*config.max_memory) << 20;
  }
  set(config.max_registrations_per_address, &options.registry.max_registrations_per_ip);
  set(config.max_connections, &options.listener.max_connections);
  set(config.max_connections_per_address, &options.listener.max_connections_per_address);
  set(config.max_new_connections_per_second, &options.listener.max_new_connections_per_second);
  options.trust_addresses = config.trust_addresses.value_or(false);
  options.public_stats = config.public_stats.value_or(false);
  options.access_log = config.access_log.value_or(false);
  return options;
}

absl::StatusOr<Config> ParseConfig(absl::string_view text, absl::string_view path) {
  const auto error = [path](uint32_t line, absl::string_view message) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":", std::max<uint32_t>(1, line), ": ", message));
  };
  const toml::parse_result parsed = toml::parse(std::string_view(text.data(), text.size()));
  if (!parsed) {
    const std::string_view reason = parsed.error().description();
    return error(parsed.error().source().begin.line,
                 Printable(absl::string_view(reason.data(), reason.size())));
  }
  Config config;
  for (auto&& [key, node] : parsed.table()) {
    const absl::string_view name(key.data(), key.length());
    const absl::Status status = ReadKey(name, node, &config);
    if (!status.ok()) {
      return error(key.source().begin.line,
                   absl::StrCat(Printable(name, 64), ": ", status.message()));
    }
  }
  return config;
}

absl::StatusOr<Config> ReadConfigFile(const std::string& path) {
  // O_NONBLOCK: a FIFO must not hold up the start.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("cannot read the configuration ", path));
  const absl::Cleanup closer = [fd] { close(fd); };
  struct stat info {};
  if (fstat(fd, &info) != 0 || (!S_ISREG(info.st_mode) && !S_ISCHR(info.st_mode))) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is not a file; --config takes a TOML file"));
  }
  std::string text;
  char buffer[4096];
  while (text.size() <= kMaxConfigBytes) {
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, absl::StrCat("cannot read the configuration ", path));
    if (n == 0) return ParseConfig(text, path);
    text.append(buffer, static_cast<size_t>(n));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      path, ": is larger than ", HumanBytes(kMaxConfigBytes), ", too large for a configuration"));
}

}  // namespace p2p::tracker

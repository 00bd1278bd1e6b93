#include "tracker/config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "core/net/address.h"
#include "toml++/toml.h"

namespace p2p::tracker {
namespace {

constexpr size_t kMaxConfigBytes = 64 << 10;
constexpr int64_t kMaxTtlSeconds = 24 * 60 * 60;

absl::Status ReadKey(absl::string_view key, const toml::node& node, Config* config) {
  if (key == "listen") {
    const auto text = node.value_exact<std::string>();
    if (!text.has_value()) return absl::InvalidArgumentError("must be text in quotes");
    config->listen = *text;
    return net::ParseEndpoint(*text, /*allow_port_zero=*/true).status();
  }
  if (key == "ttl") {
    const auto seconds = node.value_exact<int64_t>();
    if (!seconds.has_value()) return absl::InvalidArgumentError("must be a number of seconds");
    P2P_ASSIGN_OR_RETURN(config->ttl, TtlFromSeconds(*seconds));
    return absl::OkStatus();
  }
  if (key == "trust_addresses") {
    const auto trust = node.value_exact<bool>();
    if (!trust.has_value()) return absl::InvalidArgumentError("must be true or false");
    config->trust_addresses = *trust;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("unknown key; the keys are listen, trust_addresses, ttl");
}

}  // namespace

absl::StatusOr<absl::Duration> TtlFromSeconds(int64_t seconds) {
  if (seconds < 1 || seconds > kMaxTtlSeconds) {
    return absl::InvalidArgumentError(
        absl::StrCat("must be 1 to ", kMaxTtlSeconds, " seconds, not ", seconds));
  }
  return absl::Seconds(seconds);
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

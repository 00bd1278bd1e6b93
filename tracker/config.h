// The tracker's settings, from the command line and a TOML file. Pure but for ReadConfigFile.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"

namespace p2p::tracker {

// What was said; the rest has its default.
struct Config {
  absl::optional<std::string> listen;  // "HOST:PORT"
  absl::optional<absl::Duration> ttl;
  absl::optional<bool> trust_addresses;
};

// 1 s to 1 day.
absl::StatusOr<absl::Duration> TtlFromSeconds(int64_t seconds);

// Errors are one line that starts with "<path>:<line>: ". Unknown keys are errors.
absl::StatusOr<Config> ParseConfig(absl::string_view text, absl::string_view path);
// A regular file of at most 64 KiB, else an error that starts with its path.
absl::StatusOr<Config> ReadConfigFile(const std::string& path);

}  // namespace p2p::tracker

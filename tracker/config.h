// The tracker's settings, from the command line and a TOML file. Pure but for ReadConfigFile.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "tracker/server.h"

namespace p2p::tracker {

// What was said; the rest has its default. Flags and keys have the same names, but for '-' and '_'.
struct Config {
  absl::optional<std::string> listen;  // "HOST:PORT"
  absl::optional<std::string> state;   // path of the snapshot
  absl::optional<std::string> store;   // URL (store_url.h)
  absl::optional<std::string> store_password_file;
  absl::optional<std::string> store_ca;  // path
  absl::optional<bool> trust_addresses;
  absl::optional<bool> public_stats;
  absl::optional<bool> access_log;
  absl::optional<int64_t> ttl;  // seconds
  absl::optional<int64_t> max_connections;
  absl::optional<int64_t> max_connections_per_address;
  absl::optional<int64_t> max_new_connections_per_second;
  absl::optional<int64_t> max_registrations_per_address;
  absl::optional<int64_t> max_memory;  // MiB
};

struct TextSetting {
  const char* key;
  absl::optional<std::string> Config::*value;
  const char* type;
  const char* help;
};
struct SwitchSetting {
  const char* key;
  absl::optional<bool> Config::*value;
  const char* help;
};
struct NumberSetting {
  const char* key;
  absl::optional<int64_t> Config::*value;
  int64_t min;
  int64_t max;
  const char* unit;
  const char* help;
};
absl::Span<const TextSetting> TextSettings();
absl::Span<const SwitchSetting> SwitchSettings();
absl::Span<const NumberSetting> NumberSettings();

// Whether a number may be given for a setting; the error has the number and the range.
absl::Status CheckNumber(const NumberSetting& setting, int64_t number);
// `flags`, and what only `file` says.
Config Merge(const Config& flags, const Config& file);
// What a running tracker may be told too.
ServerOptions OptionsOf(const Config& config);

// Errors are one line that starts with "<path>:<line>: ". Unknown keys are errors.
absl::StatusOr<Config> ParseConfig(absl::string_view text, absl::string_view path);
// A regular file of at most 64 KiB, else an error that starts with its path.
absl::StatusOr<Config> ReadConfigFile(const std::string& path);

}  // namespace p2p::tracker

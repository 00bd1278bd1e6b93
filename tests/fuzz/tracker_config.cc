// The tracker's configuration: an error is one line that tells the place, and what is accepted is
// within its range.
#include "absl/strings/match.h"
#include "core/net/address.h"
#include "tests/fuzz/fuzz.h"
#include "tracker/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto config = p2p::tracker::ParseConfig(p2p::fuzz::AsText(data, size), "tracker.toml");
  if (!config.ok()) {
    P2P_FUZZ_CHECK(absl::StartsWith(config.status().message(), "tracker.toml:"));
    P2P_FUZZ_CHECK(p2p::fuzz::IsShowable(config.status().message()));
    return 0;
  }
  if (config->listen.has_value()) {
    P2P_FUZZ_CHECK(p2p::net::ParseEndpoint(*config->listen, /*allow_port_zero=*/true).ok());
  }
  for (const auto& setting : p2p::tracker::NumberSettings()) {
    const absl::optional<int64_t>& number = *config.*setting.value;
    P2P_FUZZ_CHECK(!number.has_value() || p2p::tracker::CheckNumber(setting, *number).ok());
  }
  return 0;
}

// The daemon's configuration: an error is one line that tells the place, and what the file may say
// the flags may say too.
#include "absl/strings/match.h"
#include "core/base/limits.h"
#include "daemon/config.h"
#include "tests/fuzz/fuzz.h"

namespace p2p::daemon {
namespace {

Environment SomeEnvironment() {
  Environment environment;
  environment.get = [](const char* name) {
    return absl::string_view(name) == "HOME" ? std::string("/home/a") : std::string();
  };
  environment.user_id = 1'000;
  return environment;
}

void Check(absl::string_view toml) {
  const absl::StatusOr<Settings> settings = ParseSettings(toml, "p2pd.toml");
  if (!settings.ok()) {
    P2P_FUZZ_CHECK(absl::StartsWith(settings.status().message(), "p2pd.toml:"));
    return P2P_FUZZ_CHECK(fuzz::IsShowable(settings.status().message()));
  }
  P2P_FUZZ_CHECK(CheckFlags(*settings).ok());
  const absl::StatusOr<Config> config =
      Complete(Override(Settings(), *settings), SomeEnvironment());
  P2P_FUZZ_CHECK(config.ok());
  P2P_FUZZ_CHECK(config->worker_threads >= 0 &&
                 config->worker_threads <= limits::kMaxWorkerThreads);
  P2P_FUZZ_CHECK(absl::StartsWith(config->state_dir, "/"));
  P2P_FUZZ_CHECK(absl::StartsWith(config->download_dir, "/"));
}

}  // namespace
}  // namespace p2p::daemon

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  p2p::daemon::Check(p2p::fuzz::AsText(data, size));
  return 0;
}

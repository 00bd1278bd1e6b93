#include "daemon/watchdog.h"

#include <unistd.h>

#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "daemon/service_notify.h"
#include "spdlog/spdlog.h"

namespace p2p::daemon {
namespace {

constexpr int kChecksInInterval = 4;
// A loop that is only busy has answered by then.
constexpr int kSilentChecksToTell = 2;

int64_t NumberInEnvironment(const char* name) {
  const char* text = std::getenv(name);
  int64_t number = 0;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number : 0;
}

}  // namespace

ProgressWatch::ProgressWatch(std::vector<engine::LoopHandle> loops) {
  for (engine::LoopHandle& loop : loops) {
    watched_.push_back({std::move(loop), std::make_shared<std::atomic<bool>>(true)});
  }
}

std::string ProgressWatch::Check() {
  std::string silent;
  for (const Watched& watched : watched_) {
    if (*watched.answered) continue;
    absl::StrAppend(&silent, silent.empty() ? "" : ", ", watched.loop.name);
  }
  if (!silent.empty()) return silent;
  for (const Watched& watched : watched_) {
    *watched.answered = false;
    watched.loop.post([answered = watched.answered] { *answered = true; });
  }
  return "";
}

absl::optional<absl::Duration> WatchdogInterval() {
  const int64_t interval_us = NumberInEnvironment("WATCHDOG_USEC");
  if (interval_us <= 0) return absl::nullopt;
  // Without a process id it is meant for every process of the service.
  const int64_t pid = NumberInEnvironment("WATCHDOG_PID");
  if (pid != 0 && pid != getpid()) return absl::nullopt;
  return absl::Microseconds(interval_us);
}

Watchdog::Watchdog(std::vector<engine::LoopHandle> loops, absl::Duration interval)
    : interval_(interval), watch_(std::move(loops)) {
  timer_.emplace(&loop_);
  loop_.Post([this] { Check(); });
  loop_.Start();
}

Watchdog::~Watchdog() { loop_.Stop(); }

void Watchdog::Check() {
  const std::string silent = watch_.Check();
  if (silent.empty()) {
    silent_checks_ = 0;
    NotifyServiceManager("WATCHDOG=1");
  } else if (++silent_checks_ == kSilentChecksToTell) {
    spdlog::error(
        "{} does not get on; if that lasts, the service manager will end and restart the daemon",
        silent);
  }
  timer_->Arm(MonotonicNow() + interval_ / kChecksInInterval, [this] { Check(); });
}

}  // namespace p2p::daemon

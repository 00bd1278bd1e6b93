#include "daemon/swarm/request_window.h"

#include <algorithm>
#include <cmath>

namespace p2p::swarm {
namespace {

constexpr double kMeterSeconds = 2.0;
// Younger meters would divide by next to nothing.
constexpr double kMinMeterAgeSeconds = 0.25;
// Shorter rounds measure the scheduler, not the link.
constexpr absl::Duration kMinRound = absl::Milliseconds(20);
// Says enough of a link's rate, however large the window.
constexpr uint64_t kEnoughBytes = 256 << 10;
// A slow link's rate is known after this, however little came.
constexpr absl::Duration kLongestRound = absl::Seconds(2);

}  // namespace

void RateMeter::Add(uint64_t bytes, absl::Time now) {
  if (started_ == absl::InfiniteFuture()) {
    started_ = now;
    updated_ = now;
  }
  const double elapsed = std::max(0.0, absl::ToDoubleSeconds(now - updated_));
  per_second_ = per_second_ * std::exp(-elapsed / kMeterSeconds) + bytes / kMeterSeconds;
  updated_ = std::max(updated_, now);
}

double RateMeter::Rate(absl::Time now) const {
  if (started_ == absl::InfiniteFuture()) return 0;
  const double elapsed = std::max(0.0, absl::ToDoubleSeconds(now - updated_));
  const double age = std::max(kMinMeterAgeSeconds, absl::ToDoubleSeconds(now - started_));
  // A young meter has not seen a full weight of one yet.
  const double weight = 1 - std::exp(-age / kMeterSeconds);
  const double rate = per_second_ * std::exp(-elapsed / kMeterSeconds) / weight;
  return rate < 1 ? 0 : rate;
}

void RequestWindow::OnBusy(absl::Time now) { round_started_ = now - busy_before_; }

void RequestWindow::OnIdle(absl::Time now) { busy_before_ = now - round_started_; }

void RequestWindow::OnRoundTrip(absl::Duration sample) {
  if (sample > absl::ZeroDuration()) round_trip_ = std::min(round_trip_, sample);
}

void RequestWindow::OnStall() { bytes_ = limits::kMinRequestWindowBytes; }

void RequestWindow::OnBytes(uint64_t bytes, absl::Time now) {
  round_bytes_ += bytes;
  const bool timed = round_trip_ != absl::InfiniteDuration();
  const absl::Duration shortest = timed ? std::max(round_trip_, kMinRound) : kMinRound;
  const absl::Duration elapsed = now - round_started_;
  if (elapsed < shortest) return;
  if (round_bytes_ < std::min(bytes_ / 2, kEnoughBytes) && elapsed < kLongestRound) return;
  busy_rate_ = round_bytes_ / absl::ToDoubleSeconds(elapsed);
  round_started_ = now;
  round_bytes_ = 0;

  const uint64_t second = static_cast<uint64_t>(busy_rate_);
  const uint64_t rest = std::min(second, limits::kStartRequestWindowBytes);
  const uint64_t product =
      timed ? static_cast<uint64_t>(2 * busy_rate_ * absl::ToDoubleSeconds(round_trip_)) : 0;
  const uint64_t target = std::min(std::max(rest, product), 2 * bytes_);
  bytes_ = std::max(target, bytes_ / 2);
  bytes_ = std::max(bytes_, limits::kMinRequestWindowBytes);
  bytes_ = std::min(bytes_, limits::kMaxRequestWindowBytes);
}

}  // namespace p2p::swarm

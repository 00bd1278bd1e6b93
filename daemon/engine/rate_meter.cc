#include "daemon/engine/rate_meter.h"

#include <algorithm>
#include <cmath>

namespace p2p::engine {
namespace {

constexpr double kWindowSeconds = 2;
// After such a pause an average over the time before says nothing.
constexpr absl::Duration kPause = absl::Seconds(10);
// Shorter bursts would show rates that nothing sustains.
constexpr double kShortestSpanSeconds = 0.1;

}  // namespace

double RateMeter::FadedLocked(absl::Time now) const {
  return weighted_bytes_ * std::exp(-absl::ToDoubleSeconds(now - updated_) / kWindowSeconds);
}

void RateMeter::Add(uint64_t bytes, absl::Time now) {
  absl::MutexLock lock(&mutex_);
  total_bytes_ += bytes;
  if (now - updated_ > kPause) {
    burst_began_ = now;
    weighted_bytes_ = 0;
  } else {
    weighted_bytes_ = FadedLocked(now);
  }
  weighted_bytes_ += static_cast<double>(bytes);
  updated_ = now;
}

double RateMeter::Rate(absl::Time now) const {
  absl::MutexLock lock(&mutex_);
  if (now - updated_ > kPause) return 0;
  // The weights of a burst younger than the window do not add up to the whole window yet.
  const double age = std::max(kShortestSpanSeconds, absl::ToDoubleSeconds(now - burst_began_));
  const double span = kWindowSeconds * (1 - std::exp(-age / kWindowSeconds));
  return FadedLocked(now) / span;
}

uint64_t RateMeter::total_bytes() const {
  absl::MutexLock lock(&mutex_);
  return total_bytes_;
}

}  // namespace p2p::engine

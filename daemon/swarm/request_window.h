// How fast a link is, and how many bytes to keep asked for on it. Plain values; one thread at a
// time.
#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "core/base/limits.h"

namespace p2p::swarm {

// Bytes a second, as a mean in which what came t ago weighs exp(-t / 2 s).
class RateMeter {
 public:
  void Add(uint64_t bytes, absl::Time now);
  double Rate(absl::Time now) const;

 private:
  absl::Time started_ = absl::InfiniteFuture();
  absl::Time updated_;
  double per_second_ = 0;
};

// Keeps twice the bandwidth-delay product asked for: a link held back by its window then fills it
// in half a window more each round trip, so the window doubles until the rate stops growing.
// Between limits::kMinRequestWindowBytes and kMaxRequestWindowBytes; it rests at one second's worth
// of at most kStartRequestWindowBytes where the round trip alone would ask for less.
class RequestWindow {
 public:
  uint64_t bytes() const { return bytes_; }
  // From `now` on something is asked of the link, or nothing: idle time does not count.
  void OnBusy(absl::Time now);
  void OnIdle(absl::Time now);
  void OnBytes(uint64_t bytes, absl::Time now);
  // The time from a request to its first byte, or anything that is longer.
  void OnRoundTrip(absl::Duration sample);
  // Back to the smallest window: the link stalled.
  void OnStall();

  // Bytes a second of the last round while the link was busy; 0 when unknown.
  double busy_rate() const { return busy_rate_; }
  // The shortest seen; InfiniteDuration when unknown.
  absl::Duration round_trip() const { return round_trip_; }

 private:
  uint64_t bytes_ = limits::kStartRequestWindowBytes;
  absl::Duration round_trip_ = absl::InfiniteDuration();
  double busy_rate_ = 0;
  // A round is busy time, which may be in several pieces: of the current one, as if in one piece.
  absl::Time round_started_ = absl::InfinitePast();
  // Of the round, up to the last OnIdle.
  absl::Duration busy_before_ = absl::ZeroDuration();
  uint64_t round_bytes_ = 0;
};

}  // namespace p2p::swarm

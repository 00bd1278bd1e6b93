#include "daemon/swarm/request_window.h"

#include "gtest/gtest.h"

namespace p2p::swarm {
namespace {

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);

// A link of `rate` bytes a second and `trip` round trip that always has the whole window asked of
// it: it moves a window each round trip until the rate is the limit.
uint64_t WindowAfter(double rate, absl::Duration trip, absl::Duration time) {
  RequestWindow window;
  window.OnRoundTrip(trip);
  window.OnBusy(kStart);
  const absl::Duration step = absl::Milliseconds(10);
  for (absl::Duration t = step; t <= time; t += step) {
    const double by_window = window.bytes() / absl::ToDoubleSeconds(trip);
    const double bytes = std::min(rate, by_window) * absl::ToDoubleSeconds(step);
    window.OnBytes(static_cast<uint64_t>(bytes), kStart + t);
  }
  return window.bytes();
}

TEST(RequestWindow, StartsWithEightWholeChunks) {
  EXPECT_EQ(RequestWindow().bytes(), 8u * limits::kChunkBytes);
}

TEST(RequestWindow, GrowsToTwiceTheBandwidthDelayProduct) {
  const uint64_t bytes = WindowAfter(50e6, absl::Milliseconds(200), absl::Seconds(10));
  EXPECT_GT(bytes, 1.8 * 10e6);
  EXPECT_LT(bytes, 2.2 * 10e6);
}

TEST(RequestWindow, DoublesEachRoundWhileTheRateGrows) {
  const absl::Duration trip = absl::Milliseconds(200);
  EXPECT_NEAR(WindowAfter(1e12, trip, 1 * trip), 2 * limits::kStartRequestWindowBytes, 100);
  EXPECT_GT(WindowAfter(1e12, trip, 2 * trip), 3 * limits::kStartRequestWindowBytes);
}

TEST(RequestWindow, KnowsTheRateOfALinkThatIsOftenIdle) {
  RequestWindow window;
  absl::Time now = kStart;
  for (int unit = 0; unit < 5; ++unit) {
    window.OnBusy(now);
    now += absl::Milliseconds(100);
    window.OnBytes(64 << 10, now);
    window.OnIdle(now);
    now += absl::Seconds(1);
  }
  EXPECT_NEAR(window.busy_rate(), 10 * (64 << 10), 1);
}

TEST(RequestWindow, NeverExceedsItsCap) {
  EXPECT_EQ(WindowAfter(1e12, absl::Milliseconds(300), absl::Minutes(1)),
            limits::kMaxRequestWindowBytes);
}

TEST(RequestWindow, StaysAtItsStartOnAFastLinkWithoutDelay) {
  EXPECT_EQ(WindowAfter(1e9, absl::Microseconds(200), absl::Seconds(5)),
            limits::kStartRequestWindowBytes);
}

TEST(RequestWindow, ShrinksToItsFloorOnASlowLink) {
  EXPECT_EQ(WindowAfter(10e3, absl::Milliseconds(20), absl::Minutes(2)),
            limits::kMinRequestWindowBytes);
  EXPECT_GE(limits::kMinRequestWindowBytes, 4u * limits::kChunkBytes);
}

TEST(RequestWindow, KeepsTheShortestRoundTrip) {
  RequestWindow window;
  EXPECT_EQ(window.round_trip(), absl::InfiniteDuration());
  window.OnRoundTrip(absl::Milliseconds(30));
  window.OnRoundTrip(absl::Milliseconds(50));
  window.OnRoundTrip(absl::ZeroDuration());
  EXPECT_EQ(window.round_trip(), absl::Milliseconds(30));
}

TEST(RateMeter, ShowsASteadyRateFromEarlyOn) {
  RateMeter meter;
  EXPECT_EQ(meter.Rate(kStart), 0);
  absl::Time now = kStart;
  for (int i = 0; i < 1'000; ++i) {
    meter.Add(10'000, now);
    if (i >= 50) {
      ASSERT_NEAR(meter.Rate(now), 1e6, 0.05e6) << i;
    }
    now += absl::Milliseconds(10);
  }
}

TEST(RateMeter, DecaysToNothingWhenNothingComes) {
  RateMeter meter;
  for (int i = 0; i < 100; ++i) meter.Add(100'000, kStart + i * absl::Milliseconds(100));
  const absl::Time last = kStart + absl::Milliseconds(9'900);
  EXPECT_NEAR(meter.Rate(last + absl::Seconds(2)), meter.Rate(last) * 0.37, 0.02e6);
  EXPECT_EQ(meter.Rate(last + absl::Minutes(1)), 0);
}

}  // namespace
}  // namespace p2p::swarm

#include "daemon/engine/rate_meter.h"

#include "gtest/gtest.h"

namespace p2p::engine {
namespace {

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);

TEST(RateMeter, ShowsNothingBeforeAnythingMoved) {
  RateMeter meter;
  EXPECT_EQ(meter.Rate(kStart), 0);
  EXPECT_EQ(meter.total_bytes(), 0u);
}

TEST(RateMeter, ShowsASteadyRateFromTheFirstSecondOn) {
  RateMeter meter;
  absl::Time now = kStart;
  for (int i = 1; i <= 100; ++i) {
    now += absl::Milliseconds(100);
    meter.Add(1'000, now);
    if (i >= 10) EXPECT_NEAR(meter.Rate(now), 10'000, 1'500) << i;
  }
  EXPECT_EQ(meter.total_bytes(), 100'000u);
}

TEST(RateMeter, FadesWhenNothingMovesAndIsZeroAfterTenSeconds) {
  RateMeter meter;
  meter.Add(1'000'000, kStart);
  const double at_first = meter.Rate(kStart + absl::Seconds(1));
  EXPECT_GT(at_first, meter.Rate(kStart + absl::Seconds(4)));
  EXPECT_EQ(meter.Rate(kStart + absl::Seconds(11)), 0);
}

TEST(RateMeter, StartsAnewAfterAPause) {
  RateMeter meter;
  meter.Add(1'000'000'000, kStart);
  const absl::Time later = kStart + absl::Seconds(60);
  meter.Add(1'000, later);
  EXPECT_LE(meter.Rate(later), 11'000);
}

}  // namespace
}  // namespace p2p::engine

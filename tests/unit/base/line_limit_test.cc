#include "core/base/line_limit.h"

#include "gtest/gtest.h"

namespace p2p {
namespace {

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);

TEST(LineLimit, X12_LetsSoManyLinesASecondPassAndTellsHowManyItLeftOut) {
  LineLimit limit(3);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limit.Pass("a", kStart), "a");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(limit.Pass("b", kStart), absl::nullopt);
  const absl::Time later = kStart + absl::Seconds(1);
  EXPECT_EQ(limit.Pass("c", later - absl::Milliseconds(1)), absl::nullopt);
  EXPECT_EQ(limit.Pass("d", later), "d (and 6 more before)");
  EXPECT_EQ(limit.Pass("e", later), "e");
}

}  // namespace
}  // namespace p2p

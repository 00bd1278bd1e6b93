#include "tracker/waiting_changes.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace p2p::tracker {
namespace {

using testing::ElementsAre;
using testing::Key;
using testing::Pair;

constexpr size_t kPlenty = 1 << 20;
const absl::Time kNow = absl::UnixEpoch() + absl::Hours(1);

wire::PeerAddress Peer(uint16_t port) { return {wire::IpAddress::FromV4({192, 0, 2, 7}), port}; }

TEST(WaitingChanges, WhatChangesTwiceIsToldOnce) {
  WaitingChanges waiting(kPlenty);
  for (int i = 0; i < 3; ++i) waiting.AddChanged(Peer(1), "- f", kNow);
  waiting.AddChanged(Peer(1), "- g", kNow);
  waiting.AddRenewed(Peer(1), kNow);
  waiting.AddRenewed(Peer(1), kNow + absl::Seconds(1));
  waiting.AddRenewed(Peer(1), kNow);
  EXPECT_EQ(waiting.count(), 3u);
  const auto items = waiting.Take(10);
  ASSERT_EQ(items.size(), 1u);
  EXPECT_THAT(items[0].second.fields, ElementsAre(Key("- f"), Key("- g")));
  EXPECT_EQ(items[0].second.renewed_until, kNow + absl::Seconds(1));
  EXPECT_EQ(waiting.count(), 0u);
  EXPECT_TRUE(waiting.Take(10).empty());
}

TEST(WaitingChanges, WhoUnregistersIsToldAsAWhole) {
  WaitingChanges waiting(kPlenty);
  waiting.AddChanged(Peer(1), "- f", kNow);
  waiting.AddRenewed(Peer(1), kNow);
  waiting.AddUnregistered(Peer(1), kNow);
  EXPECT_EQ(waiting.count(), 1u);
  // What may be withdrawn again before it is told.
  waiting.AddChanged(Peer(1), "- g", kNow);
  const auto items = waiting.Take(10);
  EXPECT_FALSE(items.at(0).second.IsAboutFields());
  EXPECT_THAT(items.at(0).second.fields, ElementsAre(Key("- g")));
  EXPECT_EQ(items.at(0).second.renewed_until, absl::InfinitePast());
  EXPECT_EQ(items.at(0).second.unregistered_at, kNow);
}

TEST(WaitingChanges, CoversWhatIsOlderAndNothingElse) {
  WaitingChanges waiting(kPlenty);
  const absl::Duration ms = absl::Milliseconds(1);
  waiting.AddChanged(Peer(1), "- f", kNow);
  waiting.AddChanged(Peer(1), "- f", kNow - ms);
  EXPECT_TRUE(waiting.Covers(Peer(1), "- f", kNow));
  EXPECT_FALSE(waiting.Covers(Peer(1), "- f", kNow + ms));
  EXPECT_FALSE(waiting.Covers(Peer(1), "- g", kNow));
  waiting.AddUnregistered(Peer(2), kNow);
  EXPECT_TRUE(waiting.Covers(Peer(2), "- any", kNow));
  EXPECT_FALSE(waiting.Covers(Peer(2), "- any", kNow + ms));
  waiting.AddRewrite(Peer(3));
  waiting.AddRenewed(Peer(3), kNow + ms);
  EXPECT_FALSE(waiting.Covers(Peer(3), "- any", kNow));
  EXPECT_FALSE(waiting.Covers(Peer(4), "- any", kNow));
}

TEST(WaitingChanges, WhatGoesWhileAPeerIsToBeRewrittenIsToldToo) {
  WaitingChanges waiting(kPlenty);
  waiting.AddRewrite(Peer(1));
  waiting.AddChanged(Peer(1), "- f", kNow);
  const auto items = waiting.Take(10);
  EXPECT_TRUE(items.at(0).second.rewrite);
  EXPECT_THAT(items.at(0).second.fields, ElementsAre(Pair("- f", kNow)));
}

TEST(WaitingChanges, APeerWithMuchTakesTurnsWithOthers) {
  WaitingChanges waiting(kPlenty);
  for (int i = 0; i < 25; ++i) waiting.AddChanged(Peer(1), absl::StrCat("- ", i), kNow);
  waiting.AddChanged(Peer(2), "- f", kNow);
  EXPECT_EQ(waiting.Take(10).at(0).second.fields.size(), 10u);
  const auto next = waiting.Take(10);
  ASSERT_EQ(next.size(), 2u);
  EXPECT_EQ(next[0].first, Peer(2));
  EXPECT_EQ(next[1].second.fields.size(), 9u);
  EXPECT_EQ(waiting.Take(10).at(0).second.fields.size(), 6u);
  EXPECT_EQ(waiting.count(), 0u);
}

TEST(WaitingChanges, WhatCouldNotBeToldWaitsAgainBehindWhatCameMeanwhile) {
  WaitingChanges waiting(kPlenty);
  waiting.AddChanged(Peer(1), "- f", kNow);
  waiting.AddUnregistered(Peer(3), kNow);
  auto items = waiting.Take(10);
  waiting.AddChanged(Peer(2), "- f", kNow);
  waiting.AddChanged(Peer(1), "- g", kNow);
  waiting.AddChanged(Peer(3), "- g", kNow);
  waiting.PutBack(std::move(items));
  const auto again = waiting.Take(10);
  ASSERT_EQ(again.size(), 3u);
  EXPECT_EQ(again[0].first, Peer(2));
  EXPECT_THAT(again[1].second.fields, ElementsAre(Key("- f"), Key("- g")));
  EXPECT_EQ(again[2].second.unregistered_at, kNow);
  EXPECT_EQ(waiting.count(), 0u);
}

TEST(WaitingChanges, BeyondItsBoundOnlyWhoUnregisteredIsRemembered) {
  WaitingChanges waiting(10'000);
  waiting.AddUnregistered(Peer(7), kNow);
  for (int i = 0; !waiting.lost(); ++i) {
    ASSERT_LT(i, 10'000);
    waiting.AddChanged(Peer(static_cast<uint16_t>(i)), absl::StrCat("- ", i), kNow);
  }
  EXPECT_EQ(waiting.count(), 1u);
  waiting.AddChanged(Peer(1), "- f", kNow);
  EXPECT_EQ(waiting.count(), 1u) << "all that is registered will be told anyway";
  waiting.ForgetLoss();
  waiting.AddChanged(Peer(1), "- f", kNow);
  EXPECT_EQ(waiting.count(), 2u);
}

TEST(WaitingChanges, ThereIsABoundForThoseToo) {
  WaitingChanges waiting(10'000);
  size_t most = 0;
  for (int i = 0; i < 10'000; ++i) {
    waiting.AddUnregistered(Peer(static_cast<uint16_t>(i)), kNow);
    most = std::max(most, waiting.count());
  }
  EXPECT_TRUE(waiting.lost());
  EXPECT_LT(most, 100u);
}

}  // namespace
}  // namespace p2p::tracker

#include "daemon/engine/crossed_links.h"

#include <algorithm>
#include <utility>

#include "gtest/gtest.h"

namespace p2p::engine {
namespace {

const absl::Time kNow = absl::UnixEpoch() + absl::Hours(1);
const absl::Time kLongAgo = kNow - absl::Minutes(1);

using Ids = std::vector<LinkId>;

PeerId Id(uint8_t n) {
  PeerId id;
  id.hash.bytes[0] = n;
  return id;
}
const PeerId kSmall = Id(1);
const PeerId kLarge = Id(2);

PairLink Dialled(int id, absl::Time since = kNow, uint64_t chunks_down = 0) {
  return {LinkId(static_cast<uint64_t>(id)), true, since, chunks_down};
}
PairLink Accepted(int id, absl::Time since = kNow) {
  return {LinkId(static_cast<uint64_t>(id)), false, since, 0};
}

// Both ends of the same connections.
struct Ends {
  std::vector<PairLink> small, large;

  void SmallDials(int id, absl::Time since = kNow) {
    small.push_back(Dialled(id, since));
    large.push_back(Accepted(id, since));
  }
  void LargeDials(int id, absl::Time since = kNow) {
    small.push_back(Accepted(id, since));
    large.push_back(Dialled(id, since));
  }
  Ids GoingAtSmall(int wanted = 1) { return SurplusLinks(kSmall, kLarge, small, wanted, kNow); }
  Ids GoingAtLarge(int wanted = 1) { return SurplusLinks(kLarge, kSmall, large, wanted, kNow); }
};

TEST(CrossedLinks, KeepTheOneThatThePeerWithTheSmallerIdDialled) {
  Ends ends;
  ends.SmallDials(1);
  ends.LargeDials(2);
  EXPECT_EQ(ends.GoingAtSmall(), Ids{LinkId(2)});
  EXPECT_EQ(ends.GoingAtLarge(), Ids{});
}

TEST(CrossedLinks, StayWhereOnlyOneSideDialled) {
  Ends ends;
  ends.LargeDials(1);
  ends.LargeDials(2);
  EXPECT_EQ(ends.GoingAtSmall(), Ids{});
  EXPECT_EQ(ends.GoingAtLarge(), Ids{});
  EXPECT_EQ(SurplusLinks(kLarge, kSmall, {}, 1, kNow), Ids{});
}

TEST(CrossedLinks, LeaveAsManyAsAreWantedOnPurpose) {
  Ends ends;
  ends.SmallDials(1);
  ends.SmallDials(2);
  ends.LargeDials(3);
  ends.LargeDials(4);
  EXPECT_EQ(ends.GoingAtLarge(2), Ids{});
  EXPECT_EQ(ends.GoingAtSmall(2).size(), 2u);
  EXPECT_EQ(ends.GoingAtSmall(3).size(), 1u);
  EXPECT_EQ(ends.GoingAtSmall(4), Ids{});
}

TEST(CrossedLinks, GoRatherThanOneThatHasLongBeenInUse) {
  Ends ends;
  ends.LargeDials(1, kLongAgo);
  ends.SmallDials(2);
  EXPECT_EQ(ends.GoingAtSmall(), Ids{});
  EXPECT_EQ(ends.GoingAtLarge(), Ids{LinkId(2)});
  Ends other;
  other.SmallDials(1, kLongAgo);
  other.LargeDials(2);
  EXPECT_EQ(other.GoingAtSmall(), Ids{LinkId(2)});
  EXPECT_EQ(other.GoingAtLarge(), Ids{});
}

TEST(CrossedLinks, GoFirstWhereLeastHasCome) {
  const std::vector<PairLink> links = {
      {LinkId(1), false, kNow, 7}, Dialled(2), {LinkId(3), false, kNow, 0}};
  EXPECT_EQ(SurplusLinks(kSmall, kLarge, links, 2, kNow), Ids{LinkId(3)});
}

TEST(CrossedLinks, V01_WhatWasDialledNeverGoes) {
  // Whoever claims the id of the peer that was dialled, and however long it has been there.
  for (const absl::Time since : {kNow, kLongAgo}) {
    const std::vector<PairLink> links = {Dialled(1), Accepted(2, since), Accepted(3, since)};
    for (const auto& [self, peer] :
         {std::make_pair(kSmall, kLarge), std::make_pair(kLarge, kSmall)}) {
      const Ids going = SurplusLinks(self, peer, links, 1, kNow);
      EXPECT_EQ(std::count(going.begin(), going.end(), LinkId(1)), 0);
    }
  }
}

TEST(CrossedLinks, NeverAllGo) {
  const std::vector<absl::Duration> ages = {absl::ZeroDuration(), absl::Seconds(9),
                                            absl::Seconds(11),    absl::Seconds(19),
                                            absl::Seconds(21),    absl::Minutes(1)};
  for (const absl::Duration first : ages) {
    for (const absl::Duration second : ages) {
      // The side that dialled has counted for a while when the other one begins.
      for (const absl::Duration way : {absl::ZeroDuration(), absl::Seconds(8)}) {
        Ends ends;
        ends.small = {Dialled(1, kNow - first - way), Accepted(2, kNow - second)};
        ends.large = {Accepted(1, kNow - first), Dialled(2, kNow - second - way)};
        EXPECT_LE(ends.GoingAtSmall().size() + ends.GoingAtLarge().size(), 1u)
            << first << second << way;
      }
    }
  }
}

}  // namespace
}  // namespace p2p::engine

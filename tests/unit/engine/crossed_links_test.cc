#include "daemon/engine/crossed_links.h"

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
  EXPECT_EQ(ends.GoingAtSmall(), Ids{});
  EXPECT_EQ(ends.GoingAtLarge(), Ids{LinkId(2)});
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
  EXPECT_EQ(ends.GoingAtSmall(2), Ids{});
  EXPECT_EQ(ends.GoingAtLarge(2).size(), 2u);
  EXPECT_EQ(ends.GoingAtLarge(3).size(), 1u);
  EXPECT_EQ(ends.GoingAtLarge(4), Ids{});
}

TEST(CrossedLinks, GoRatherThanOneThatHasLongBeenInUse) {
  // The small one dials another address of a peer that is connected already.
  Ends ends;
  ends.LargeDials(1, kLongAgo);
  ends.SmallDials(2);
  EXPECT_EQ(ends.GoingAtSmall(), Ids{LinkId(2)});
  EXPECT_EQ(ends.GoingAtLarge(), Ids{});
  Ends other;
  other.SmallDials(1, kLongAgo);
  other.LargeDials(2);
  EXPECT_EQ(other.GoingAtSmall(), Ids{});
  EXPECT_EQ(other.GoingAtLarge(), Ids{LinkId(2)});
}

TEST(CrossedLinks, GoFirstWhereLeastHasCome) {
  const std::vector<PairLink> links = {Dialled(1, kNow, 7), Accepted(2), Dialled(3, kNow, 0)};
  EXPECT_EQ(SurplusLinks(kLarge, kSmall, links, 2, kNow), Ids{LinkId(3)});
}

TEST(CrossedLinks, NeverAllGo) {
  for (const absl::Time first : {kNow, kLongAgo}) {
    for (const absl::Time second : {kNow, kLongAgo}) {
      Ends ends;
      ends.SmallDials(1, first);
      ends.LargeDials(2, second);
      EXPECT_LE(ends.GoingAtSmall().size() + ends.GoingAtLarge().size(), 1u);
    }
  }
}

}  // namespace
}  // namespace p2p::engine

#include "daemon/engine/places.h"

#include <algorithm>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "gtest/gtest.h"

namespace p2p::engine {
namespace {

const absl::Time kNow = absl::UnixEpoch() + absl::Hours(1);
const absl::Time kLongAgo = kNow - 2 * limits::kIdlePlaceTime;

Origin At(const std::string& host) { return Origin::Of(*net::ParseEndpoint(host + ":1")); }

class PlacesTest : public ::testing::Test {
 protected:
  LinkId Take(const std::string& host, double rate = 1'000, absl::Time used = kNow) {
    places_.push_back({LinkId(++last_), At(host), rate, used});
    return LinkId(last_);
  }
  void TakeMany(int count, const std::string& host, double rate = 1'000, absl::Time used = kNow) {
    for (int i = 0; i < count; ++i) Take(host, rate, used);
  }
  absl::optional<LinkId> ComesFrom(const std::string& host) {
    return WhoGivesWay(places_, At(host), kNow);
  }

  std::vector<SwarmPlace> places_;
  uint64_t last_ = 0;
};

TEST_F(PlacesTest, V02_ANetworkWithManyGivesWayToOneWithFew) {
  TakeMany(20, "192.0.2.1");
  const LinkId least = Take("192.0.2.1", 10);
  TakeMany(20, "198.51.100.1", 1);
  EXPECT_EQ(ComesFrom("203.0.113.1"), least);
}

TEST_F(PlacesTest, V02_WithinANetworkAHostWithManyGivesWayToOneWithFew) {
  TakeMany(30, "192.0.2.1");
  const LinkId unused = Take("192.0.2.1", 0, kNow - absl::Seconds(1));
  Take("192.0.2.2", 0);
  EXPECT_EQ(ComesFrom("192.0.2.3"), unused);
}

TEST_F(PlacesTest, V02_NobodyInUseGivesWayToWhoWouldHaveAsMany) {
  for (int i = 1; i <= 60; ++i) Take(absl::StrCat("192.0.2.", i));
  EXPECT_EQ(ComesFrom("192.0.2.99"), absl::nullopt);
  EXPECT_EQ(ComesFrom("192.0.2.1"), absl::nullopt);
  places_.clear();
  for (int i = 1; i <= 60; ++i) Take(absl::StrCat("192.0.", i, ".1"));
  EXPECT_EQ(ComesFrom("203.0.113.1"), absl::nullopt);
}

TEST_F(PlacesTest, V02_WhoHasNotUsedHisPlaceForLongGivesWayToHisEqual) {
  for (int i = 1; i <= 60; ++i) Take(absl::StrCat("192.0.", i, ".1"));
  const LinkId idle = Take("198.51.100.1", 0, kLongAgo);
  Take("198.51.101.1", 0, kNow - limits::kIdlePlaceTime);
  EXPECT_EQ(ComesFrom("203.0.113.1"), idle);
}

TEST_F(PlacesTest, V02_WhoHasMuchTakesNothingFromWhoHasLittleAndIdle) {
  Take("198.51.100.1", 0, kLongAgo);
  TakeMany(60, "192.0.2.1");
  EXPECT_EQ(ComesFrom("192.0.2.1"), absl::nullopt);
}

// Two networks that both come again and again end with half of the places each.
TEST_F(PlacesTest, V02_NetworksThatContendEndWithEqualShares) {
  TakeMany(64, "192.0.2.1", 0);
  for (int i = 0; i < 1'000; ++i) {
    const std::string host = i % 2 == 0 ? "198.51.100.1" : "192.0.2.1";
    const auto going = ComesFrom(host);
    if (!going.has_value()) continue;
    places_.erase(std::find_if(places_.begin(), places_.end(),
                               [&](const SwarmPlace& p) { return p.link == *going; }));
    Take(host);
  }
  std::map<uint64_t, int> of_network;
  for (const SwarmPlace& place : places_) ++of_network[place.origin.network];
  EXPECT_EQ(of_network[At("198.51.100.1").network], 32);
}

}  // namespace
}  // namespace p2p::engine

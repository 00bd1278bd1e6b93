#include "daemon/engine/fair_share.h"

#include <vector>

#include "gtest/gtest.h"

namespace p2p::engine {
namespace {

Origin At(const char* address) { return Origin::Of(*net::ParseEndpoint(address)); }

TEST(FairShare, GivesEachNetworkAsMuchAndWithinOneEachHost) {
  const std::vector<Origin> waiting = {At("192.0.2.1:1"),    At("192.0.2.1:2"),
                                       At("192.0.2.1:3"),    At("192.0.2.2:1"),
                                       At("198.51.100.1:1"), At("198.51.100.1:2")};
  FairShare share;
  EXPECT_EQ(share.Next(waiting, 4), (std::vector<size_t>{0, 4, 3, 5}));
}

TEST(FairShare, BindsOnlyWhileAnotherWaits) {
  const std::vector<Origin> waiting(5, At("192.0.2.1:1"));
  FairShare share;
  EXPECT_EQ(share.Next(waiting, 9).size(), 5u);
  EXPECT_EQ(share.LoadOf(At("192.0.2.7:1")), (FairShare::Load{5, 0}));
}

TEST(FairShare, CountsWhatIsGivenAlready) {
  FairShare share;
  share.Add(At("[2001:db8::1]:1"));
  EXPECT_EQ(share.Next({At("[2001:db8::2]:1"), At("[2001:db8:0:1::1]:1")}, 1),
            std::vector<size_t>{1});
}

}  // namespace
}  // namespace p2p::engine

#include "daemon/engine/peer_exchange.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace p2p::engine {
namespace {

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);

using Strings = std::vector<std::string>;

PeerId Id(int n) {
  PeerId id;
  id.hash.bytes[0] = static_cast<uint8_t>(n);
  id.hash.bytes[1] = static_cast<uint8_t>(n >> 8);
  return id;
}

Contact Peer(int n, absl::string_view host = "192.0.2.1") {
  const std::string address = absl::StrCat(host, ":", n);
  return {Id(n), address, Origin::Of(*net::ParseEndpoint(address))};
}

const OwnPlace kNowhere;

TEST(PeerExchange, TellsWhomItIsConnectedWithButNotTheAsker) {
  PeerExchange exchange;
  EXPECT_EQ(exchange.Answer({Peer(1), Peer(2)}, Peer(1), nullptr, kStart), Strings{"192.0.2.1:2"});
  // By another address, or under another id: it is the asker all the same.
  EXPECT_EQ(exchange.Answer({{Id(1), "[2001:db8::1]:9", {}}, {Id(7), "192.0.2.1:1", {}}, Peer(2)},
                            Peer(1), nullptr, kStart),
            Strings{"192.0.2.1:2"});
  EXPECT_TRUE(exchange.Answer({}, Peer(1), nullptr, kStart).empty());
}

TEST(PeerExchange, TellsNoAddressTwiceAndNothingOfWhoTakesNoConnections) {
  PeerExchange exchange;
  EXPECT_EQ(exchange.Answer({Peer(2), Peer(2), {Id(3), "", {}}}, Peer(1), nullptr, kStart),
            Strings{"192.0.2.1:2"});
}

TEST(PeerExchange, LeavesOutWhatIsKnownToBeDeadOrBanned) {
  PeerExchange exchange;
  PeerBook book(1, &kNowhere);
  for (int n = 2; n <= 5; ++n) book.Add(Peer(n).address, Teller::User(), kStart);
  book.Find("192.0.2.1:2")->unreachable = true;
  book.Find("192.0.2.1:3")->banned = true;
  book.Find("192.0.2.1:4")->self = true;
  EXPECT_EQ(exchange.Answer({Peer(2), Peer(3), Peer(4), Peer(5)}, Peer(1), &book, kStart),
            Strings{"192.0.2.1:5"});
}

TEST(PeerExchange, TellsARandomSampleOf64) {
  PeerExchange exchange;
  std::vector<Contact> connected;
  for (int n = 2; n < 302; ++n) connected.push_back(Peer(n));
  std::set<std::string> seen;
  for (int round = 0; round < 200; ++round) {
    const Strings answer = exchange.Answer(connected, Peer(1), nullptr, kStart);
    ASSERT_EQ(answer.size(), 64u);
    ASSERT_EQ(std::set<std::string>(answer.begin(), answer.end()).size(), 64u);
    seen.insert(answer.begin(), answer.end());
  }
  EXPECT_EQ(seen.size(), 300u);
}

TEST(PeerExchange, V01_TellsOfAHostWithManyAddressesNoMoreThanOfOthers) {
  PeerExchange exchange;
  std::vector<Contact> connected;
  for (int n = 2; n < 202; ++n) connected.push_back(Peer(n, "198.51.100.66"));
  for (int n = 2; n < 34; ++n) connected.push_back(Peer(n, absl::StrCat("203.0.113.", n)));
  const Strings answer = exchange.Answer(connected, Peer(1), nullptr, kStart);
  ASSERT_EQ(answer.size(), 64u);
  EXPECT_EQ(std::count_if(answer.begin(), answer.end(),
                          [](const std::string& a) { return a.find("203.0.113.") == 0; }),
            32);
}

TEST(PeerExchange, TellsForAnHourWhomACompleteDownloadLetGo) {
  PeerExchange exchange;
  exchange.Remember({Peer(1), Peer(2), Peer(3)}, kStart);
  const absl::Time later = kStart + absl::Minutes(59);
  EXPECT_EQ(exchange.Answer({Peer(3)}, Peer(1), nullptr, later),
            (Strings{"192.0.2.1:3", "192.0.2.1:2"}))
      << "those connected come first";
  EXPECT_EQ(exchange.Answer({Peer(3)}, Peer(1), nullptr, kStart + absl::Hours(1)),
            Strings{"192.0.2.1:3"});
}

}  // namespace
}  // namespace p2p::engine

#include "daemon/engine/peer_book.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "gtest/gtest.h"

namespace p2p::engine {
namespace {

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);
constexpr int kMany = 1'000;

OwnPlace MakeOwnPlace() {
  OwnPlace own;
  own.listen = *net::ParseEndpoint("192.168.0.2:9001");
  own.is_this_host = [](const net::Endpoint& endpoint) {
    return net::FormatHost(endpoint) == "192.168.0.2" ||
           net::ScopeOf(endpoint) == net::AddressScope::kLoopback;
  };
  return own;
}
const OwnPlace kOwn = MakeOwnPlace();

Teller PeerAt(absl::string_view host) {
  return Teller::Peer(*net::ParseEndpoint(absl::StrCat(host, ":1")));
}
Teller TrackerAt(absl::string_view host) {
  return {Teller::Kind::kOwnTracker, absl::StrCat("tracker ", host),
          *net::ParseEndpoint(absl::StrCat(host, ":1"))};
}

// As the user names it, but for what counts what others tell.
class Book : public PeerBook {
 public:
  Book() : PeerBook(1, &kOwn) {}
  bool Add(const std::string& address, const Teller& teller = TrackerAt("192.0.2.200")) {
    return PeerBook::Add(address, teller, kStart);
  }
  bool AddKept(const std::string& address) { return Add(address, Teller::User()); }
};

// One of a host each.
std::string Address(int n) { return absl::StrCat("198.51.", n / 250, ".", n % 250 + 1, ":9001"); }

TEST(PeerBook, C12_TakesNoAddressThatIsNoPlaceToConnectTo) {
  Book book;
  for (const char* bad : {"", "example.org:9001", "192.0.2.1:0", "192.0.2.1", "0.0.0.0:9001",
                          "224.0.0.1:9001", "169.254.1.1:9001", "[fe80::1]:9001", "1.2.3.4:80@x"}) {
    book.Add(bad);
  }
  EXPECT_TRUE(book.all().empty());
  book.Add("192.0.2.1:9001");
  book.Add("[2001:db8::1]:9001");
  book.Add("192.0.2.1:9001");
  EXPECT_EQ(book.all().size(), 2u);
}

TEST(PeerBook, C12_HoldsABoundedNumberOfAddresses) {
  Book book;
  for (int i = 1; i <= 5'000; ++i) {
    book.Add(Address(i), TrackerAt(absl::StrCat("192.0.2.", i % 20 + 1)));
  }
  EXPECT_EQ(book.all().size(), 1'000u);
}

TEST(PeerBook, V11_HoldsFewAddressesOfOneHostAndOfOneTeller) {
  Book book;
  for (int i = 1; i <= 1'000; ++i) {
    book.Add(absl::StrCat("192.0.2.1:", 1'024 + i), PeerAt("203.0.113.1"));
  }
  EXPECT_EQ(book.all().size(), 32u);
  for (int i = 1; i <= 1'000; ++i) {
    // However many hosts of its network tell it.
    book.Add(Address(i), PeerAt(absl::StrCat("203.0.113.", i % 250 + 1)));
  }
  EXPECT_EQ(book.all().size(), 200u);
}

TEST(PeerBook, V11_WhoFloodsGivesWayToWhatOthersTell) {
  Book book;
  // One host's places, and all there are.
  for (int i = 1; i <= 32; ++i) {
    book.Add(absl::StrCat("192.0.2.1:", 1'024 + i), PeerAt("203.0.113.1"));
  }
  EXPECT_TRUE(book.Add("192.0.2.1:9001", TrackerAt("192.0.2.200")));
  for (int network = 1; network <= 10; ++network) {
    for (int i = 1; i <= 200; ++i) {
      book.Add(Address(200 * network + i), PeerAt(absl::StrCat("203.0.", network, ".1")));
    }
  }
  EXPECT_EQ(book.all().size(), 1'000u);
  EXPECT_TRUE(book.Add("192.0.2.7:9001", TrackerAt("192.0.2.200")));
  EXPECT_TRUE(book.Add("192.0.2.8:9001", PeerAt("192.0.2.9")));
  EXPECT_EQ(book.all().size(), 1'000u);
  // Those that are connected or that the user named stay.
  EXPECT_TRUE(book.AddKept("192.0.2.9:9001"));
  EXPECT_NE(book.Find("192.0.2.1:9001"), nullptr);
}

TEST(PeerBook, V11_WhatIsNotTriedAgainGivesWay) {
  Book book;
  for (int network = 1; network <= 8; ++network) {
    for (int i = 1; i <= 125; ++i) {
      book.Add(Address(125 * network + i), PeerAt(absl::StrCat("203.0.", network, ".1")));
    }
  }
  EXPECT_EQ(book.all().size(), 1'000u);
  for (const auto& [address, candidate] : book.all()) {
    PeerBook::Candidate* known = book.Find(address);
    (candidate.endpoint.port() % 2 == 0 ? known->self : known->banned) = true;
  }
  for (int i = 1; i <= 200; ++i) {
    EXPECT_TRUE(book.Add(absl::StrCat("192.0.2.", i, ":9001"), TrackerAt("192.0.2.200"))) << i;
  }
  EXPECT_EQ(book.all().size(), 1'000u);
  // A peer's word does not bring one of them back.
  int gone = 0;
  for (int i = 126; i <= 1'125; ++i) {
    if (book.Find(Address(i)) != nullptr) continue;
    ++gone;
    EXPECT_FALSE(book.Add(Address(i), PeerAt("203.0.9.1")));
  }
  EXPECT_EQ(gone, 200);
}

TEST(PeerBook, V11_JudgesAnAddressByWhoToldIt) {
  struct Case {
    const char* address;
    Teller teller;
    bool taken;
  };
  const Teller far = PeerAt("203.0.113.9"), near = PeerAt("192.168.0.9"),
               here = PeerAt("127.0.0.5"), this_host = PeerAt("192.168.0.2"),
               tracker = TrackerAt("203.0.113.9");
  const Teller link_tracker = {Teller::Kind::kLinkTracker, "tracker", far.at};
  const Case cases[] = {
      {"127.0.0.1:9002", far, false},
      {"127.0.0.1:9002", tracker, false},
      {"127.0.0.1:9002", this_host, false},
      {"127.0.0.1:9002", here, true},
      {"127.0.0.1:9002", Teller::User(), true},
      {"192.168.0.2:6379", far, false},
      {"192.168.0.2:6379", near, false},
      {"192.168.0.2:6379", tracker, false},
      {"192.168.0.2:6379", this_host, true},
      {"192.168.0.2:6379", here, true},
      {"192.168.0.2:6379", Teller::User(), true},
      {"192.168.0.2:9001", here, false},
      {"192.168.0.2:9001", Teller::User(), false},
      {"192.168.0.7:9001", far, false},
      {"192.168.0.7:9001", link_tracker, false},
      {"192.168.0.7:9001", near, true},
      {"192.168.0.7:9001", tracker, true},
      {"192.0.2.1:25", far, false},
      {"192.0.2.1:25", here, false},
      {"192.0.2.1:1023", link_tracker, false},
      {"192.0.2.1:1024", link_tracker, true},
      {"192.0.2.1:25", tracker, true},
      {"192.0.2.1:25", Teller::User(), true},
      {"224.0.0.1:9001", Teller::User(), false},
      {"192.0.2.1:9001", {Teller::Kind::kPeer, "?", absl::nullopt}, true},
      {"10.0.0.1:9001", {Teller::Kind::kPeer, "?", absl::nullopt}, false},
  };
  for (const Case& c : cases) {
    Book book;
    EXPECT_EQ(book.Add(c.address, c.teller), c.taken) << c.address << " by " << c.teller.name;
    EXPECT_EQ(book.refused().size(), c.taken ? 0u : 1u);
  }
}

TEST(PeerBook, V11_ShowsWhatItRefusedAndWhyAndNotEndlessly) {
  Book book;
  book.Add("127.0.0.1:22", PeerAt("192.0.2.1"));
  book.Add("127.0.0.1:22", PeerAt("192.0.2.1"));
  ASSERT_EQ(book.refused().size(), 1u);
  EXPECT_EQ(book.refused()[0].address, "127.0.0.1:22");
  EXPECT_NE(book.refused()[0].reason.find("below 1024"), std::string::npos);
  book.AddKept("127.0.0.1:22");
  EXPECT_TRUE(book.refused().empty()) << "the user may";
  for (int i = 1'024; i < 9'000; ++i) {
    book.Add(absl::StrCat("127.0.0.1:", i), PeerAt("192.0.2.1"));
  }
  EXPECT_EQ(book.refused().size(), limits::kMaxRefusedAddresses);
}

TEST(PeerBook, WaitsLongerAfterEachFailureAndNotAfterUse) {
  Book book;
  book.Add("192.0.2.1:9001");
  PeerBook::Candidate* candidate = book.Due(kStart, 1, kMany).at(0);
  absl::Duration former;
  for (int i = 0; i < 4; ++i) {
    ++candidate->links;
    ++candidate->dialled;
    book.OnLinkGone(candidate, kStart, PeerBook::End::kUseless, "connection refused");
    EXPECT_TRUE(book.Due(kStart, 1, kMany).empty());
    const absl::Duration wait = book.NextDue(1, kMany) - kStart;
    EXPECT_GT(wait, former);
    EXPECT_EQ(book.Due(kStart + wait, 1, kMany).size(), 1u);
    former = wait;
  }
  EXPECT_EQ(candidate->problem, "connection refused");
  ++candidate->links;
  ++candidate->dialled;
  book.OnLinkGone(candidate, kStart, PeerBook::End::kUseful, "closed");
  EXPECT_EQ(book.Due(kStart, 1, kMany).size(), 1u);
}

TEST(PeerBook, GivesNoCandidateThatHasItsConnectionsOrIsUseless) {
  Book book;
  book.Add("192.0.2.1:1");
  book.Add("192.0.2.1:2");
  book.Find("192.0.2.1:1")->links = 1;
  EXPECT_EQ(book.Due(kStart, 1, kMany).size(), 1u);
  EXPECT_EQ(book.Due(kStart, 2, kMany).size(), 2u);
  book.Find("192.0.2.1:2")->banned = true;
  EXPECT_TRUE(book.Due(kStart, 1, kMany).empty());
  EXPECT_EQ(book.NextDue(1, kMany), absl::InfiniteFuture());
}

TEST(PeerBook, GivesThoseThatTheUserNamedFirst) {
  Book book;
  for (int i = 1; i <= 20; ++i) book.Add(Address(i));
  book.AddKept("192.0.2.9:1");
  book.AddKept(Address(7));
  const auto due = book.Due(kStart, 1, kMany);
  ASSERT_EQ(due.size(), 21u);
  EXPECT_TRUE(due[0]->kept && due[1]->kept);
}

class ForgettingPeerBook : public ::testing::Test {
 protected:
  // Whoever is dialled does not answer.
  void DialInVain(const std::string& address, int times) {
    for (int i = 0; i < times; ++i) {
      PeerBook::Candidate* candidate = book_.Find(address);
      if (candidate == nullptr) return;
      ++candidate->links;
      ++candidate->dialled;
      book_.OnLinkGone(candidate, kStart, PeerBook::End::kUnanswered, "connection refused");
    }
  }
  void AddOthers(int count) {
    for (int i = 1; i <= count; ++i) book_.Add(Address(i));
  }

  Book book_;
};

TEST_F(ForgettingPeerBook, ForgetsAnAddressWhereNobodyAnswersAndThatNobodyNamesAgain) {
  AddOthers(30);
  book_.Add("192.0.2.1:1");
  DialInVain("192.0.2.1:1", 4);
  EXPECT_TRUE(book_.Find("192.0.2.1:1")->unreachable);
  EXPECT_FALSE(book_.Add("192.0.2.1:1")) << "named again";
  EXPECT_GT(book_.Find("192.0.2.1:1")->next_try, kStart) << "that is no reason to try it sooner";
  DialInVain("192.0.2.1:1", 4);
  EXPECT_NE(book_.Find("192.0.2.1:1"), nullptr);
  DialInVain("192.0.2.1:1", 1);
  EXPECT_EQ(book_.Find("192.0.2.1:1"), nullptr);
}

TEST_F(ForgettingPeerBook, GoesOnTryingWhereItKnowsFewAndWhatTheUserNamed) {
  AddOthers(28);
  book_.Add("192.0.2.1:1");
  DialInVain("192.0.2.1:1", 50);
  EXPECT_NE(book_.Find("192.0.2.1:1"), nullptr);
  AddOthers(100);
  book_.AddKept("192.0.2.1:2");
  DialInVain("192.0.2.1:2", 50);
  EXPECT_NE(book_.Find("192.0.2.1:2"), nullptr);
}

TEST_F(ForgettingPeerBook, V11_BringsBackAtOnceWhatTrackersNameAndNotWhatPeersTell) {
  AddOthers(100);
  for (const Teller& teller : {PeerAt("203.0.113.1"), TrackerAt("192.0.2.200")}) {
    book_.Add("192.0.2.1:2000", PeerAt("203.0.113.1"));
    DialInVain("192.0.2.1:2000", 4);
    book_.Add("192.0.2.1:2000", PeerAt("203.0.113.1"));
    DialInVain("192.0.2.1:2000", 1);
    EXPECT_EQ(book_.Find("192.0.2.1:2000"), nullptr) << "though it was told again";
    EXPECT_EQ(book_.Add("192.0.2.1:2000", teller), teller.kind != Teller::Kind::kPeer);
    book_.ForgetWaits();
  }
}

TEST_F(ForgettingPeerBook, DoesNotForgetWhomItBannedOrItself) {
  AddOthers(100);
  book_.Find(Address(1))->banned = true;
  book_.Find(Address(2))->self = true;
  DialInVain(Address(1), 9);
  DialInVain(Address(2), 9);
  EXPECT_TRUE(book_.Find(Address(1))->banned);
  EXPECT_TRUE(book_.Find(Address(2))->self);
}

TEST_F(ForgettingPeerBook, KnowsThatAPeerAnswersThatIsOfNoUse) {
  AddOthers(100);
  PeerBook::Candidate* candidate = book_.Find(Address(1));
  for (int i = 0; i < 50; ++i) {
    ++candidate->links;
    ++candidate->dialled;
    book_.OnLinkGone(candidate, kStart, PeerBook::End::kUseless, "it refused");
  }
  EXPECT_FALSE(book_.Find(Address(1))->unreachable);
}

class BoundedPeerBook : public ::testing::Test {
 protected:
  BoundedPeerBook() {
    for (int i = 1; i <= 40; ++i) book_.Add(Address(i));
  }
  void Dial(PeerBook::Candidate* candidate) {
    ++candidate->links;
    ++candidate->dialled;
  }

  Book book_;
};

TEST_F(BoundedPeerBook, GivesOnlySoManyPeersToConnectTo) {
  for (PeerBook::Candidate* candidate : book_.Due(kStart, 1, 15)) Dial(candidate);
  EXPECT_EQ(book_.connected_peers(), 15);
  EXPECT_TRUE(book_.Due(kStart, 1, 15).empty());
  EXPECT_EQ(book_.NextDue(1, 15), absl::InfiniteFuture()) << "none until one of them goes";
  EXPECT_EQ(book_.Due(kStart, 1, 20).size(), 5u);
}

TEST_F(BoundedPeerBook, V01_DialsSomeHoweverManyHaveDialledHere) {
  for (int i = 1; i <= 30; ++i) book_.Find(Address(i))->links = 1;
  for (PeerBook::Candidate* candidate : book_.Due(kStart, 1, 24)) Dial(candidate);
  EXPECT_EQ(book_.connected_peers(), 30 + limits::kLeastDialledPeers);
  EXPECT_TRUE(book_.Due(kStart, 1, 24).empty());
}

TEST_F(BoundedPeerBook, V01_GivesEachNetworkItsShareWhileOthersWait) {
  // 40 of one network wait already.
  for (int i = 1; i <= 8; ++i) book_.Add(absl::StrCat("203.0.", i, ".1:9001"));
  std::map<uint64_t, int> of_network;
  for (PeerBook::Candidate* candidate : book_.Due(kStart, 1, 16)) {
    ++of_network[candidate->origin.network];
  }
  EXPECT_EQ(of_network.size(), 9u);
  EXPECT_EQ(of_network[book_.Find(Address(1))->origin.network], 8) << "what others leave";
}

TEST_F(BoundedPeerBook, V01_ANetworkWithFewerIsDialledThoughAllPlacesAreTaken) {
  for (PeerBook::Candidate* candidate : book_.Due(kStart, 1, 24)) Dial(candidate);
  EXPECT_TRUE(book_.Due(kStart, 1, 24).empty());
  EXPECT_EQ(book_.NextDue(1, 24), absl::InfiniteFuture());
  book_.Add("203.0.113.1:9001");
  EXPECT_LE(book_.NextDue(1, 24), kStart);
  EXPECT_EQ(book_.Due(kStart, 1, 24),
            std::vector<PeerBook::Candidate*>{book_.Find("203.0.113.1:9001")});
}

TEST_F(BoundedPeerBook, GivesThoseThatAreDialledMoreConnectionsWhereSeveralAreWanted) {
  PeerBook::Candidate* candidate = book_.Due(kStart, 1, 1).at(0);
  Dial(candidate);
  EXPECT_EQ(book_.Due(kStart, 2, 1), std::vector<PeerBook::Candidate*>{candidate});
  EXPECT_LE(book_.NextDue(2, 1), kStart);
}

TEST_F(BoundedPeerBook, DialsNobodyWhoIsConnectedByHisOwnDoingAndCountsHim) {
  PeerBook::Candidate* candidate = book_.Find(Address(7));
  ++candidate->links;
  EXPECT_EQ(book_.Due(kStart, 1, kMany).size(), 39u);
  EXPECT_EQ(book_.connected_peers(), 1);
  EXPECT_EQ(book_.Due(kStart, 1, 15).size(), 14u);
  book_.OnLinkGone(candidate, kStart, PeerBook::End::kAccepted, "closed");
  EXPECT_EQ(book_.Due(kStart, 1, kMany).size(), 40u) << "and at once when that one has gone";
}

TEST_F(BoundedPeerBook, WaitsLongForAPeerThatIsBusyAndDoesNotTakeItForDead) {
  PeerBook::Candidate* candidate = book_.Find(Address(7));
  absl::Duration former;
  for (int i = 0; i < 4; ++i) {
    Dial(candidate);
    book_.OnLinkGone(candidate, kStart, PeerBook::End::kBusy, "it refused");
    EXPECT_GT(candidate->next_try - kStart, absl::Seconds(10));
    EXPECT_GT(candidate->next_try - kStart, former);
    former = candidate->next_try - kStart;
  }
  EXPECT_FALSE(candidate->unreachable);
}

TEST_F(BoundedPeerBook, HoldsASurplusConnectionAgainstNobodyWhileThereIsAnother) {
  PeerBook::Candidate* candidate = book_.Find(Address(7));
  ++candidate->links;
  Dial(candidate);
  book_.OnLinkGone(candidate, kStart, PeerBook::End::kSurplus, "surplus");
  EXPECT_EQ(candidate->problem, "");
  EXPECT_EQ(candidate->links, 1);
  // Of a second address of the same peer there is no other: it is not dialled again and again.
  PeerBook::Candidate* second = book_.Find(Address(8));
  Dial(second);
  book_.OnLinkGone(second, kStart, PeerBook::End::kSurplus, "surplus");
  EXPECT_GT(second->next_try, kStart);
}

}  // namespace
}  // namespace p2p::engine

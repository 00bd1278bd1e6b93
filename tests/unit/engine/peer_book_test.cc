#include "daemon/engine/peer_book.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace p2p::engine {
namespace {

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);
constexpr int kMany = 1'000;

TEST(PeerBook, C12_TakesNoAddressThatIsNoPlaceToConnectTo) {
  PeerBook book(1);
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
  PeerBook book(1);
  for (int i = 1; i <= 5'000; ++i) book.Add(absl::StrCat("192.0.2.1:", i));
  EXPECT_EQ(book.all().size(), 1'000u);
}

TEST(PeerBook, WaitsLongerAfterEachFailureAndNotAfterUse) {
  PeerBook book(1);
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
  PeerBook book(1);
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
  PeerBook book(1);
  for (int i = 1; i <= 50; ++i) book.Add(absl::StrCat("192.0.2.1:", i));
  book.Add("192.0.2.9:1", /*keep=*/true);
  book.Add("192.0.2.1:7", /*keep=*/true);
  const auto due = book.Due(kStart, 1, kMany);
  ASSERT_EQ(due.size(), 51u);
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
    for (int i = 1; i <= count; ++i) book_.Add(absl::StrCat("198.51.100.1:", i));
  }

  PeerBook book_{1};
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
  book_.Add("192.0.2.1:2", /*keep=*/true);
  DialInVain("192.0.2.1:2", 50);
  EXPECT_NE(book_.Find("192.0.2.1:2"), nullptr);
}

TEST_F(ForgettingPeerBook, DoesNotForgetWhomItBannedOrItself) {
  AddOthers(100);
  book_.Find("198.51.100.1:1")->banned = true;
  book_.Find("198.51.100.1:2")->self = true;
  DialInVain("198.51.100.1:1", 9);
  DialInVain("198.51.100.1:2", 9);
  EXPECT_TRUE(book_.Find("198.51.100.1:1")->banned);
  EXPECT_TRUE(book_.Find("198.51.100.1:2")->self);
}

TEST_F(ForgettingPeerBook, KnowsThatAPeerAnswersThatIsOfNoUse) {
  AddOthers(100);
  PeerBook::Candidate* candidate = book_.Find("198.51.100.1:1");
  for (int i = 0; i < 50; ++i) {
    ++candidate->links;
    ++candidate->dialled;
    book_.OnLinkGone(candidate, kStart, PeerBook::End::kUseless, "it refused");
  }
  EXPECT_FALSE(book_.Find("198.51.100.1:1")->unreachable);
}

class BoundedPeerBook : public ::testing::Test {
 protected:
  BoundedPeerBook() {
    for (int i = 1; i <= 40; ++i) book_.Add(absl::StrCat("192.0.2.1:", i));
  }
  void Dial(PeerBook::Candidate* candidate) {
    ++candidate->links;
    ++candidate->dialled;
  }

  PeerBook book_{1};
};

TEST_F(BoundedPeerBook, GivesOnlySoManyPeersToConnectTo) {
  for (PeerBook::Candidate* candidate : book_.Due(kStart, 1, 15)) Dial(candidate);
  EXPECT_EQ(book_.connected_peers(), 15);
  EXPECT_TRUE(book_.Due(kStart, 1, 15).empty());
  EXPECT_EQ(book_.NextDue(1, 15), absl::InfiniteFuture()) << "none until one of them goes";
  EXPECT_EQ(book_.Due(kStart, 1, 20).size(), 5u);
}

TEST_F(BoundedPeerBook, GivesThoseThatAreDialledMoreConnectionsWhereSeveralAreWanted) {
  PeerBook::Candidate* candidate = book_.Due(kStart, 1, 1).at(0);
  Dial(candidate);
  EXPECT_EQ(book_.Due(kStart, 2, 1), std::vector<PeerBook::Candidate*>{candidate});
  EXPECT_LE(book_.NextDue(2, 1), kStart);
}

TEST_F(BoundedPeerBook, DialsNobodyWhoIsConnectedByHisOwnDoingAndCountsHim) {
  PeerBook::Candidate* candidate = book_.Find("192.0.2.1:7");
  ++candidate->links;
  EXPECT_EQ(book_.Due(kStart, 1, kMany).size(), 39u);
  EXPECT_EQ(book_.connected_peers(), 1);
  EXPECT_EQ(book_.Due(kStart, 1, 15).size(), 14u);
  book_.OnLinkGone(candidate, kStart, PeerBook::End::kAccepted, "closed");
  EXPECT_EQ(book_.Due(kStart, 1, kMany).size(), 40u) << "and at once when that one has gone";
}

TEST_F(BoundedPeerBook, WaitsLongForAPeerThatIsBusyAndDoesNotTakeItForDead) {
  PeerBook::Candidate* candidate = book_.Find("192.0.2.1:7");
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
  PeerBook::Candidate* candidate = book_.Find("192.0.2.1:7");
  ++candidate->links;
  Dial(candidate);
  book_.OnLinkGone(candidate, kStart, PeerBook::End::kSurplus, "surplus");
  EXPECT_EQ(candidate->problem, "");
  EXPECT_EQ(candidate->links, 1);
  // Of a second address of the same peer there is no other: it is not dialled again and again.
  PeerBook::Candidate* second = book_.Find("192.0.2.1:8");
  Dial(second);
  book_.OnLinkGone(second, kStart, PeerBook::End::kSurplus, "surplus");
  EXPECT_GT(second->next_try, kStart);
}

}  // namespace
}  // namespace p2p::engine

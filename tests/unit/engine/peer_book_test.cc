#include "daemon/engine/peer_book.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace p2p::engine {
namespace {

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);

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
  PeerBook::Candidate* candidate = book.Due(kStart, 1).at(0);
  absl::Duration former;
  for (int i = 0; i < 4; ++i) {
    ++candidate->links;
    book.OnLinkGone(candidate, kStart, PeerBook::End::kUseless, "connection refused");
    EXPECT_TRUE(book.Due(kStart, 1).empty());
    const absl::Duration wait = book.NextDue(1) - kStart;
    EXPECT_GT(wait, former);
    EXPECT_EQ(book.Due(kStart + wait, 1).size(), 1u);
    former = wait;
  }
  EXPECT_EQ(candidate->problem, "connection refused");
  ++candidate->links;
  book.OnLinkGone(candidate, kStart, PeerBook::End::kUseful, "closed");
  EXPECT_EQ(book.Due(kStart, 1).size(), 1u);
}

TEST(PeerBook, GivesNoCandidateThatHasItsConnectionsOrIsUseless) {
  PeerBook book(1);
  book.Add("192.0.2.1:1");
  book.Add("192.0.2.1:2");
  book.Find("192.0.2.1:1")->links = 1;
  EXPECT_EQ(book.Due(kStart, 1).size(), 1u);
  EXPECT_EQ(book.Due(kStart, 2).size(), 2u);
  book.Find("192.0.2.1:2")->banned = true;
  EXPECT_TRUE(book.Due(kStart, 1).empty());
  EXPECT_EQ(book.NextDue(1), absl::InfiniteFuture());
}

TEST(PeerBook, GivesThoseThatTheUserNamedFirst) {
  PeerBook book(1);
  for (int i = 1; i <= 50; ++i) book.Add(absl::StrCat("192.0.2.1:", i));
  book.Add("192.0.2.9:1", /*keep=*/true);
  book.Add("192.0.2.1:7", /*keep=*/true);
  const auto due = book.Due(kStart, 1);
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
    book_.OnLinkGone(candidate, kStart, PeerBook::End::kUseless, "it refused");
  }
  EXPECT_FALSE(book_.Find("198.51.100.1:1")->unreachable);
}

}  // namespace
}  // namespace p2p::engine

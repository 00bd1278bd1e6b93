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
    book.OnLinkGone(candidate, kStart, /*was_useful=*/false, "connection refused");
    EXPECT_TRUE(book.Due(kStart, 1).empty());
    const absl::Duration wait = book.NextDue(1) - kStart;
    EXPECT_GT(wait, former);
    EXPECT_EQ(book.Due(kStart + wait, 1).size(), 1u);
    former = wait;
  }
  EXPECT_EQ(candidate->problem, "connection refused");
  ++candidate->links;
  book.OnLinkGone(candidate, kStart, /*was_useful=*/true, "closed");
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

}  // namespace
}  // namespace p2p::engine

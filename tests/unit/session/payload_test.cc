// Payloads that were asked for: how long they may take, and what they may hold.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/unit/session/session_harness.h"

namespace p2p::session {
namespace {

using ::testing::HasSubstr;

// The first `sent` bytes of a manifest of `total` bytes, in parts.
std::string Parts(size_t total, size_t sent) {
  std::string text;
  for (size_t at = 0; at < sent; at += limits::kMaxManifestPartBytes) {
    const size_t part = std::min<size_t>(total - at, limits::kMaxManifestPartBytes);
    absl::StrAppend(&text, "MANIFEST ", total, " ", at, " +", part, "\n",
                    std::string(std::min(part, sent - at), 'x'));
  }
  return text;
}

std::string EndOf(Harness& h) { return h.Next<SessionEnded>().reason; }

TEST(Payload, V09_AManifestThatDoesNotBeginEndsTheSession) {
  Harness h(Dialled());
  h.OpenAsDialler(0);
  h.session.AskManifest(10);
  h.Pump();
  h.Advance(limits::kManifestPatience - absl::Milliseconds(1));
  EXPECT_FALSE(h.session.ended());
  h.Feed("PONG\n");
  h.Advance(absl::Milliseconds(1));
  EXPECT_TRUE(h.session.ended());
}

TEST(Payload, V09_ALargeManifestHasTheTimeThatItsSizeTakesAndNoMore) {
  Harness h(Dialled());
  h.OpenAsDialler(0);
  h.session.AskManifest(10);
  // Fast enough for any transfer and too slow for so much.
  const std::string parts = Parts(limits::kMaxManifestBytes, 16 << 20);
  const size_t step = 2 * limits::kMinTransferBytes;
  const absl::Time begin = h.now;
  for (size_t at = 0; !h.session.ended() && at + step <= parts.size(); at += step) {
    h.Feed(parts.substr(at, step));
    h.Advance(limits::kSlowReaderTimeout - absl::Seconds(1));
  }
  EXPECT_EQ(EndOf(h), "the manifest did not come in time");
  EXPECT_LT(h.now - begin, absl::Minutes(45));
  EXPECT_GT(h.now - begin, absl::Minutes(30));
}

TEST(Payload, V09_ATrickleEndsTheSessionWhateverWasAskedFor) {
  for (const std::string what : {"MANIFEST", "HASHES", "HAVE-BITS"}) {
    SCOPED_TRACE(what);
    Harness h(Dialled());
    h.OpenAsDialler(100'000);
    if (what == "MANIFEST") {
      h.session.AskManifest(10);
      h.Feed(Parts(1'000'000, 1));
    } else if (what == "HASHES") {
      h.session.AskHashes(FileIndex(0), 0);
      h.Feed("HASHES 0 0 8192 4 +262272\n");
    } else {
      h.session.Subscribe();
      h.Feed("HAVE-BITS 0 +12500\n");
    }
    for (int i = 0; i < 29; ++i) {
      h.Feed("x");
      h.Advance(absl::Seconds(1));
      ASSERT_FALSE(h.session.ended());
    }
    h.Feed("x");
    h.Advance(absl::Seconds(1));
    EXPECT_EQ(EndOf(h), "the other side sends too slowly");
  }
}

TEST(Payload, V09_HashesThatDoNotComeEndTheSession) {
  Harness h(Dialled());
  h.OpenAsDialler(100'000);
  h.session.AskHashes(FileIndex(0), 0);
  h.Feed("PONG\n");
  h.Advance(limits::kSlowReaderTimeout - absl::Milliseconds(1));
  EXPECT_FALSE(h.session.ended());
  h.Advance(absl::Milliseconds(1));
  EXPECT_TRUE(h.session.ended());
}

TEST(Payload, V09_WhatIsAnsweredInTimeLeavesTheSessionInPeace) {
  Harness h(Dialled());
  h.OpenAsDialler(100);
  h.session.AskManifest(10);
  h.Feed("NO-MANIFEST 409 later\n");
  h.Next<ManifestRefused>();
  h.session.AskManifest(10);
  h.Feed("MANIFEST 3 0 +3\nabc");
  EXPECT_EQ(h.Next<ManifestReceived>().info, "abc");
  h.Advance(limits::kSlowReaderTimeout * 3);
  EXPECT_FALSE(h.session.ended());
}

TEST(Payload, V09_LargeManifestsOfAllSessionsHaveOneBudget) {
  PeerSessionOptions options = Dialled();
  options.manifests = std::make_shared<ByteBudget>(1'000'000);
  const auto begin = [&options](size_t bytes) {
    auto h = std::make_unique<Harness>(options);
    h->OpenAsDialler(0);
    h->session.AskManifest(10);
    h->Feed(Parts(5'000'000, bytes));
    return h;
  };
  auto first = begin(900'000);
  EXPECT_EQ(options.manifests->held(), 900'000u);
  auto small = begin(limits::kSmallManifestBytes);
  EXPECT_FALSE(small->session.ended()) << "small ones are not counted";
  auto second = begin(limits::kSmallManifestBytes + 1);
  EXPECT_TRUE(second->session.ended());
  EXPECT_EQ(options.manifests->held(), 900'000u) << "what has ended holds nothing";
  first->session.SkipManifest();
  EXPECT_EQ(options.manifests->held(), 0u);
  auto third = begin(900'000);
  EXPECT_FALSE(third->session.ended());
  third.reset();
  EXPECT_EQ(options.manifests->held(), 0u);
}

TEST(Payload, V09_ARefusalInTheMiddleOfAManifestEndsTheConnectionAndHoldsNothing) {
  PeerSessionOptions options = Dialled();
  options.manifests = std::make_shared<ByteBudget>(8'000'000);
  Harness h(options);
  h.OpenAsDialler(0);
  h.session.AskManifest(10);
  constexpr size_t kSent = 8 * limits::kMaxManifestPartBytes;  // more than a small one has
  static_assert(kSent > limits::kSmallManifestBytes);
  h.Feed(Parts(5'000'000, kSent));
  EXPECT_EQ(options.manifests->held(), kSent);
  h.Feed("NO-MANIFEST 404 after all\n");
  EXPECT_TRUE(h.session.ended());
  EXPECT_EQ(options.manifests->held(), 0u);
}

TEST(Payload, V09_AManifestIsCountedUntilItWasChecked) {
  PeerSessionOptions options = Dialled();
  options.manifests = std::make_shared<ByteBudget>(1'000'000);
  Harness h(options);
  h.OpenAsDialler(0);
  h.session.AskManifest(10);
  h.Feed(Parts(500'000, 500'000));
  {
    const auto received = h.Next<ManifestReceived>();
    EXPECT_EQ(received.info.size(), 500'000u);
    EXPECT_EQ(options.manifests->held(), 500'000u);
  }
  EXPECT_EQ(options.manifests->held(), 0u);
}

TEST(Payload, WhatIsSkippedIsReadAndNotTold) {
  Harness h(Dialled());
  h.OpenAsDialler(100);
  h.session.AskManifest(10);
  h.Feed("MANIFEST 6 0 +6\nabc");
  h.session.SkipManifest();
  h.Feed("defPING\n");
  EXPECT_EQ(h.Count<ManifestReceived>(), 0);
  EXPECT_THAT(h.Said(), HasSubstr("PONG"));
}

TEST(Payload, C07_AChunkThatTakesLongGivesItsBufferBackWhereThereIsNone) {
  for (const size_t buffers : {1, 2}) {
    Harness h(Dialled(), buffers * limits::kChunkBytes);
    h.OpenAsDialler(100);
    h.session.RequestChunks(ChunkIndex(0), std::vector<uint32_t>{limits::kChunkBytes}, h.now);
    h.Feed(absl::StrCat("CHUNK 0 +", limits::kChunkBytes, "\n"));
    // Fast enough for any transfer, and slow.
    const auto second = [&h] {
      h.Feed(std::string(2'000, 'x'));
      h.Advance(absl::Seconds(1));
    };
    for (int i = 0; i < 29; ++i) second();
    EXPECT_FALSE(h.session.ended());
    for (int i = 0; i < 31; ++i) second();
    EXPECT_EQ(h.session.ended(), buffers == 1);
    EXPECT_EQ(h.pool->leased_bytes(), buffers == 1 ? 0u : limits::kChunkBytes);
  }
}

}  // namespace
}  // namespace p2p::session

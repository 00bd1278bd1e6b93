// The messages about leaves of a chunk.
#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "tests/unit/session/session_harness.h"

namespace p2p::session {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr uint32_t kPartBytes = 4 * limits::kLeafBytes;

ChunkPart Part(uint32_t chunk, uint32_t first_leaf, uint32_t leaf_count = 4) {
  return {ChunkIndex(chunk), first_leaf, leaf_count};
}

Hash256 HashOf(uint8_t n) { return TestPeerId(n).hash; }

std::string LeavesLine(const std::string& range, const std::vector<uint8_t>& proof,
                       uint32_t payload_bytes) {
  std::string hashes;
  for (const uint8_t n : proof) hashes += std::string(32, static_cast<char>(n));
  return absl::StrCat("LEAVES ", range, " ", proof.size(), " +", hashes.size() + payload_bytes,
                      "\n", hashes);
}

// --- Asking

TEST(LeafRequests, AreAnsweredWithTheDataAndItsProof) {
  Harness h(Dialled());
  h.OpenAsDialler(10, /*leaves=*/true);
  h.session.RequestLeaves(Part(3, 8), kPartBytes, h.now);
  EXPECT_EQ(h.Said(), "REQUEST-LEAVES 3 8 4\n");
  h.session.RequestLeaves(Part(3, 8), kPartBytes, h.now);
  EXPECT_EQ(h.Said(), "") << "what is asked for is not asked for again";
  EXPECT_EQ(h.session.requested(), 1);
  const std::string bytes = Pattern(kPartBytes, 7);
  h.Feed(LeavesLine("3 8 4", {1, 2, 3}, kPartBytes) + bytes);
  const ChunkReceived received = h.Next<ChunkReceived>();
  EXPECT_EQ(received.part, Part(3, 8));
  EXPECT_EQ(received.proof, (std::vector<Hash256>{HashOf(1), HashOf(2), HashOf(3)}));
  EXPECT_EQ(absl::string_view(reinterpret_cast<const char*>(received.data.span().data()),
                              received.data.size()),
            bytes);
  EXPECT_EQ(h.session.requested(), 0);
}

TEST(LeafRequests, CountAsProgress) {
  Harness h(Dialled());
  h.OpenAsDialler(10, /*leaves=*/true);
  h.session.RequestLeaves(Part(3, 8), kPartBytes, h.now);
  h.Feed(LeavesLine("3 8 4", {1, 2, 3}, kPartBytes) + Pattern(kPartBytes));
  uint64_t sum = 0;
  for (const PeerEvent& event : h.events) {
    if (const auto* progress = absl::get_if<ProgressMade>(&event)) sum += progress->bytes;
  }
  EXPECT_EQ(sum, kPartBytes);
}

TEST(LeafRequests, AreOfTheirOwnBesideTheirChunkAndRangesThatOverlap) {
  Harness h(Dialled());
  h.OpenAsDialler(10, /*leaves=*/true);
  h.session.RequestChunks(ChunkIndex(3), std::vector<uint32_t>{40}, h.now);
  h.session.RequestLeaves(Part(3, 0, 16), 30, h.now);
  h.session.RequestLeaves(Part(3, 0, 8), 20, h.now);
  EXPECT_EQ(h.session.requested(), 3);
  h.Feed(LeavesLine("3 0 8", {1, 2}, 20) + Pattern(20));
  EXPECT_EQ(h.Next<ChunkReceived>().part, Part(3, 0, 8));
  h.Feed("REJECT-LEAVES 3 0 16 409 not there yet\n");
  const auto rejected = h.Next<ChunkRejected>();
  EXPECT_EQ(rejected.part, Part(3, 0, 16));
  EXPECT_EQ(rejected.code, 409);
  EXPECT_EQ(rejected.reason, "not there yet");
  h.Feed("CHUNK 3 +40\n" + Pattern(40));
  const ChunkReceived chunk = h.Next<ChunkReceived>();
  EXPECT_EQ(chunk.part, ChunkIndex(3));
  EXPECT_TRUE(chunk.proof.empty()) << "none is left over";
  EXPECT_EQ(h.session.requested(), 0);
}

TEST(LeafRequests, CanBeCancelledWhileTheyAreNotOnTheirWay) {
  Harness h(Dialled());
  h.OpenAsDialler(10, /*leaves=*/true);
  h.session.RequestLeaves(Part(3, 0), 5, h.now);
  h.session.RequestLeaves(Part(3, 4), 5, h.now);
  h.Said();
  h.session.Cancel(Part(3, 4));
  h.session.Cancel(Part(3, 4));
  h.session.Cancel(Part(3, 8));
  h.session.Cancel(ChunkIndex(3));
  EXPECT_EQ(h.Said(), "CANCEL-LEAVES 3 4 4\n") << "once, and only what was asked for";
  h.Feed(LeavesLine("3 0 4", {1}, 5) + "ab");
  h.session.Cancel(Part(3, 0));
  EXPECT_EQ(h.Said(), "") << "it is on its way";
  h.Feed("cdeREJECT-LEAVES 3 4 4 499 cancelled\n");
  h.Next<ChunkReceived>();
  const auto rejected = h.Next<ChunkRejected>();
  EXPECT_EQ(rejected.part, Part(3, 4));
  EXPECT_EQ(rejected.code, 499);
}

TEST(LeafRequests, MayBeRepeatedAfterACancelThatIsNotAnsweredYet) {
  Harness h(Dialled());
  h.OpenAsDialler(10, /*leaves=*/true);
  h.session.RequestLeaves(Part(3, 4), 5, h.now);
  h.session.Cancel(Part(3, 4));
  h.session.RequestLeaves(Part(3, 4), 5, h.now);
  EXPECT_EQ(h.Said(), "REQUEST-LEAVES 3 4 4\nCANCEL-LEAVES 3 4 4\nREQUEST-LEAVES 3 4 4\n");
  h.Feed("REJECT-LEAVES 3 4 4 499 cancelled\n" + LeavesLine("3 4 4", {1}, 5) + "abcde");
  EXPECT_EQ(h.Next<ChunkReceived>().part, Part(3, 4)) << "the stale refusal is not passed on";
  EXPECT_EQ(h.session.requested(), 0);
}

TEST(LeafRequests, EndOnLeavesThatWereNotAskedForLikeThat) {
  for (const std::string& line :
       {LeavesLine("3 8 4", {1}, 99), LeavesLine("3 8 4", {1}, 101), LeavesLine("3 8 4", {1}, 0),
        LeavesLine("3 8 8", {1}, 100), LeavesLine("3 12 4", {1}, 100),
        LeavesLine("4 8 4", {1}, 100), LeavesLine("3 8 4", {1, 2, 3, 4, 5, 6}, 100),
        std::string("LEAVES 3 8 4 +100\n"), std::string("LEAVES 3 8 4 1 +100\n"),
        std::string("LEAVES 3 8 4 - +100\n"), std::string("CHUNK 3 +100\n"),
        std::string("REJECT 3 409 not there yet\n"),
        std::string("REJECT-LEAVES 3 12 4 409 not there yet\n")}) {
    Harness h(Dialled());
    h.OpenAsDialler(10, /*leaves=*/true);
    h.session.RequestLeaves(Part(3, 8), 100, h.now);
    h.Feed(line);
    EXPECT_THAT(h.Said(), HasSubstr("ERROR 4")) << line;
    EXPECT_TRUE(h.Next<SessionEnded>().protocol_error) << line;
    EXPECT_EQ(h.pool->leased_bytes(), 0u);
  }
}

TEST(LeafRequests, EndOnLeavesThatComeTwice) {
  Harness h(Dialled());
  h.OpenAsDialler(10, /*leaves=*/true);
  h.session.RequestLeaves(Part(3, 8), 1, h.now);
  h.Feed(LeavesLine("3 8 4", {1}, 1) + "x" + LeavesLine("3 8 4", {1}, 1) + "x");
  h.Next<ChunkReceived>();
  EXPECT_TRUE(h.Next<SessionEnded>().protocol_error);
}

TEST(LeafRequests, GiveTheBufferBackWhenTheConnectionEnds) {
  Harness h(Dialled());
  h.OpenAsDialler(10, /*leaves=*/true);
  h.session.RequestLeaves(Part(3, 8), kPartBytes, h.now);
  h.Feed(LeavesLine("3 8 4", {1}, kPartBytes) + "abc");
  EXPECT_GT(h.pool->leased_bytes(), 0u);
  h.EndOfStream();
  h.Next<SessionEnded>();
  EXPECT_EQ(h.pool->leased_bytes(), 0u);
}

// --- Serving

TEST(LeafServing, SendsLeavesWithTheirProof) {
  Harness h(Accepted());
  h.OpenAsAccepter(10, /*leaves=*/true);
  h.Feed("REQUEST-LEAVES 3 8 4\n");
  EXPECT_EQ(h.Next<ServeChunk>().part, Part(3, 8));
  EXPECT_EQ(h.session.queued_to_serve(), 1);
  h.session.SendLeaves(Part(3, 8), {HashOf(1), HashOf(2)}, SliceOf("some bytes"));
  EXPECT_EQ(h.Said(), LeavesLine("3 8 4", {1, 2}, 10) + "some bytes");
  EXPECT_EQ(h.session.queued_to_serve(), 0);
}

TEST(LeafServing, RefusesAndSendsNothingThatWasNotAskedFor) {
  Harness h(Accepted());
  h.OpenAsAccepter(10, /*leaves=*/true);
  h.session.SendLeaves(Part(3, 8), {}, SliceOf("x"));
  EXPECT_EQ(h.Said(), "");
  h.Feed("REQUEST-LEAVES 3 8 4\n");
  h.session.SendChunk(ChunkIndex(3), SliceOf("x"));
  h.session.SendLeaves(Part(3, 8, 8), {}, SliceOf("x"));
  EXPECT_EQ(h.Said(), "");
  h.session.Refuse(Part(3, 8), 409, "not there yet");
  h.session.Refuse(Part(3, 8), 409, "not there yet");
  EXPECT_EQ(h.Said(), "REJECT-LEAVES 3 8 4 409 not there yet\n");
}

TEST(LeafServing, V08_EndsWhenAChunkBeyondTheLastOneIsAskedFor) {
  Harness h(Accepted());
  h.OpenAsAccepter(10, /*leaves=*/true);
  h.Feed("REQUEST-LEAVES 10 0 4\n");
  EXPECT_EQ(h.Said(), "ERROR 416 a chunk beyond the last one was asked for\n");
  EXPECT_TRUE(h.Next<SessionEnded>().protocol_error);
}

TEST(LeafServing, RejectsWhatIsNotThere) {
  Harness unknown(Accepted());
  unknown.OpenAsAccepter(0, /*leaves=*/true);
  unknown.Feed("REQUEST-LEAVES 0 0 4\n");
  EXPECT_EQ(unknown.Said(), "REJECT-LEAVES 0 0 4 409 not there yet\n");

  Harness refused(Accepted());
  refused.Feed(HelloLine(/*leaves=*/true) + "OPEN " + TestContentId(5).Hex() +
               "\nREQUEST-LEAVES 0 0 4\nCANCEL-LEAVES 0 0 4\nPING\n");
  refused.session.RefuseOpen(404, "not shared here");
  EXPECT_THAT(refused.Said(), HasSubstr("REJECT-LEAVES 0 0 4 404 no such content\nPONG\n"));
  EXPECT_FALSE(refused.session.ended());
}

TEST(LeafServing, AnswersCancelledLeavesThatStillWait) {
  Harness h(Accepted());
  h.OpenAsAccepter(10, /*leaves=*/true);
  h.Feed("REQUEST-LEAVES 3 0 4\nREQUEST-LEAVES 3 4 4\nREQUEST-LEAVES 3 8 4\nREQUEST 3 1\n");
  h.Feed("CANCEL-LEAVES 3 0 4\nCANCEL-LEAVES 3 8 4\nCANCEL-LEAVES 3 0 8\n");
  EXPECT_EQ(h.Said(), "REJECT-LEAVES 3 8 4 499 cancelled\n")
      << "the first is being prepared and will come";
  EXPECT_EQ(h.session.queued_to_serve(), 3);
  h.Feed("CANCEL 3 1\n");
  EXPECT_EQ(h.Said(), "REJECT 3 499 cancelled\n") << "not its ranges";
  EXPECT_EQ(h.session.queued_to_serve(), 2);
}

TEST(LeafServing, RejectsWhatGoesBeyondTheQueue) {
  Harness h(Accepted());
  h.OpenAsAccepter(10'000, /*leaves=*/true);
  h.Feed(absl::StrCat("REQUEST 0 ", limits::kMaxQueuedChunks - 1, "\n"));
  h.Feed("REQUEST-LEAVES 9000 0 4\nREQUEST-LEAVES 9000 4 4\nREQUEST 9001 1\n");
  EXPECT_EQ(h.Said(),
            "REJECT-LEAVES 9000 4 4 429 too many chunks asked for at once\n"
            "REJECT 9001 429 too many chunks asked for at once\n");
  EXPECT_EQ(h.session.queued_to_serve(), static_cast<int>(limits::kMaxQueuedChunks));
}

TEST(LeafServing, SendsFirstWhatWasSentLeastOverAllConnections) {
  auto tally = std::make_shared<SendTally>(10);
  Harness first(Accepted());
  Harness second(Accepted());
  for (Harness* h : {&first, &second}) {
    h->OpenAsAccepter(10, /*leaves=*/true);
    h->session.UseSendTally(tally);
  }
  first.Feed("REQUEST-LEAVES 3 8 4\n");
  EXPECT_EQ(first.Next<ServeChunk>().part, Part(3, 8));
  // The first of its questions is taken before there is a choice.
  second.Feed("REQUEST 9 1\nREQUEST-LEAVES 3 8 4\nREQUEST 3 1\nREQUEST-LEAVES 3 12 4\n");
  std::vector<ChunkPart> order;
  while (second.session.queued_to_serve() > 0) {
    order.push_back(second.Next<ServeChunk>().part);
    second.session.Refuse(order.back(), 410, "damaged");
  }
  EXPECT_EQ(order, (std::vector<ChunkPart>{ChunkIndex(9), Part(3, 12), Part(3, 8), ChunkIndex(3)}));
}

// --- Availability

TEST(HaveLeaves, IsToldToSubscribersThatKnowOfLeavesOnly) {
  for (const bool leaves : {false, true}) {
    Harness h(Accepted());
    h.OpenAsAccepter(10, leaves);
    h.session.SendHaveLeaves(Part(3, 8, 12));
    EXPECT_EQ(h.Said(), "");
    h.Feed("SUBSCRIBE\n");
    h.Next<SubscribeAsked>();
    h.session.SendHaveLeaves(Part(3, 8, 12));
    EXPECT_EQ(h.Said(), leaves ? "HAVE-LEAVES 3 8 12\n" : "");
  }
}

TEST(HaveLeaves, IsHeardWithinTheContentAfterSubscribing) {
  Harness h(Dialled());
  h.OpenAsDialler(20, /*leaves=*/true);
  h.session.Subscribe();
  h.Feed("HAVE-LEAVES 19 3 29\n");
  EXPECT_EQ(h.Next<HaveLeavesReceived>().part, Part(19, 3, 29));
  h.Said();
  h.Feed("HAVE-LEAVES 20 0 4\n");
  EXPECT_THAT(h.Said(), StartsWith("ERROR 416 "));
  EXPECT_TRUE(h.Next<SessionEnded>().protocol_error);

  Harness unsubscribed(Dialled());
  unsubscribed.OpenAsDialler(20, /*leaves=*/true);
  unsubscribed.Feed("HAVE-LEAVES 3 0 4\n");
  EXPECT_THAT(unsubscribed.Said(), StartsWith("ERROR 400 have-set without SUBSCRIBE"));
  EXPECT_TRUE(unsubscribed.Next<SessionEnded>().protocol_error);
}

TEST(HaveLeaves, IsHeardBeforeTheNumberOfChunksIsKnown) {
  Harness h(Accepted());
  h.OpenAsAccepter(0, /*leaves=*/true);
  h.session.Subscribe();
  h.Feed("HAVE-LEAVES 7 0 4\n");
  EXPECT_EQ(h.Next<HaveLeavesReceived>().part, Part(7, 0));
}

// --- Agreement

const char* const kLeafMessages[] = {
    "HAVE-LEAVES 3 8 4\n", "REQUEST-LEAVES 3 8 4\n", "CANCEL-LEAVES 3 8 4\n",
    "REJECT-LEAVES 3 8 4 409 not there yet\n", "LEAVES 3 8 4 0 +1\nx"};

TEST(LeavesAgreement, WithoutItEveryMessageAboutLeavesEndsTheConnection) {
  for (const char* message : kLeafMessages) {
    for (const bool ours : {false, true}) {
      PeerSessionOptions options = Dialled();
      options.leaves = ours;
      Harness h(options);
      h.OpenAsDialler(10, /*leaves=*/!ours);
      h.session.Subscribe();
      h.Said();
      h.Feed(message);
      EXPECT_THAT(h.Said(), StartsWith("ERROR 400 leaves were not agreed on in HELLO")) << message;
      EXPECT_TRUE(h.Next<SessionEnded>().protocol_error);
    }
  }
}

TEST(LeavesAgreement, WithoutItNothingIsSaidAboutLeaves) {
  for (const bool ours : {false, true}) {
    PeerSessionOptions options = Dialled();
    options.leaves = ours;
    Harness h(options);
    h.session.Open(TestContentId(0xcc));
    h.Feed(HelloLine(/*leaves=*/!ours) + "OPENED 10\n");
    EXPECT_FALSE(h.Next<PeerHello>().leaves) << "it may not be asked for leaves";
    h.Feed("SUBSCRIBE\n");
    h.Said();
    h.session.RequestLeaves(Part(3, 8), kPartBytes, h.now);
    h.session.SendHaveLeaves(Part(3, 8));
    h.session.Cancel(Part(3, 8));
    EXPECT_EQ(h.Said(), "");
    EXPECT_EQ(h.session.requested(), 0);
  }
}

TEST(LeavesAgreement, NeedsOpenFirst) {
  for (const char* message : {"REQUEST-LEAVES 3 8 4\n", "CANCEL-LEAVES 3 8 4\n"}) {
    Harness h(Accepted());
    h.Feed(HelloLine(/*leaves=*/true));
    h.Next<PeerHello>();
    h.Feed(message);
    EXPECT_THAT(h.Said(), HasSubstr("ERROR 400 OPEN comes first\n")) << message;
    EXPECT_TRUE(h.Next<SessionEnded>().protocol_error);
  }
}

}  // namespace
}  // namespace p2p::session

// The extension: HELLO, questions and answers, have-sets, chunk requests, time.
#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "tests/unit/session/session_harness.h"

namespace p2p::session {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// --- HELLO

TEST(Hello, IsSaidAtOnceByTheSideThatDialled) {
  Harness h(Dialled());
  h.session.Open(TestContentId(1));
  h.session.AskManifest(10);
  EXPECT_EQ(h.Said(), "HELLO 3 id=" + TestPeerId(0xdd).Hex() +
                          " port=9001 leaves agent=p2pd/test\nOPEN " + TestContentId(1).Hex() +
                          "\nGET-MANIFEST 10\n");
  h.Feed(HelloLine());
  const auto hello = h.Next<PeerHello>();
  EXPECT_EQ(hello.peer_id, TestPeerId(0xbb));
  EXPECT_EQ(hello.listen_port, 9002);
  EXPECT_EQ(hello.agent, "other/1");
}

TEST(Hello, IsAnsweredByTheSideThatAccepted) {
  Harness h(Accepted());
  EXPECT_EQ(h.Said(), "");
  h.Feed("HELLO 3 later=feature id=" + TestPeerId(1).Hex() + " word\n");
  EXPECT_EQ(h.Said(),
            "HELLO 3 id=" + TestPeerId(0xaa).Hex() + " port=9001 leaves agent=p2pd/test\n");
  EXPECT_EQ(h.Next<PeerHello>().listen_port, 0);
}

TEST(Hello, TellsWhetherTheOtherSideKnowsOfLeaves) {
  for (const bool theirs : {false, true}) {
    Harness h(Accepted());
    h.Feed(HelloLine(theirs));
    EXPECT_EQ(h.Next<PeerHello>().leaves, theirs);
  }
  PeerSessionOptions without = Dialled();
  without.leaves = false;
  EXPECT_EQ(Harness(without).Said(),
            "HELLO 3 id=" + TestPeerId(0xdd).Hex() + " port=9001 agent=p2pd/test\n");
}

TEST(Hello, NeedsAnIdAndComesOnce) {
  for (const std::string& line :
       {std::string("HELLO\n"), std::string("HELLO 3\n"), std::string("HELLO x\n"),
        "HELLO 3 id=" + TestPeerId(1).Hex() + " port=65536\n"}) {
    Harness h(Accepted());
    h.Feed(line);
    EXPECT_THAT(h.Said(), AllOf(StartsWith("HELLO 3 id="), HasSubstr("\nERROR 400 HELLO")))
        << "our own first, or this side would look like an original one: " << line;
    EXPECT_TRUE(h.Next<SessionEnded>().protocol_error);
  }
  Harness twice(Accepted());
  twice.Feed(HelloLine() + HelloLine());
  twice.Next<PeerHello>();
  EXPECT_TRUE(twice.Next<SessionEnded>().protocol_error);
}

TEST(Hello, OfAnEarlierVersionIsAnsweredAndRefused) {
  for (const char* line : {"HELLO 2 id=whatever\n", "HELLO 0\n"}) {
    Harness h(Accepted());
    h.Feed(line);
    EXPECT_THAT(h.Said(), AllOf(StartsWith("HELLO 3 id="), HasSubstr("\nERROR 426 version 3 ")));
    EXPECT_TRUE(h.session.ended());
  }
  Harness dialled(Dialled());
  dialled.Said();
  dialled.Feed("HELLO 2 id=" + TestPeerId(1).Hex() + "\n");
  EXPECT_THAT(dialled.Said(), StartsWith("ERROR 426 "));
  EXPECT_TRUE(dialled.Next<SessionEnded>().protocol_error) << "and it is no original peer";
}

TEST(Hello, TellsEachSideWhereItIsSeen) {
  PeerSessionOptions options = Accepted();
  options.other = "192.0.2.7:51324";
  Harness h(options);
  h.Feed("HELLO 3 id=" + TestPeerId(1).Hex() + " you=[2001:db8::1]:9;x=y\n");
  EXPECT_THAT(h.Said(), HasSubstr(" leaves you=192.0.2.7:51324 agent="));
  EXPECT_EQ(h.Next<PeerHello>().you, "[2001:db8::1]:9");
  h.Feed("ERROR 503 full\n");
  EXPECT_EQ(h.Next<SessionEnded>().code, 503);
}

TEST(Hello, IsSaidToWhomThereIsNoRoomFor) {
  Harness h(Dialled());
  h.Feed(NoRoomText(Accepted()));
  EXPECT_EQ(h.Next<PeerHello>().peer_id, TestPeerId(0xaa)) << "busy does not look like original";
  const auto ended = h.Next<SessionEnded>();
  EXPECT_EQ(ended.code, 503);
  EXPECT_FALSE(ended.protocol_error);
}

TEST(Hello, TellsAnOriginalPeerByItsAnswer) {
  for (const char* answer : {"ERROR 400 unknown request\n", "5\nhello", "whatever\n"}) {
    Harness h(Dialled());
    h.Feed(answer);
    h.Next<PeerIsOriginal>();
    EXPECT_TRUE(h.session.ended());
  }
  Harness closing(Dialled());
  closing.EndOfStream();
  closing.Next<PeerIsOriginal>();

  Harness silent(Dialled());
  silent.Advance(limits::kHelloTimeout - absl::Milliseconds(1));
  EXPECT_TRUE(silent.NoEvents());
  silent.Advance(absl::Milliseconds(1));
  silent.Next<PeerIsOriginal>();
}

// --- Content

TEST(Extension, HoldsWhatIsPipelinedBehindOpenUntilItIsAnswered) {
  Harness h(Accepted());
  h.Feed(HelloLine() + "OPEN " + TestContentId(5).Hex() + "\nGET-MANIFEST 0\nSUBSCRIBE\n");
  h.Next<PeerHello>();
  EXPECT_EQ(h.Next<OpenAsked>().content_id, TestContentId(5));
  EXPECT_TRUE(h.NoEvents());
  h.session.AcceptOpen(7);
  h.Next<ManifestAsked>();
  EXPECT_TRUE(h.NoEvents());
  h.session.SendManifest(std::make_shared<const std::string>("d4:infoe"));
  h.Next<SubscribeAsked>();
  EXPECT_THAT(h.Said(), HasSubstr("OPENED 7\nMANIFEST 8 0 +8\nd4:infoe"));
}

TEST(Extension, RefusesWhatFollowsARefusedOpenWithoutEnding) {
  Harness h(Accepted());
  h.Feed(HelloLine() + "OPEN " + TestContentId(5).Hex() +
         "\nGET-MANIFEST 0\nGET-HASHES 0 0\nREQUEST 3 2\nCANCEL 3 1\nGET-PEERS\nPING\n");
  h.session.RefuseOpen(404, "not shared here");
  EXPECT_THAT(h.Said(),
              HasSubstr("REFUSED 404 not shared here\nNO-MANIFEST 404 no such content\n"
                        "NO-HASHES 0 0 404 no such content\nREJECT 3 404 no such content\n"
                        "REJECT 4 404 no such content\nPEERS +0\nPONG\n"));
  EXPECT_FALSE(h.session.ended());
}

TEST(Extension, TellsPeersAlsoWhereItHasNoRoom) {
  Harness h(Accepted());
  h.Feed(HelloLine() + "OPEN " + TestContentId(5).Hex() + "\nGET-PEERS\nGET-MANIFEST 0\n");
  h.session.RefuseOpen(503, "no room", {"192.0.2.1:9001", "[2001:db8::7]:9001"});
  EXPECT_THAT(h.Said(),
              HasSubstr("REFUSED 503 no room\nPEERS +33\n192.0.2.1:9001 [2001:db8::7]:9001"
                        "NO-MANIFEST 404 no such content\n"));
  EXPECT_FALSE(h.session.ended());
}

TEST(Extension, NeedsOpenFirst) {
  for (const char* line : {"GET-MANIFEST 0\n", "GET-HASHES 0 0\n", "SUBSCRIBE\n", "REQUEST 0 1\n",
                           "CANCEL 0 1\n", "GET-PEERS\n"}) {
    for (bool dialled : {false, true}) {
      Harness h(dialled ? Dialled() : Accepted());
      h.Feed(HelloLine());
      h.Next<PeerHello>();
      h.Feed(line);
      EXPECT_THAT(h.Said(), HasSubstr("ERROR 400 OPEN comes first\n")) << line;
      EXPECT_TRUE(h.Next<SessionEnded>().protocol_error);
    }
  }
}

TEST(Extension, TakesOneOpenFromTheSideThatDialled) {
  Harness accepted(Accepted());
  accepted.OpenAsAccepter(5);
  accepted.Feed("OPEN " + TestContentId(5).Hex() + "\n");
  EXPECT_TRUE(accepted.Next<SessionEnded>().protocol_error);
  Harness dialled(Dialled());
  dialled.Feed(HelloLine() + "OPEN " + TestContentId(5).Hex() + "\n");
  dialled.Next<PeerHello>();
  EXPECT_TRUE(dialled.Next<SessionEnded>().protocol_error);
}

TEST(Extension, TellsWhyOpenWasRefused) {
  Harness h(Dialled());
  h.session.Open(TestContentId(1));
  h.Feed(HelloLine() + "REFUSED 404 never heard of it\n");
  h.Next<PeerHello>();
  const auto answer = h.Next<OpenAnswered>();
  EXPECT_FALSE(answer.accepted);
  EXPECT_EQ(answer.reason, "never heard of it");
  EXPECT_EQ(answer.code, 404);
}

TEST(Extension, EndsOnAnswersToNothing) {
  const std::string id = TestContentId(1).Hex();
  for (const std::string& line :
       {std::string("OPENED 3\n"), std::string("REFUSED 404 x\n"), "CONTENTS " + id + "\n",
        std::string("MANIFEST 5 0 +5\nhello"), std::string("NO-MANIFEST 404 x\n"),
        "HASHES 0 0 1 0 +32\n" + id, std::string("NO-HASHES 0 0 404 x\n"),
        std::string("CHUNK 0 +1\nx"), std::string("REJECT 0 404 x\n"),
        std::string("PEERS +9\n1.2.3.4:5"), std::string("HAVE 0 1\n"), std::string("LOST 0 1\n"),
        std::string("HAVE-BITS 0 +1\nx")}) {
    Harness h(Dialled());
    h.OpenAsDialler(10);
    h.Feed(line);
    EXPECT_THAT(h.Said(), StartsWith("ERROR 4")) << line;
    EXPECT_TRUE(h.Next<SessionEnded>().protocol_error) << line;
    EXPECT_EQ(h.pool->leased_bytes(), 0u);
  }
}

TEST(Extension, AsksAndAnswersWhich) {
  Harness h(Dialled());
  h.session.AskWhich("a b");
  EXPECT_THAT(h.Said(), HasSubstr("WHICH a b\n"));
  h.session.AskWhich("../x");
  EXPECT_TRUE(h.Next<WhichAnswered>().content_ids.empty());
  h.Feed(HelloLine() + "CONTENTS " + TestContentId(1).Hex() + " " + TestContentId(2).Hex() + "\n");
  h.Next<PeerHello>();
  EXPECT_EQ(h.Next<WhichAnswered>().content_ids.size(), 2u);

  Harness a(Accepted());
  a.Feed(HelloLine() + "WHICH some name\n");
  a.Next<PeerHello>();
  EXPECT_EQ(a.Next<WhichAsked>().name, "some name");
  a.Said();
  a.session.AnswerWhich({});
  EXPECT_EQ(a.Said(), "CONTENTS\n");
}

TEST(Extension, SkipsUnknownVerbsWithTheirPayload) {
  Harness h(Accepted());
  h.OpenAsAccepter(5);
  h.Feed("PRIORITY 5 high\nFUTURE a b +12\nHELLO\nPING\n\nPING extra words\n");
  EXPECT_EQ(h.Said(), "PONG\n");
  EXPECT_FALSE(h.session.ended());
  h.Feed(absl::StrCat("FUTURE +", limits::kMaxUnknownPayloadBytes, "\n") +
         std::string(limits::kMaxUnknownPayloadBytes, 'x') + "PING\n");
  EXPECT_EQ(h.Said(), "PONG\n");
  h.Feed(absl::StrCat("FUTURE +", limits::kMaxUnknownPayloadBytes + 1, "\n"));
  EXPECT_TRUE(h.session.ended());
}

TEST(Extension, T25_EndsOnNoiseAndTooLongLines) {
  for (const std::string& line :
       {std::string("\n"), std::string("ping\n"), std::string("\x16\x03\x01\n"),
        std::string("GET / HTTP/1.1\r\n") + "\x01\n", std::string(4'096, 'X')}) {
    Harness h(Accepted());
    h.OpenAsAccepter(5);
    h.Feed(line);
    EXPECT_THAT(h.Said(), StartsWith(line.size() > 4'000 ? "ERROR 413 " : "ERROR 400 "));
    EXPECT_TRUE(h.Next<SessionEnded>().protocol_error);
  }
}

TEST(Extension, MakesFloodsOfQuestionsWaitForTheirAnswers) {
  Harness h(Accepted());
  h.OpenAsAccepter(100);
  std::string flood;
  for (int i = 0; i < 10'000; ++i) flood += "GET-HASHES 0 0\nWHICH x\nGET-PEERS\nGET-MANIFEST 0\n";
  h.Feed(flood);
  EXPECT_LE(h.events.size(), 25u);
  EXPECT_EQ(h.mode(), PeerSession::ReadMode::kPause);
  EXPECT_GT(h.unread_bytes(), flood.size() - 100'000);
}

// --- Have-sets

TEST(Extension, TellsHaveSetsToSubscribersOnly) {
  Harness h(Accepted());
  h.OpenAsAccepter(1'000'000);
  h.session.SendHave(ChunkIndex(1), 2);
  EXPECT_EQ(h.Said(), "");
  h.Feed("SUBSCRIBE\n");
  h.Next<SubscribeAsked>();
  h.session.SendHave(ChunkIndex(1), 2);
  h.session.SendLost(ChunkIndex(2), 1);
  h.session.SendHave(ChunkIndex(2), 0);
  EXPECT_EQ(h.Said(), "HAVE 1 2\nLOST 2 1\n");
  h.session.SendHaveBits(ChunkIndex(8), Pattern(limits::kMaxHaveBitsBytes + 3));
  const std::string said = h.Said();
  EXPECT_THAT(said, StartsWith("HAVE-BITS 8 +65536\n"));
  EXPECT_THAT(said, HasSubstr("HAVE-BITS 524296 +3\n"));
  h.Feed("SUBSCRIBE\n");
  EXPECT_TRUE(h.session.ended()) << "once is enough";
}

TEST(Extension, HearsHaveSetsWithinTheContent) {
  Harness h(Dialled());
  h.OpenAsDialler(20);
  h.session.Subscribe();
  h.Feed("HAVE 0 20\nLOST 19 1\nHAVE-BITS 8 +2\n\xff\xff");
  EXPECT_EQ(h.Next<HaveReceived>().count, 20u);
  EXPECT_EQ(h.Next<LostReceived>().first, ChunkIndex(19));
  const auto bits = h.Next<HaveBitsReceived>();
  EXPECT_EQ(bits.first, ChunkIndex(8));
  EXPECT_EQ(bits.bits, "\xff\xff");
  EXPECT_FALSE(h.session.ended());
}

TEST(Extension, EndsOnHaveSetsBeyondTheContent) {
  for (const char* message : {"HAVE 0 21\n", "HAVE 20 1\n", "HAVE 4294967295 2\n", "LOST 19 2\n",
                              "HAVE 3 0\n", "HAVE-BITS 8 +3\nxxx", "HAVE-BITS 24 +1\nx",
                              "HAVE-BITS 4 +1\nx", "HAVE-BITS 0 +65537\n", "HAVE-BITS 0 +0\n"}) {
    Harness h(Dialled());
    h.OpenAsDialler(20);
    h.session.Subscribe();
    h.Feed(message);
    EXPECT_TRUE(h.session.ended()) << message;
    EXPECT_TRUE(h.Next<SessionEnded>().protocol_error);
  }
}

// --- Asking for chunks

TEST(ChunkRequests, PackRunsInOneLine) {
  Harness h(Dialled());
  h.OpenAsDialler(100);
  h.session.RequestChunks(ChunkIndex(5), std::vector<uint32_t>{10, 10, 7}, h.now);
  EXPECT_EQ(h.Said(), "REQUEST 5 3\n");
  h.session.RequestChunks(ChunkIndex(4), std::vector<uint32_t>{10, 10, 10}, h.now);
  EXPECT_EQ(h.Said(), "REQUEST 4 1\n") << "what is asked for is not asked for again";
  EXPECT_EQ(h.session.requested(), 4);
  h.session.RequestChunks(ChunkIndex(50), std::vector<uint32_t>(5'000, 1), h.now);
  EXPECT_EQ(h.Said(), "REQUEST 50 4096\nREQUEST 4146 904\n");
}

TEST(ChunkRequests, TakeAnswersInAnyOrder) {
  Harness h(Dialled());
  h.OpenAsDialler(100);
  h.session.RequestChunks(ChunkIndex(0), std::vector<uint32_t>{3, 4, 5}, h.now);
  h.Feed("CHUNK 2 +5\nabcdeREJECT 0 409 not there yet\nCHUNK 1 +4\nwxyz");
  ChunkReceived first = h.Next<ChunkReceived>();
  EXPECT_EQ(first.part, ChunkIndex(2));
  EXPECT_EQ(absl::string_view(reinterpret_cast<char*>(first.data.data()), first.data.size()),
            "abcde");
  const auto rejected = h.Next<ChunkRejected>();
  EXPECT_EQ(rejected.part, ChunkIndex(0));
  EXPECT_EQ(rejected.code, 409);
  EXPECT_EQ(h.Next<ChunkReceived>().part, ChunkIndex(1));
  EXPECT_EQ(h.session.requested(), 0);
}

TEST(ChunkRequests, C02_C03_C11_EndOnChunksThatWereNotAskedForLikeThat) {
  for (const char* header : {"CHUNK 0 +99\n", "CHUNK 0 +101\n", "CHUNK 0 +0\n", "CHUNK 0 +524289\n",
                             "CHUNK 0 +99999999999999999999\n", "CHUNK 1 +100\n", "CHUNK 0\n",
                             "CHUNK 0 100\n", "CHUNK 0 +0100\n", "CHUNK -0 +100\n"}) {
    Harness h(Dialled());
    h.OpenAsDialler(100);
    h.session.RequestChunks(ChunkIndex(0), std::vector<uint32_t>{100}, h.now);
    h.Feed(header);
    EXPECT_TRUE(h.session.ended()) << header;
    EXPECT_TRUE(h.Next<SessionEnded>().protocol_error);
    EXPECT_EQ(h.pool->leased_bytes(), 0u);
  }
}

TEST(ChunkRequests, C11_EndOnAChunkThatComesTwice) {
  Harness h(Dialled());
  h.OpenAsDialler(100);
  h.session.RequestChunks(ChunkIndex(0), std::vector<uint32_t>{1}, h.now);
  h.Feed("CHUNK 0 +1\nxCHUNK 0 +1\nx");
  h.Next<ChunkReceived>();
  EXPECT_TRUE(h.Next<SessionEnded>().protocol_error);
}

TEST(ChunkRequests, C05_GiveTheBufferBackWhenTheConnectionEnds) {
  Harness h(Dialled());
  h.OpenAsDialler(100);
  h.session.RequestChunks(ChunkIndex(0), std::vector<uint32_t>{limits::kChunkBytes}, h.now);
  h.Feed("CHUNK 0 +524288\nabc");
  EXPECT_EQ(h.pool->leased_bytes(), limits::kChunkBytes);
  h.EndOfStream();
  EXPECT_FALSE(h.Next<SessionEnded>().protocol_error);
  EXPECT_EQ(h.pool->leased_bytes(), 0u);
}

TEST(ChunkRequests, C07_EndOnATrickleButNotWhileThereIsProgress) {
  Harness h(Dialled());
  h.OpenAsDialler(100);
  h.session.RequestChunks(ChunkIndex(0), std::vector<uint32_t>{limits::kChunkBytes, 100}, h.now);
  h.Feed("CHUNK 0 +524288\n");
  for (int i = 0; i < 10; ++i) {
    h.Advance(absl::Seconds(25));
    h.Feed(Pattern(40'000));
    ASSERT_FALSE(h.session.ended());
  }
  for (int i = 0; i < 29; ++i) {
    h.Advance(absl::Seconds(1));
    h.Feed("x");
  }
  EXPECT_FALSE(h.session.ended());
  h.Advance(absl::Seconds(1));
  EXPECT_TRUE(h.session.ended());
}

TEST(ChunkRequests, CanBeCancelled) {
  Harness h(Dialled());
  h.OpenAsDialler(100);
  h.session.RequestChunks(ChunkIndex(0), std::vector<uint32_t>{5, 5, 5}, h.now);
  h.Said();
  h.session.Cancel(ChunkIndex(1));
  h.session.Cancel(ChunkIndex(1));
  h.session.Cancel(ChunkIndex(7));
  EXPECT_EQ(h.Said(), "CANCEL 1 1\n") << "once, and only what was asked for";
  h.Feed("CHUNK 0 +5\nab");
  h.session.Cancel(ChunkIndex(0));
  EXPECT_EQ(h.Said(), "") << "it is on its way";
  h.Feed("cdeREJECT 1 499 cancelled\n");
  h.Next<ChunkReceived>();
  EXPECT_EQ(h.Next<ChunkRejected>().code, 499);
}

TEST(ChunkRequests, MayBeRepeatedAfterACancelThatIsNotAnsweredYet) {
  Harness h(Dialled());
  h.OpenAsDialler(100);
  h.session.RequestChunks(ChunkIndex(0), std::vector<uint32_t>{5}, h.now);
  h.session.Cancel(ChunkIndex(0));
  h.session.RequestChunks(ChunkIndex(0), std::vector<uint32_t>{5}, h.now);
  EXPECT_EQ(h.Said(), "REQUEST 0 1\nCANCEL 0 1\nREQUEST 0 1\n");
  h.Feed("REJECT 0 499 cancelled\nCHUNK 0 +5\nabcde");
  EXPECT_EQ(h.Next<ChunkReceived>().part, ChunkIndex(0)) << "the stale refusal is not passed on";
  EXPECT_EQ(h.session.requested(), 0);
}

TEST(ChunkRequests, ReadSmallChunksTogetherAndLargeOnesIntoTheirBuffers) {
  Harness h(Dialled());
  h.OpenAsDialler(10);
  EXPECT_FALSE(h.session.PlanRead().small_chunks);
  const std::vector<uint32_t> small(3, limits::kLeafBytes);
  h.session.RequestChunks(ChunkIndex(0), small, h.now);
  EXPECT_TRUE(h.session.PlanRead().small_chunks);
  const std::string chunk = Pattern(limits::kLeafBytes);
  h.Feed(absl::StrCat("CHUNK 0 +16384\n", chunk.substr(0, 5)));
  EXPECT_EQ(h.mode(), PeerSession::ReadMode::kLines) << "also within a chunk";
  h.Feed(absl::StrCat(chunk.substr(5), "CHUNK 1 +16384\n", chunk, "CHUNK 2 +16384\n", chunk));
  for (uint32_t i = 0; i < 3; ++i) {
    const ChunkReceived received = h.Next<ChunkReceived>();
    EXPECT_EQ(received.part, ChunkIndex(i));
    EXPECT_EQ(received.data.size(), limits::kLeafBytes);
    EXPECT_EQ(received.data.span().back(), static_cast<uint8_t>(chunk.back()));
  }
  h.session.RequestChunks(ChunkIndex(3), {limits::kChunkBytes}, h.now);
  EXPECT_FALSE(h.session.PlanRead().small_chunks);
  h.Feed("CHUNK 3 +524288\n");
  EXPECT_EQ(h.mode(), PeerSession::ReadMode::kPayload);
}

TEST(ChunkRequests, SumProgressUp) {
  Harness h(Dialled());
  h.OpenAsDialler(100);
  h.session.RequestChunks(ChunkIndex(0), std::vector<uint32_t>{limits::kChunkBytes}, h.now);
  h.scratch_bytes = 100;
  h.Feed("CHUNK 0 +524288\n");
  const std::string payload = Pattern(limits::kChunkBytes);
  for (size_t at = 0; at < payload.size(); at += 1'024)
    h.Feed(absl::string_view(payload).substr(at, 1'024));
  uint64_t sum = 0;
  for (const PeerEvent& event : h.events) {
    if (const auto* progress = absl::get_if<ProgressMade>(&event)) sum += progress->bytes;
  }
  EXPECT_EQ(sum, limits::kChunkBytes);
  EXPECT_EQ(h.Count<ProgressMade>(), 8);
}

// --- Serving chunks

TEST(ChunkServing, AsksTheDriverForOneChunkAheadAndForMoreOnceItLeavesQuickly) {
  Harness h(Accepted());
  h.sends_at_once = false;
  h.OpenAsAccepter(1'000);
  h.Send();
  h.Feed("REQUEST 0 100\n");
  EXPECT_EQ(h.session.queued_to_serve(), 100);
  EXPECT_EQ(h.session.send_ahead_bytes(), limits::kMinSendAheadBytes);
  EXPECT_EQ(h.Count<ServeChunk>(), 1) << "nothing is known of how fast it leaves";
  EXPECT_EQ(h.Next<ServeChunk>().part, ChunkIndex(0));
  h.session.SendChunk(ChunkIndex(0), SliceOf(Pattern(limits::kChunkBytes)));
  h.Pump();
  EXPECT_EQ(h.Count<ServeChunk>(), 0) << "one stands in the connection";
  h.Send(limits::kChunkBytes);
  EXPECT_EQ(h.Count<ServeChunk>(), 0) << "the header counts too";
  h.Send(100);
  uint32_t next = 1;
  for (const uint64_t ahead_kib : {128, 256, 512, 1'024, 2'048, 2'048}) {
    EXPECT_EQ(h.session.send_ahead_bytes(), ahead_kib << 10);
    const int chunks = h.Count<ServeChunk>();
    EXPECT_EQ(chunks, std::max<int>(1, static_cast<int>(ahead_kib / 512)));
    for (int i = 0; i < chunks; ++i, ++next) {
      EXPECT_EQ(h.Next<ServeChunk>().part, ChunkIndex(next));
      h.session.SendChunk(ChunkIndex(next), SliceOf(Pattern(limits::kChunkBytes, next)));
    }
    h.Pump();
    EXPECT_EQ(h.Count<ServeChunk>(), 0);
    h.Send();
  }
  EXPECT_EQ(h.Count<ServeChunk>(), PeerSession::kServeAhead);
}

TEST(ChunkServing, ARefusedChunkMakesRoomForTheNext) {
  Harness h(Accepted());
  h.OpenAsAccepter(1'000);
  h.Feed("REQUEST 4 2\n");
  EXPECT_EQ(h.Next<ServeChunk>().part, ChunkIndex(4));
  EXPECT_TRUE(h.NoEvents());
  h.session.Refuse(ChunkIndex(4), 410, "damaged");
  EXPECT_EQ(h.Next<ServeChunk>().part, ChunkIndex(5));
  EXPECT_EQ(h.Said(), "REJECT 4 410 damaged\n");
}

TEST(ChunkServing, PreparesMoreOfSmallChunks) {
  Harness h(Accepted());
  h.sends_at_once = false;
  h.OpenAsAccepter(10'000);
  h.Feed("REQUEST 0 4000\n");
  std::vector<int> batches;
  while (batches.size() < 20) {
    batches.push_back(0);
    while (h.Count<ServeChunk>() > 0) {
      const ChunkIndex chunk = h.Next<ServeChunk>().part.chunk;
      h.session.SendChunk(chunk, SliceOf(Pattern(16'384)));
      h.Pump();
      ++batches.back();
    }
    h.Send();
  }
  EXPECT_EQ(batches.front(), 1) << "the length is not known before";
  EXPECT_TRUE(std::is_sorted(batches.begin(), batches.end()));
  EXPECT_EQ(batches.back(), 64);
}

TEST(ChunkServing, SendsControlMessagesBetweenChunks) {
  Harness h(Accepted());
  h.OpenAsAccepter(1'000);
  h.Feed("SUBSCRIBE\nREQUEST 0 2\n");
  h.session.SendChunk(ChunkIndex(0), SliceOf("aa"));
  h.session.SendHave(ChunkIndex(9), 1);
  h.Pump();
  h.session.SendChunk(ChunkIndex(1), SliceOf("bb"));
  EXPECT_EQ(h.Said(), "CHUNK 0 +2\naaHAVE 9 1\nCHUNK 1 +2\nbb");
}

TEST(ChunkServing, RejectsWhatGoesBeyondTheQueue) {
  for (uint32_t count : {limits::kMaxQueuedChunks - 1, limits::kMaxQueuedChunks}) {
    Harness h(Accepted());
    h.OpenAsAccepter(1'000'000);
    h.Feed(absl::StrCat("REQUEST 0 ", count, "\nREQUEST 9000 2\n"));
    const std::string said = h.Said();
    EXPECT_EQ(h.session.queued_to_serve(), static_cast<int>(limits::kMaxQueuedChunks));
    EXPECT_THAT(said, HasSubstr("REJECT 9001 429 "));
    EXPECT_EQ(absl::StrContains(said, "REJECT 9000 429 "), count == limits::kMaxQueuedChunks);
  }
  Harness h(Accepted());
  h.OpenAsAccepter(1'000'000);
  h.Feed("REQUEST 0 4097\n");
  EXPECT_TRUE(h.session.ended());
}

TEST(ChunkServing, V08_EndsWhenChunksBeyondTheLastOneAreAskedFor) {
  for (const char* line : {"REQUEST 9 2\n", "REQUEST 10 4096\n", "REQUEST 2147483647 1\n"}) {
    Harness h(Accepted());
    h.OpenAsAccepter(10);
    h.Feed(line);
    EXPECT_EQ(h.Said(), "ERROR 416 a chunk beyond the last one was asked for\n");
    EXPECT_TRUE(h.Next<SessionEnded>().protocol_error);
  }
}

TEST(ChunkServing, RejectsWhatIsAskedForBeforeTheManifestIsHere) {
  Harness unknown(Accepted());
  unknown.OpenAsAccepter(0);
  unknown.Feed("REQUEST 0 1\n");
  EXPECT_EQ(unknown.Said(), "REJECT 0 409 not there yet\n");
  unknown.session.SetChunkCount(3);
  unknown.Feed("REQUEST 0 1\n");
  unknown.Next<ServeChunk>();
}

TEST(ChunkServing, AnswersCancelledChunksThatStillWait) {
  Harness h(Accepted());
  h.OpenAsAccepter(100);
  h.Feed("REQUEST 0 4\nREQUEST 10 10\nCANCEL 0 1\nCANCEL 3 14\n");
  std::string expected = "REJECT 3 499 cancelled\n";
  for (int i = 10; i < 17; ++i) absl::StrAppend(&expected, "REJECT ", i, " 499 cancelled\n");
  EXPECT_EQ(h.Said(), expected) << "chunk 0 is being prepared and will come";
  EXPECT_EQ(h.session.queued_to_serve(), 6);
}

TEST(ChunkServing, P07_SurvivesTenThousandPipelinedRequestsOfAPeerThatNeverReads) {
  Harness h(Accepted());
  h.sends_at_once = false;
  h.OpenAsAccepter(2'000'000);
  h.Send();
  std::string flood;
  for (int i = 0; i < 10'000; ++i) absl::StrAppend(&flood, "REQUEST ", i, " 4096\n");
  h.Feed(flood);
  EXPECT_EQ(h.session.queued_to_serve(), static_cast<int>(limits::kMaxQueuedChunks));
  EXPECT_EQ(h.mode(), PeerSession::ReadMode::kPause);
  EXPECT_LT(h.queued_bytes(), limits::kMaxSendBacklogBytes + (512u << 10));
  h.Advance(limits::kSlowReaderTimeout);
  EXPECT_TRUE(h.session.ended());
}

// The bytes that are there at once to be sent, and those that come as they leave.
TEST(ChunkServing, V08_TellsOfManyRefusedChunksInTurns) {
  constexpr size_t kTurn = 64 << 10;
  constexpr int kRequests = 20;
  Harness h(Accepted());
  h.Feed(HelloLine() + "OPEN " + TestContentId(5).Hex() + "\n");
  h.session.RefuseOpen(404, "not shared here");
  h.Said();
  h.sends_at_once = false;
  std::string requests;
  for (int i = 0; i < kRequests; ++i) requests += "REQUEST 1000000 4096\n";
  h.Feed(requests + "PING\n");
  std::string said;
  while (h.queued_bytes() > 0) {
    EXPECT_LE(h.queued_bytes(), kTurn);
    h.Send();
    h.Read();
    said += h.Said();
  }
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), kRequests * 4096 + 1);
  EXPECT_THAT(said, HasSubstr("REJECT 1004095 404 no such content\n"));
  EXPECT_THAT(said, HasSubstr("PONG\n"));
  EXPECT_FALSE(h.session.ended());
}

TEST(ChunkServing, V08_CancelsOfAFullQueueAreToldInTurns) {
  constexpr size_t kTurn = 64 << 10;
  Harness h(Accepted());
  h.OpenAsAccepter(10'000);
  h.sends_at_once = false;
  std::string lines;
  for (int i = 0; i < 20; ++i) lines += "REQUEST 0 4096\nCANCEL 0 4096\n";
  h.Feed(lines);
  EXPECT_GT(h.queued_bytes(), 0u);
  EXPECT_LE(h.queued_bytes(), kTurn);
}

// After REFUSED each of these lines has a list for its answer.
TEST(ChunkServing, V08_JudgesNoMoreLinesThanATurnMayAnswer) {
  constexpr size_t kTurn = 64 << 10;
  Harness h(Accepted());
  h.Feed(HelloLine() + "OPEN " + TestContentId(5).Hex() + "\n");
  h.session.RefuseOpen(503, "full", std::vector<std::string>(64, "192.0.2.7:9001"));
  h.Said();
  h.sends_at_once = false;
  std::string lines;
  constexpr int kQuestions = 1'000;
  for (int i = 0; i < kQuestions; ++i) lines += "GET-PEERS\n";
  h.session.OnBytes(lines, h.now);
  int turns = 0;
  std::string said;
  for (h.Pump(); h.queued_bytes() > 0; h.Pump()) {
    EXPECT_LE(h.queued_bytes(), kTurn + 2'000);
    h.Send();
    said += h.Said();
    ++turns;
  }
  EXPECT_GE(turns, 10);
  size_t answers = 0;
  for (size_t at = 0; (at = said.find("PEERS +", at)) != std::string::npos; ++at) ++answers;
  EXPECT_EQ(answers, size_t{kQuestions});
}

TEST(ChunkServing, P08_PausesAtTheBacklogLimitAndGoesOnAfterIt) {
  Harness h(Accepted());
  h.OpenAsAccepter(10);
  h.sends_at_once = false;
  std::string pings;
  for (int i = 0; i < 300'000; ++i) pings += "PING\n";
  h.Feed(pings);
  EXPECT_EQ(h.mode(), PeerSession::ReadMode::kPause);
  EXPECT_GT(h.queued_bytes(), limits::kMaxSendBacklogBytes);
  EXPECT_LT(h.queued_bytes(), limits::kMaxSendBacklogBytes + 32'768);
  size_t pongs = 0;
  while (h.queued_bytes() > 0) {
    h.Send(100'000);
    h.Read();
    pongs += h.Said().size() / 5;
  }
  EXPECT_EQ(pongs, 300'000u);
}

TEST(ChunkServing, Q03_PausesSoonerWhileManyOthersAreSlow) {
  Harness h(Accepted());
  h.OpenAsAccepter(10);
  h.sends_at_once = false;
  h.session.LimitBacklog(16'384);
  std::string pings;
  for (int i = 0; i < 10'000; ++i) pings += "PING\n";
  h.Feed(pings);
  EXPECT_EQ(h.mode(), PeerSession::ReadMode::kPause);
  EXPECT_GT(h.queued_bytes(), 16'384u);
  EXPECT_LT(h.queued_bytes(), 16'384u + 32'768);
}

TEST(ChunkServing, P09_ServesTheSameChunkAsOftenAsItIsAskedFor) {
  Harness h(Accepted());
  h.OpenAsAccepter(10);
  for (int i = 0; i < 1'000; ++i) h.Feed("REQUEST 1 1\n");
  int served = 0;
  while (h.Count<ServeChunk>() > 0) {
    h.session.SendChunk(h.Next<ServeChunk>().part.chunk, SliceOf("x"));
    h.Pump();
    ++served;
  }
  EXPECT_EQ(served, 1'000);
}

// --- Time

TEST(Extension, P15_AsksASilentPeerWhetherItIsThereAndThenEnds) {
  Harness h(Accepted());
  h.OpenAsAccepter(10);
  h.Advance(absl::Seconds(59));
  EXPECT_EQ(h.Said(), "");
  h.Advance(absl::Seconds(1));
  EXPECT_EQ(h.Said(), "PING\n");
  h.Feed("PONG\n");
  h.Advance(absl::Seconds(119));
  EXPECT_EQ(h.Said(), "PING\n");
  EXPECT_FALSE(h.session.ended());
  h.Advance(absl::Seconds(1));
  EXPECT_TRUE(h.session.ended());
  EXPECT_FALSE(h.Next<SessionEnded>().protocol_error);
}

TEST(Extension, P08_EndsAPeerThatReadsTooSlowly) {
  Harness h(Accepted());
  h.OpenAsAccepter(10);
  h.sends_at_once = false;
  h.Feed("REQUEST 0 1\n");
  h.Advance(absl::Seconds(300));
  EXPECT_TRUE(h.session.ended()) << "a PING stands unsent";
}

TEST(Extension, DoesNotBlameAPeerForAnOldClock) {
  Harness h(Dialled());
  h.OpenAsDialler(10);
  h.sends_at_once = false;
  h.now += absl::Seconds(50);  // nothing told the session
  h.session.Subscribe();
  h.Pump();
  h.Advance(absl::Seconds(29));
  EXPECT_FALSE(h.session.ended());
}

TEST(Extension, KeepsItsWakeUpTimeWhileBytesFlow) {
  Harness h(Dialled());
  h.OpenAsDialler(100);
  h.session.RequestChunks(ChunkIndex(0), std::vector<uint32_t>{limits::kChunkBytes}, h.now);
  h.now += absl::Seconds(1);
  h.Feed("CHUNK 0 +524288\n" + Pattern(40'000));
  const absl::Time wake = h.session.WakeUpTime();
  for (int i = 0; i < 10; ++i) {
    h.now += absl::Seconds(1);
    h.Feed(Pattern(40'000));
    EXPECT_EQ(h.session.WakeUpTime(), wake);
  }
}

TEST(Extension, PassesPeersOn) {
  Harness h(Accepted());
  h.OpenAsAccepter(10);
  h.Feed("GET-PEERS\n");
  h.Next<PeersAsked>();
  h.session.SendPeers(std::vector<std::string>(70, "1.2.3.4:5"));
  const std::string said = h.Said();
  h.session.AskPeers();
  h.Feed(said);
  EXPECT_EQ(h.Next<PeersReceived>().addresses.size(), 64u);
  h.session.AskPeers();
  const std::string list = "example.com:80 1.2.3.4:99999 [2001:db8::1]:9001;id=ab quic:1.2.3.4:5";
  h.Feed(absl::StrCat("PEERS +", list.size(), "\n", list));
  EXPECT_EQ(h.Next<PeersReceived>().addresses, std::vector<std::string>{"[2001:db8::1]:9001"});
  h.session.AskPeers();
  h.Feed("PEERS +0\n");
  EXPECT_TRUE(h.Next<PeersReceived>().addresses.empty());
}

TEST(Extension, EndsWhenTheOtherSideSaysError) {
  Harness h(Dialled());
  h.OpenAsDialler(10);
  h.Feed("ERROR 400 you\x07 lie\n");
  const auto ended = h.Next<SessionEnded>();
  EXPECT_EQ(ended.reason, "the other side: 400 you\\x07 lie");
  EXPECT_FALSE(ended.protocol_error);
  h.session.Subscribe();
  EXPECT_EQ(h.Said(), "") << "an ended session says nothing more";
}

}  // namespace
}  // namespace p2p::session

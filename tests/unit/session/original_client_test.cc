// The original protocol on a dialled connection: what a peer that was asked for a chunk may answer.
#include "gmock/gmock.h"
#include "tests/unit/session/session_harness.h"

namespace p2p::session {
namespace {

using ::testing::HasSubstr;

// Asks for chunk 0 of 100 bytes and feeds the answer.
std::unique_ptr<Harness> Asked(absl::string_view answer, uint32_t length = 100) {
  auto h = std::make_unique<Harness>(DialledOriginal());
  h->session.RequestOriginalChunk("some file", ChunkIndex(0), length, h->now);
  EXPECT_EQ(h->Said(), "GET_CHUNK some file 0\n");
  h->Feed(answer);
  return h;
}

TEST(OriginalClient, TakesAChunkAndAsksForTheNext) {
  auto h = Asked("100\n" + Pattern(100));
  ChunkReceived chunk = h->Next<ChunkReceived>();
  EXPECT_EQ(chunk.part, ChunkIndex(0));
  EXPECT_EQ(std::string(reinterpret_cast<char*>(chunk.data.data()), chunk.data.size()),
            Pattern(100));
  EXPECT_EQ(h->session.requested(), 0);
  h->session.RequestOriginalChunk("some file", ChunkIndex(1), 5, h->now);
  h->Feed("5\nabcde");
  EXPECT_EQ(h->Next<ChunkReceived>().part, ChunkIndex(1));
}

TEST(OriginalClient, C01_RefusesMalformedHeaders) {
  for (const char* header :
       {"x\n", " 100\n", "100 \n", "100\r\n", "0100\n", "\n", "12345678", "1234567", "-1\n",
        "+100\n", "ERRATIC\n", "Error 404 x\n", "HELLO 3\n"}) {
    auto h = Asked(header);
    EXPECT_TRUE(h->session.ended()) << header;
    EXPECT_TRUE(h->Next<SessionEnded>().protocol_error) << header;
    EXPECT_EQ(h->pool->leased_bytes(), 0u);
  }
  EXPECT_FALSE(Asked("100")->session.ended()) << "may still be completed";
}

TEST(OriginalClient, C02_RefusesImpossibleSizesBeforeAnyBufferIsLeased) {
  for (const char* header :
       {"0\n", "524289\n", "4294967296\n", "1000000000000000000000000000000\n"}) {
    auto h = Asked(header, limits::kChunkBytes);
    EXPECT_TRUE(h->Next<SessionEnded>().protocol_error) << header;
    EXPECT_EQ(h->pool->leased_bytes(), 0u);
  }
}

TEST(OriginalClient, C03_RefusesAnotherSizeThanTheChunkHas) {
  for (const char* header : {"99\n", "101\n", "524288\n"}) {
    auto h = Asked(header);
    EXPECT_TRUE(h->Next<SessionEnded>().protocol_error) << header;
    EXPECT_EQ(h->pool->leased_bytes(), 0u);
  }
}

TEST(OriginalClient, C05_DiscardsAChunkThatIsCutOff) {
  for (size_t size : {size_t{0}, size_t{1}, size_t{50}, size_t{99}}) {
    auto h = Asked("100\n" + Pattern(size));
    h->EndOfStream();
    EXPECT_FALSE(h->Next<SessionEnded>().protocol_error) << "a lost connection is nobody's fault";
    EXPECT_EQ(h->pool->leased_bytes(), 0u);
  }
}

TEST(OriginalClient, C06_RefusesBytesAfterTheChunk) {
  auto h = Asked("100\n" + Pattern(100) + "5");
  h->Next<ChunkReceived>();
  EXPECT_TRUE(h->Next<SessionEnded>().protocol_error);

  Harness unasked(DialledOriginal());
  unasked.Feed("5\nabcde");
  EXPECT_TRUE(unasked.Next<SessionEnded>().protocol_error);
}

TEST(OriginalClient, C07_GivesUpAPeerThatTrickles) {
  Harness h(DialledOriginal());
  h.session.RequestOriginalChunk("f", ChunkIndex(0), limits::kChunkBytes, h.now);
  h.Feed("524288\n");
  for (int second = 0; second < 29; ++second) {
    h.Feed("x");
    h.Advance(absl::Seconds(1));
    ASSERT_FALSE(h.session.ended()) << second;
  }
  h.Advance(absl::Seconds(1));
  EXPECT_TRUE(h.session.ended());
  EXPECT_EQ(h.pool->leased_bytes(), 0u);
}

TEST(OriginalClient, C07_KeepsAPeerThatIsJustFastEnough) {
  for (const uint64_t bytes : {limits::kMinTransferBytes - 1, limits::kMinTransferBytes}) {
    Harness h(DialledOriginal());
    h.session.RequestOriginalChunk("f", ChunkIndex(0), limits::kChunkBytes, h.now);
    h.Feed("524288\n");
    for (int round = 0; round < 4; ++round) {
      h.Advance(absl::Seconds(28));
      h.Feed(Pattern(bytes));
      h.Advance(absl::Seconds(1));
    }
    EXPECT_EQ(h.session.ended(), bytes < limits::kMinTransferBytes) << bytes;
  }
}

TEST(OriginalClient, PassesARefusalOnAndStaysUsable) {
  auto h = Asked("ERROR 404 no such \x1b[31mfile\r\n");
  const auto rejected = h->Next<ChunkRejected>();
  EXPECT_EQ(rejected.code, 404);
  EXPECT_THAT(rejected.reason, HasSubstr("\\x1b"));
  h->session.RequestOriginalChunk("f", ChunkIndex(1), 1, h->now);
  h->Feed("1\nx");
  EXPECT_EQ(h->Next<ChunkReceived>().part, ChunkIndex(1));
  EXPECT_EQ(Asked("ERROR File not found\n")->Next<ChunkRejected>().code, 400);
}

TEST(OriginalClient, WaitsForTheChunkPoolAndKeepsWhatArrived) {
  Harness h(DialledOriginal(), limits::kChunkBytes);
  ChunkBuffer other = h.pool->TryLease(limits::kChunkBytes);
  h.session.RequestOriginalChunk("f", ChunkIndex(0), 1'000, h.now);
  h.scratch_bytes = 500;
  h.Feed("1000\n" + Pattern(1'000));
  EXPECT_TRUE(h.session.PlanRead().waits_for_pool);
  EXPECT_EQ(h.mode(), PeerSession::ReadMode::kPause);
  EXPECT_EQ(h.unread_bytes(), 1'005u - 500u);
  h.Advance(absl::Seconds(100));
  EXPECT_FALSE(h.session.ended()) << "we are the slow one";
  other = ChunkBuffer();
  h.session.OnTime(h.now);
  h.Read();
  ChunkReceived chunk = h.Next<ChunkReceived>();
  EXPECT_EQ(std::string(reinterpret_cast<char*>(chunk.data.data()), 1'000), Pattern(1'000));
}

TEST(OriginalClient, AsksForOneLegalNameAtATime) {
  Harness h(DialledOriginal());
  h.session.RequestOriginalChunk("a\nGET_CHUNK b 0", ChunkIndex(0), 1, h.now);
  EXPECT_EQ(h.Next<ChunkRejected>().code, 422);
  h.session.RequestOriginalChunk("a", ChunkIndex(0), 1, h.now);
  h.session.RequestOriginalChunk("a", ChunkIndex(1), 1, h.now);
  EXPECT_EQ(h.Next<ChunkRejected>().part, ChunkIndex(1));
  EXPECT_EQ(h.Said(), "GET_CHUNK a 0\n");
}

}  // namespace
}  // namespace p2p::session

// The parts of a peer session that decide on their own.
#include "daemon/session/outbox.h"
#include "daemon/session/request_ledger.h"
#include "gtest/gtest.h"
#include "tests/unit/session/session_harness.h"

namespace p2p::session {
namespace {

TEST(RequestLedger, KnowsTheMeanLengthOfWhatIsAskedFor) {
  RequestLedger ledger;
  EXPECT_EQ(ledger.MeanLength(), 0u);
  ledger.Add(ChunkIndex(1), 100);
  ledger.Add(ChunkIndex(2), 300);
  EXPECT_EQ(ledger.MeanLength(), 200u);
  ledger.OnArrived(ChunkIndex(1));
  EXPECT_EQ(ledger.MeanLength(), 300u);
  ledger.OnRejected(ChunkIndex(2));
  EXPECT_EQ(ledger.MeanLength(), 0u);
}

TEST(RequestLedger, CountsEveryRequestUntilItsAnswer) {
  RequestLedger ledger;
  EXPECT_TRUE(ledger.Add(ChunkIndex(1), 10));
  EXPECT_FALSE(ledger.Add(ChunkIndex(1), 10));
  EXPECT_EQ(ledger.Length(ChunkIndex(1)), absl::optional<uint32_t>(10));
  EXPECT_TRUE(ledger.Cancel(ChunkIndex(1)));
  EXPECT_FALSE(ledger.Cancel(ChunkIndex(1)));
  EXPECT_TRUE(ledger.Add(ChunkIndex(1), 10));
  EXPECT_EQ(ledger.size(), 2);
  // The first request's chunk was on its way already; then the second's comes.
  ledger.OnArrived(ChunkIndex(1));
  EXPECT_EQ(ledger.Length(ChunkIndex(1)), absl::optional<uint32_t>(10));
  EXPECT_EQ(ledger.OnRejected(ChunkIndex(1)), RequestLedger::Rejection::kOver);
  EXPECT_EQ(ledger.OnRejected(ChunkIndex(1)), RequestLedger::Rejection::kNotAsked);
  EXPECT_EQ(ledger.size(), 0);
  EXPECT_EQ(ledger.Length(ChunkIndex(1)), absl::nullopt);
}

TEST(RequestLedger, TakesAChunkAndItsRangesForRequestsOfTheirOwn) {
  RequestLedger ledger;
  const ChunkPart low(ChunkIndex(1), 0, 16);
  const ChunkPart lowest(ChunkIndex(1), 0, 8);
  EXPECT_TRUE(ledger.Add(ChunkIndex(1), 100));
  EXPECT_TRUE(ledger.Add(low, 50));
  EXPECT_TRUE(ledger.Add(lowest, 25));
  EXPECT_FALSE(ledger.Add(low, 50));
  EXPECT_TRUE(ledger.Cancel(low));
  EXPECT_EQ(ledger.Length(lowest), absl::optional<uint32_t>(25));
  EXPECT_EQ(ledger.OnRejected(low), RequestLedger::Rejection::kOver);
  EXPECT_EQ(ledger.Length(low), absl::nullopt);
  ledger.OnArrived(ChunkIndex(1));
  EXPECT_EQ(ledger.size(), 1);
  EXPECT_EQ(ledger.MeanLength(), 25u);
}

TEST(Outbox, KeepsWhatMayOvertakeApart) {
  Outbox box;
  box.Text("manifest");
  box.Urgent("have 1 ");
  box.Urgent("have 2 ");
  box.Chunk("chunk 7 ", SliceOf("file"));
  box.Urgent("have 3");
  EXPECT_EQ(box.put_bytes(), 40u);
  EXPECT_EQ(box.waiting_text_bytes(), 36u);
  const std::vector<Output> taken = box.Take();
  ASSERT_EQ(taken.size(), 4u);
  EXPECT_EQ(absl::get<std::string>(taken[0]), "manifest");
  EXPECT_EQ(absl::get<UrgentText>(taken[1]).text, "have 1 have 2 ");
  EXPECT_EQ(absl::get<ChunkToSend>(taken[2]).header, "chunk 7 ");
  EXPECT_EQ(absl::get<ChunkToSend>(taken[2]).slice.length, 4u);
  EXPECT_EQ(absl::get<UrgentText>(taken[3]).text, "have 3");
  box.OnSent(40, 0, 0);
  EXPECT_TRUE(box.Drained());
}

TEST(Outbox, KeepsTheOrderAndTheCounts) {
  Outbox box;
  box.Text("a");
  box.Text("b");
  box.File(SliceOf("file"));
  box.Text("c");
  EXPECT_EQ(box.put_bytes(), 7u);
  EXPECT_EQ(box.waiting_text_bytes(), 3u);
  const std::vector<Output> taken = box.Take();
  ASSERT_EQ(taken.size(), 3u);
  EXPECT_EQ(absl::get<std::string>(taken[0]), "ab");
  EXPECT_EQ(absl::get<FileSlice>(taken[1]).length, 4u);
  EXPECT_FALSE(box.Drained());
  box.OnSent(3, 1, 4);
  EXPECT_EQ(box.sent_bytes(), 3u);
  EXPECT_EQ(box.waiting_text_bytes(), 1u);
  box.OnSent(4, 0, 0);
  EXPECT_TRUE(box.Drained());
}

TEST(Outbox, HandsASharedTextOutInPartsThatUrgentTextOvertakes) {
  Outbox box;
  box.Text("head");
  box.SharedText(std::make_shared<const std::string>(1 << 20, 'x'),
                 [](size_t total, size_t first, size_t size) {
                   return absl::StrCat(total, " ", first, " ", size, "\n");
                 });
  box.InOrder("have");
  box.Text("tail");
  box.Urgent("pong");
  EXPECT_TRUE(box.HasSharedText());
  EXPECT_EQ(box.waiting_text_bytes(), 16u) << "what is shared is not held for this connection";
  const std::vector<Output> taken = box.Take();
  ASSERT_EQ(taken.size(), 5u);
  EXPECT_EQ(absl::get<std::string>(taken[1]), "1048576 0 65536\n" + std::string(65'536, 'x'));
  EXPECT_EQ(absl::get<std::string>(taken[2]), "1048576 65536 65536\n" + std::string(65'536, 'x'));
  EXPECT_EQ(absl::get<UrgentText>(taken[4]).text, "pong");
  EXPECT_TRUE(box.Take().empty()) << "the others follow it";
  box.Finish();
  EXPECT_FALSE(box.HasSharedText());
  EXPECT_EQ(box.Take().size(), 2u);
  const uint64_t sent = 16 + 3 * 65'536 + 16 + 20 + 21;
  EXPECT_EQ(box.put_bytes(), sent);
  box.OnSent(sent, 0, 0);
  EXPECT_TRUE(box.Drained());
}

}  // namespace
}  // namespace p2p::session

// Who has what, and who is there.
#include "tests/unit/swarm/swarm_harness.h"

namespace p2p::swarm {
namespace {

TEST(Links, AreUsefulWhileTheyHaveSomethingWeLack) {
  Harness h(OneFileOfChunks(3));
  h.Add(1);
  EXPECT_EQ(h.swarm.useful_links(), 0);
  h.Have(1, 2);
  EXPECT_EQ(h.swarm.useful_links(), 1);
  h.AddSeed(2);
  EXPECT_EQ(h.swarm.useful_links(), 2);
  h.swarm.OnVerified(LinkId(), ChunkIndex(2));
  EXPECT_EQ(h.swarm.useful_links(), 1);
  h.swarm.OnChunkLostHere(ChunkIndex(2));
  EXPECT_EQ(h.swarm.useful_links(), 2);
  h.swarm.OnLost(LinkId(1), ChunkIndex(2), 1);
  EXPECT_EQ(h.swarm.useful_links(), 1);
}

TEST(Links, AreAskedOnlyForWhatTheyHave) {
  Harness h(OneFileOfChunks(100));
  h.Add(1);
  h.swarm.OnHaveBits(LinkId(1), ChunkIndex(8), absl::string_view("\x80\x03", 2));
  std::vector<uint32_t> got;
  for (int i = 0; i < 3; ++i) {
    h.Decide();
    while (!h.queue[1].empty()) got.push_back(h.Deliver(1));
  }
  std::sort(got.begin(), got.end());
  EXPECT_EQ(got, (std::vector<uint32_t>{8, 22, 23}));
}

TEST(Links, HaveBitsAndRangesBeyondTheShareAreIgnored) {
  Harness h(OneFileOfChunks(5));
  h.Add(1);
  h.swarm.OnHaveBits(LinkId(1), ChunkIndex(0), absl::string_view("\x07\xff\xff", 3));
  EXPECT_EQ(h.swarm.useful_links(), 0);
  h.swarm.OnHaveBits(LinkId(1), ChunkIndex(0xfffffff8), absl::string_view("\xff", 1));
  h.Have(1, 5, 0xffffffff);
  h.swarm.OnLost(LinkId(1), ChunkIndex(4), 0xffffffff);
  EXPECT_EQ(h.swarm.useful_links(), 0);
  h.Have(1, 4, 0xffffffff);
  h.Decide();
  EXPECT_EQ(h.Asked(1), std::vector<uint32_t>{4});
  EXPECT_FALSE(h.swarm.OnReceived(LinkId(1), ChunkIndex(7), h.now));
  h.swarm.OnRejected(LinkId(1), ChunkIndex(7), h.now);
}

TEST(Links, ASeedThatLosesAChunkKeepsTheOthers) {
  Harness h(OneFileOfChunks(4));
  h.AddSeed(1);
  h.swarm.OnLost(LinkId(1), ChunkIndex(1), 2);
  h.Prove(1);
  h.Decide();
  h.Deliver(1);
  h.Decide();
  EXPECT_TRUE(h.swarm.have().Has(ChunkIndex(0)));
  EXPECT_TRUE(h.swarm.have().Has(ChunkIndex(3)));
  EXPECT_TRUE(h.Asked(1).empty());
  h.Have(1, 1);
  h.Decide();
  EXPECT_EQ(h.Asked(1), std::vector<uint32_t>{1});
}

TEST(Links, ThatWithdrawAgainAndAgainAreDropped) {
  Harness h(OneFileOfChunks(10));
  h.Add(1);
  for (uint64_t i = 0; i < limits::kMaxLostPerChunk * 10; ++i) {
    h.Have(1, 3);
    h.swarm.OnLost(LinkId(1), ChunkIndex(3), 1);
  }
  h.Decide();
  EXPECT_TRUE(h.dropped.empty());
  h.Have(1, 3);
  h.swarm.OnLost(LinkId(1), ChunkIndex(3), 1);
  h.Decide();
  EXPECT_EQ(h.dropped.count(1), 1u);
  EXPECT_FALSE(h.swarm.IsBanned(1));
}

TEST(Links, ARemovedLinksChunksAreAskedOfAnother) {
  Harness h(OneFileOfChunks(3));
  h.AddSeed(1);
  h.Prove(1);
  h.Decide();
  const std::vector<uint32_t> asked = h.Asked(1);
  ASSERT_EQ(asked.size(), 2u);
  h.AddSeed(2);
  h.Remove(1);
  h.Prove(2);
  h.Decide();
  h.Deliver(2);
  EXPECT_TRUE(h.swarm.Complete());
  EXPECT_EQ(h.swarm.bytes_have(), h.layout->total_bytes());
}

TEST(Links, ThatAnnounceAChunkAskedElsewhereGetItWhenThatLinkGoes) {
  Harness h(OneFileOfChunks(2));
  h.Add(1);
  h.Have(1, 0);
  h.Decide();
  ASSERT_EQ(h.Asked(1).size(), 1u);
  h.swarm.SetKnown(ChunkIndex(0), 1, false);
  h.Add(2);
  h.Have(2, 0);
  h.Remove(1);
  h.Decide();
  EXPECT_TRUE(h.Asked(2).empty());
  h.swarm.SetKnown(ChunkIndex(0), 1, true);
  h.Decide();
  EXPECT_EQ(h.Asked(2), std::vector<uint32_t>{0});
}

TEST(Links, TwoLinksOfOnePeerShareTheWork) {
  Harness h(OneFileOfChunks(100));
  h.AddSeed(1, 7);
  h.Prove(1);
  h.AddSeed(2, 7);
  h.Decide();
  // The peer is known to be honest: the second link starts with a whole window.
  EXPECT_EQ(h.Asked(1).size(), 8u);
  EXPECT_EQ(h.Asked(2).size(), 8u);
}

TEST(Links, ShowASmoothedRateThatDecays) {
  Harness h(OneFileOfChunks(1'000));
  h.AddSeed(1);
  for (int i = 0; i < 40; ++i) {
    h.Decide();
    h.Deliver(1);
    h.Pass(absl::Milliseconds(100));
  }
  EXPECT_NEAR(h.swarm.rate_down(LinkId(1)), 5.2e6, 0.6e6);
  h.Pass(absl::Minutes(1));
  h.Decide();
  EXPECT_EQ(h.swarm.rate_down(LinkId(1)), 0);
  EXPECT_EQ(h.swarm.rate_down(LinkId(9)), 0);
}

TEST(Links, UnknownOnesAreIgnored) {
  Harness h(OneFileOfChunks(2));
  h.Have(9, 0, 2);
  h.swarm.OnProgress(LinkId(9), ByteCount(10), h.now);
  h.swarm.OnRejected(LinkId(9), ChunkIndex(0), h.now);
  h.swarm.RemoveLink(LinkId(9), h.now);
  EXPECT_FALSE(h.swarm.OnReceived(LinkId(9), ChunkIndex(0), h.now));
  h.Decide();
  EXPECT_EQ(h.request_lines, 0);
}

}  // namespace
}  // namespace p2p::swarm

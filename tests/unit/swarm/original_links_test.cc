#include "tests/unit/swarm/swarm_harness.h"

namespace p2p::swarm {
namespace {

TEST(OriginalLinks, GetTheNextChunksInTurnOneAtATime) {
  Harness h(OneFileOfChunks(10));
  for (uint64_t link = 1; link <= 3; ++link) h.AddOriginal(link);
  h.Decide();
  std::vector<uint32_t> first;
  for (uint64_t link = 1; link <= 3; ++link) {
    ASSERT_EQ(h.Asked(link).size(), 1u);
    first.push_back(h.Asked(link)[0]);
  }
  std::sort(first.begin(), first.end());
  EXPECT_EQ(first, (std::vector<uint32_t>{0, 1, 2}));
  h.Deliver(2);
  h.Decide();
  EXPECT_EQ(h.Asked(2), std::vector<uint32_t>{3});
  EXPECT_EQ(h.Asked(1).size(), 1u);
}

TEST(OriginalLinks, FinishADownloadWithoutAskingTwice) {
  Harness h(OneFileOfChunks(20));
  for (uint64_t link = 1; link <= 3; ++link) h.AddOriginal(link);
  std::map<uint32_t, int> times;
  for (int round = 0; round < 20 && !h.swarm.Complete(); ++round) {
    h.Pass(absl::Milliseconds(10));
    h.Decide();
    for (uint64_t link = 1; link <= 3; ++link) {
      if (!h.queue[link].empty()) ++times[h.Deliver(link)];
    }
  }
  EXPECT_TRUE(h.swarm.Complete());
  for (const auto& [chunk, count] : times) EXPECT_EQ(count, 1) << chunk;
}

TEST(OriginalLinks, AreNotAskedAgainForARefusedChunkUntilTheBackOffEnds) {
  Harness h(OneFileOfChunks(1));
  h.AddOriginal(1);
  h.Decide();
  h.Reject(1);
  h.Pass(limits::kRejectBackOff - absl::Milliseconds(1));
  h.Decide();
  EXPECT_TRUE(h.Asked(1).empty());
  EXPECT_EQ(h.swarm.NextWake(), h.now + absl::Milliseconds(1));
  h.Pass(absl::Milliseconds(1));
  h.Decide();
  EXPECT_EQ(h.Asked(1), std::vector<uint32_t>{0});
}

TEST(OriginalLinks, GiveARefusedChunkToAnother) {
  Harness h(OneFileOfChunks(2));
  h.AddOriginal(1);
  h.AddOriginal(2);
  h.Decide();
  const uint32_t refused = h.Asked(1)[0];
  h.Reject(1);
  h.Deliver(2);
  h.Decide();
  EXPECT_EQ(h.Asked(2), std::vector<uint32_t>{refused});
}

TEST(OriginalLinks, IgnoreHaveMessages) {
  Harness h(OneFileOfChunks(2));
  h.AddOriginal(1);
  h.Have(1, 0);
  EXPECT_EQ(h.swarm.useful_links(), 1);
  h.Decide();
  EXPECT_EQ(h.Asked(1).size(), 1u);
}

}  // namespace
}  // namespace p2p::swarm

// What is asked of whom while everybody behaves.
#include <random>
#include <set>

#include "tests/unit/swarm/swarm_harness.h"

namespace p2p::swarm {
namespace {

// The order in which one seed is asked for the chunks of a file.
std::vector<uint32_t> OrderFor(uint64_t seed) {
  Harness h(OneFileOfChunks(200), seed);
  h.AddSeed(1);
  std::vector<uint32_t> order;
  while (!h.swarm.Complete()) {
    h.Decide();
    order.push_back(h.Deliver(1));
  }
  return order;
}

TEST(ChunkPicker, AsksTheRarestChunkFirst) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Harness h(OneFileOfChunks(50), seed);
    for (uint64_t link = 1; link <= 3; ++link) h.Add(link);
    h.Have(1, 0, 50);
    h.Have(2, 0, 17);
    h.Have(2, 18, 32);
    h.Have(3, 0, 10);
    h.swarm.OnLost(LinkId(1), ChunkIndex(0), 1);
    h.Decide();
    ASSERT_EQ(h.Asked(1), std::vector<uint32_t>{17}) << "seed " << seed;
  }
}

TEST(ChunkPicker, BreaksTiesDifferentlyForEachSeedAndAlikeForTheSame) {
  std::set<uint32_t> starts;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<uint32_t> order = OrderFor(seed);
    EXPECT_EQ(order.size(), 200u);
    EXPECT_EQ(OrderFor(seed), order);
    starts.insert(order[0]);
  }
  EXPECT_GT(starts.size(), 10u);
}

TEST(ChunkPicker, TakesRunsThatEndSoThatLinksSpread) {
  const std::vector<uint32_t> order = OrderFor(5);
  int jumps = 0;
  for (size_t i = 1; i < order.size(); ++i) jumps += order[i] != order[i - 1] + 1 ? 1 : 0;
  // 100 MiB in runs of at most 16 MiB: few jumps, but not one single run.
  EXPECT_GE(jumps, 3);
  EXPECT_LE(jumps, 40);
}

TEST(ChunkPicker, AsksForNeighboursOfEqualRarityInOneLine) {
  Harness h(SmallFiles(10'000, 16'384));
  h.AddSeed(1);
  h.AddSeed(2);
  while (!h.swarm.Complete()) {
    h.Pass(absl::Milliseconds(1));
    h.Decide();
    for (uint64_t link = 1; link <= 2; ++link) {
      for (int i = 0; i < 10 && !h.queue[link].empty(); ++i) {
        const uint32_t chunk = h.queue[link].front().chunk.value();
        if (h.Receive(link)) h.swarm.OnVerified(LinkId(link), ChunkIndex(chunk));
      }
    }
  }
  EXPECT_LT(h.request_lines, 500);
}

TEST(ChunkPicker, DoesNotJoinNeighboursOfOtherRarity) {
  Harness h(OneFileOfChunks(9));
  h.AddSeed(1);
  h.Prove(1);
  h.Add(2);
  for (uint32_t chunk = 1; chunk < 9; chunk += 2) h.Have(2, chunk);
  h.Decide();
  // Half of the eight that are missing: even ones, which only the seed has.
  EXPECT_EQ(h.Asked(1).size(), 4u);
  for (uint32_t chunk : h.Asked(1)) EXPECT_EQ(chunk % 2, 0u);
  for (const RequestChunks& request : h.last.requests) EXPECT_EQ(request.count, 1u);
}

TEST(ChunkPicker, KeepsEightChunksAskedForAndRefillsByTwo) {
  Harness h(OneFileOfChunks(1'000));
  h.AddSeed(1);
  h.Prove(1);
  h.Decide();
  EXPECT_EQ(h.Asked(1).size(), 8u);
  h.Deliver(1);
  h.Decide();
  EXPECT_EQ(h.Asked(1).size(), 7u);
  h.Deliver(1);
  h.Decide();
  EXPECT_EQ(h.Asked(1).size(), 8u);
}

TEST(ChunkPicker, NeverHasMoreChunksAskedForThanThePeerWouldQueue) {
  Harness h(SmallFiles(20'000, 1));
  h.AddSeed(1);
  h.Prove(1);
  h.Decide();
  EXPECT_EQ(h.Asked(1).size(), limits::kMaxRequestedChunks);
  for (uint32_t i = 0; i < limits::kMaxRequestedChunks / 2; ++i) h.Deliver(1);
  h.Decide();
  EXPECT_EQ(h.Asked(1).size(), limits::kMaxRequestedChunks);
}

TEST(ChunkPicker, GivesEachLinkItsShareOfASmallFile) {
  Harness h(OneFileOfChunks(10));
  h.AddSeed(1);
  h.AddSeed(2);
  h.Decide();
  h.Deliver(1);
  h.Deliver(2);
  h.Decide();
  EXPECT_EQ(h.Asked(1).size(), 4u);
  EXPECT_EQ(h.Asked(2).size(), 4u);
}

TEST(ChunkPicker, AsksForNothingTwice) {
  Harness h(OneFileOfChunks(64));
  for (uint64_t link = 1; link <= 4; ++link) h.AddSeed(link);
  std::set<uint32_t> seen;
  for (int round = 0; round < 2; ++round) {
    h.Decide();
    for (const RequestChunks& request : h.last.requests) {
      for (uint32_t i = 0; i < request.count; ++i) {
        EXPECT_TRUE(seen.insert(request.first.value() + i).second);
      }
    }
    for (uint64_t link = 1; link <= 4; ++link) h.Deliver(link);
  }
}

TEST(ChunkPicker, SkipsChunksWhoseHashIsUnknown) {
  Harness h(OneFileOfChunks(10));
  h.swarm.SetKnown(ChunkIndex(0), 10, false);
  h.AddSeed(1);
  h.Decide();
  EXPECT_TRUE(h.Asked(1).empty());
  EXPECT_EQ(h.swarm.NextWake(), absl::InfiniteFuture());
  h.swarm.SetKnown(ChunkIndex(4), 2, true);
  h.Prove(1);
  h.Decide();
  h.Deliver(1);
  h.Decide();
  EXPECT_TRUE(h.Asked(1).empty());
  EXPECT_TRUE(h.swarm.have().Has(ChunkIndex(4)));
  EXPECT_TRUE(h.swarm.have().Has(ChunkIndex(5)));
  h.swarm.SetKnown(ChunkIndex(6), 0xffffffff, true);
  h.Decide();
  EXPECT_EQ(h.Asked(1).size(), 4u);
}

TEST(ChunkPicker, AsksAgainForWhatTheDiskDidNotKeep) {
  Harness h(OneFileOfChunks(1));
  h.AddSeed(1);
  h.Decide();
  ASSERT_TRUE(h.Receive(1));
  h.Decide();
  EXPECT_TRUE(h.Asked(1).empty());
  h.swarm.OnNotStored(LinkId(1), ChunkIndex(0));
  h.Decide();
  EXPECT_EQ(h.Asked(1), std::vector<uint32_t>{0});
  EXPECT_FALSE(h.swarm.IsBanned(1));
}

TEST(ChunkPicker, AsksAgainForAChunkThatWasLostHere) {
  ChunkSet have(3);
  have.AddAll();
  Harness h(OneFile(2 * limits::kChunkBytes + 1), have, 1);
  h.AddSeed(1);
  EXPECT_TRUE(h.swarm.Complete());
  h.swarm.OnChunkLostHere(ChunkIndex(2));
  EXPECT_FALSE(h.swarm.Complete());
  EXPECT_EQ(h.swarm.bytes_have(), ByteCount(2 * limits::kChunkBytes));
  h.Decide();
  EXPECT_EQ(h.Asked(1), std::vector<uint32_t>{2});
  h.Deliver(1);
  EXPECT_TRUE(h.swarm.Complete());
  EXPECT_EQ(h.swarm.bytes_have(), h.layout->total_bytes());
}

TEST(ChunkPicker, NeedsNothingForAnEmptyFile) {
  Harness h(OneFile(0));
  h.AddSeed(1);
  h.Have(1, 0, 1);
  h.Decide();
  EXPECT_TRUE(h.swarm.Complete());
  EXPECT_EQ(h.swarm.useful_links(), 0);
  EXPECT_EQ(h.swarm.NextWake(), absl::InfiniteFuture());
}

TEST(ChunkPicker, HandlesATebibyteWithFiftyLinks) {
  constexpr uint32_t kChunks = 2'097'152;
  Harness h(OneFileOfChunks(kChunks));
  std::mt19937_64 random(3);
  for (uint64_t link = 1; link <= 50; ++link) {
    if (link <= 5) {
      h.AddSeed(link);
    } else {
      h.Add(link);
      for (int i = 0; i < 20; ++i) h.Have(link, random() % kChunks, random() % 5'000);
    }
  }
  uint32_t delivered = 0;
  for (int round = 0; round < 400; ++round) {
    h.Pass(absl::Milliseconds(20));
    h.Decide();
    for (uint64_t link = 1; link <= 50; ++link) {
      for (int i = 0; i < 2 && !h.queue[link].empty(); ++i) {
        h.Have(6 + h.Deliver(link) % 45, random() % kChunks);
        ++delivered;
      }
    }
  }
  EXPECT_GT(delivered, 35'000u);
  EXPECT_EQ(h.swarm.have().count(), delivered);
  EXPECT_TRUE(h.dropped.empty());
}

}  // namespace
}  // namespace p2p::swarm

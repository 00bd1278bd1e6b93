// What waits at one link and could be had of another.
#include <set>

#include "tests/unit/swarm/swarm_harness.h"

namespace p2p::swarm {
namespace {

constexpr uint32_t kUnitLeaves = 4;

ChunkPart Part(uint32_t chunk, uint32_t first_leaf, uint32_t leaf_count = kUnitLeaves) {
  return {ChunkIndex(chunk), first_leaf, leaf_count};
}

// Link 1 is complete, link 2 has nothing yet and is known to be honest.
class Spared : public Harness {
 public:
  explicit Spared(bool seed_knows_leaves = true) : Harness(OneFileOfChunks(10), 1, kUnitLeaves) {
    links_know_leaves = true;
    Add(2);
    HaveLeaves(2, Part(9, 28));
    Prove(2);
    links_know_leaves = seed_knows_leaves;
    AddSeed(1);
    Prove(1);
    Decide();
  }
};

TEST(Sparing, WhatAPartialLinkHasIsWithdrawnFromTheCompleteOneAndAskedOfThatLinkAfterTheReject) {
  Spared h;
  h.refuses_cancelled = false;
  ASSERT_GE(h.AskedParts(1).size(), 4u);
  const ChunkPart part = h.AskedParts(1)[2];
  h.HaveLeaves(2, part);
  h.Decide();
  ASSERT_EQ(h.last.cancels.size(), 1u);
  EXPECT_EQ(h.last.cancels[0].link, LinkId(1));
  EXPECT_EQ(h.last.cancels[0].part, part);
  EXPECT_FALSE(h.IsAsked(2, part)) << "it may still come";
  const CancelPart cancel = h.last.cancels[0];
  h.Decide();
  EXPECT_TRUE(h.last.cancels.empty()) << "once is enough";
  h.RefuseCancelled(cancel);
  h.Decide();
  EXPECT_TRUE(h.IsAsked(2, part));
  EXPECT_FALSE(h.IsAsked(1, part));
}

TEST(Sparing, WhatArrivesAllTheSameIsTakenAndAskedForNowhere) {
  Spared h;
  h.refuses_cancelled = false;
  const ChunkPart part = h.AskedParts(1)[2];
  h.HaveLeaves(2, part);
  h.Decide();
  ASSERT_EQ(h.last.cancels.size(), 1u);
  h.queue[1].erase(std::find(h.queue[1].begin(), h.queue[1].end(), part));
  EXPECT_TRUE(h.ReceivePart(1, part));
  h.Decide();
  EXPECT_FALSE(h.IsAsked(2, part));
  h.swarm.OnVerified(LinkId(1), part);
  EXPECT_TRUE(h.swarm.Has(part));
  h.Decide();
  EXPECT_TRUE(h.last.cancels.empty());
  EXPECT_FALSE(h.IsAsked(1, part));
  EXPECT_FALSE(h.IsAsked(2, part));
}

TEST(Sparing, AWholeChunkIsWithdrawnOnceThePartialLinkHasAllOfIt) {
  Spared h(/*seed_knows_leaves=*/false);
  const ChunkPart chunk = h.AskedParts(1)[1];
  ASSERT_TRUE(chunk.whole());
  h.HaveLeaves(2, {chunk.chunk, 0, 28});
  h.Decide();
  EXPECT_TRUE(h.last.cancels.empty());
  h.Have(2, chunk.chunk.value());
  h.Decide();
  ASSERT_EQ(h.last.cancels.size(), 1u);
  EXPECT_EQ(h.last.cancels[0].part, chunk);
  h.Decide();
  EXPECT_EQ(h.Asked(2)[0], chunk.chunk.value());
}

TEST(Sparing, HaveOfAWholeChunkWithdrawsAllItsParts) {
  Spared h;
  const uint32_t chunk = h.AskedParts(1)[0].chunk.value();
  const std::vector<uint32_t> asked = h.Asked(1);
  h.Have(2, chunk);
  h.Decide();
  EXPECT_EQ(h.last.cancels.size(),
            static_cast<size_t>(std::count(asked.begin(), asked.end(), chunk)));
  const std::vector<uint32_t> left = h.Asked(1);
  EXPECT_EQ(std::count(left.begin(), left.end(), chunk), 0);
}

TEST(Sparing, TheCompleteLinkIsNotAskedAgainAtOnceWhenTheOtherOneGoes) {
  Spared h;
  const ChunkPart part = h.AskedParts(1)[2];
  h.HaveLeaves(2, part);
  h.Decide();
  h.Remove(2);
  h.Add(3);
  h.Decide();
  while (!h.queue[1].empty()) {
    h.Deliver(1);
    h.Decide();
  }
  EXPECT_FALSE(h.swarm.Has(part));
  h.Pass(absl::Seconds(2));
  h.Decide();
  EXPECT_TRUE(h.IsAsked(1, part));
}

TEST(Sparing, NothingIsWithdrawnFromALinkThatIsNotCompleteItself) {
  Harness h(OneFileOfChunks(10), 1, kUnitLeaves);
  h.links_know_leaves = true;
  h.Add(1);
  h.Have(1, 0, 9);
  h.Prove(1);
  h.Decide();
  const ChunkPart part = h.AskedParts(1)[1];
  h.Add(2);
  h.HaveLeaves(2, part);
  h.Decide();
  EXPECT_TRUE(h.last.cancels.empty());
}

// Two links have the same chunks, which have all been asked for. Link 1 brings a unit each second;
// link 2 brings all at once.
class Busy : public Harness {
 public:
  explicit Busy(uint32_t chunks) : Harness(OneFileOfChunks(chunks + 1), 1, kUnitLeaves) {
    links_know_leaves = true;
    for (uint64_t link = 1; link <= 2; ++link) {
      Add(link);
      Have(link, 0, chunks);
    }
  }
};

TEST(Relief, MovesFromASlowLinkToAnIdleOne) {
  Busy h(4);
  h.Decide();
  h.Deliver(1);
  h.Deliver(2);
  int moved = 0;
  int at_slow = 0;
  for (int ms = 0; ms < 20'000 && h.swarm.have().count() < 4; ms += 20) {
    h.Pass(absl::Milliseconds(20));
    if (ms % 1'000 == 980 && !h.queue[1].empty()) {
      h.Deliver(1);
      ++at_slow;
    }
    while (!h.queue[2].empty()) h.Deliver(2);
    h.Decide();
    for (const CancelPart& cancel : h.last.cancels) moved += cancel.link == LinkId(1) ? 1 : 0;
  }
  EXPECT_EQ(h.swarm.have().count(), 4u);
  EXPECT_GT(moved, 0);
  EXPECT_LE(at_slow, 3) << "the idle link does the rest";
}

TEST(Relief, TakesNothingBackInTheSameBreathInWhichItIsAsked) {
  Harness h(OneFileOfChunks(40), 1, kUnitLeaves);
  h.links_know_leaves = true;
  h.swarm.SetKnown(ChunkIndex(20), 20, false);
  h.Add(1);
  h.Have(1, 0);
  h.Add(2);
  h.Have(2, 1, 19);
  // Link 1 is known to be slow, link 2 to be quick.
  for (int ms = 0; ms < 10'000; ++ms) {
    h.Pass(absl::Milliseconds(1));
    h.Decide();
    if (ms % 1'000 == 999 && !h.queue[1].empty()) h.Deliver(1);
    if (!h.queue[2].empty()) h.Deliver(2);
  }
  ASSERT_EQ(h.swarm.have().count(), 20u);
  h.Have(1, 30);
  h.Have(2, 30);
  h.swarm.SetKnown(ChunkIndex(30), 1, true);
  h.Decide();
  EXPECT_EQ(h.AskedParts(1).size(), 4u);
  EXPECT_EQ(h.AskedParts(2).size(), 4u);
  EXPECT_TRUE(h.last.cancels.empty()) << "a cancel would be said before its request";
  h.Pass(absl::Milliseconds(100));
  h.Decide();
  EXPECT_FALSE(h.last.cancels.empty());
}

TEST(Relief, LeavesALinkAloneThatIsOnTime) {
  Busy h(6);
  int received = 0;
  for (int ms = 0; ms < 5'000 && h.swarm.have().count() < 6; ms += 5) {
    h.Pass(absl::Milliseconds(5));
    h.Decide();
    EXPECT_TRUE(h.last.cancels.empty());
    for (uint64_t link = 1; link <= 2; ++link) {
      if (h.queue[link].empty()) continue;
      h.Deliver(link);
      ++received;
    }
  }
  EXPECT_EQ(received, 6 * 8);
}

TEST(Relief, LooksAgainWhileSomethingWaitsElsewhereAndSleepsAfterwards) {
  Busy h(2);
  h.Decide();
  h.Deliver(1);
  h.Deliver(2);
  for (int idle = 0; idle < 2; ++idle) {
    h.Decide();
    if (!h.queue[2].empty()) idle = -1;
    while (!h.queue[2].empty()) h.Deliver(2);
  }
  ASSERT_FALSE(h.queue[1].empty());
  EXPECT_EQ(h.swarm.NextWake(), h.now + absl::Milliseconds(100));
  while (!h.queue[1].empty()) h.Deliver(1);
  EXPECT_EQ(h.swarm.have().count(), 2u);
  h.Decide();
  h.Pass(absl::Seconds(2));
  h.Decide();
  EXPECT_EQ(h.swarm.NextWake(), absl::InfiniteFuture());
}

}  // namespace
}  // namespace p2p::swarm

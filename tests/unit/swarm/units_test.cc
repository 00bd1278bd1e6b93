// Parts of chunks: asked for, told of, and put together.
#include <set>

#include "tests/unit/swarm/swarm_harness.h"

namespace p2p::swarm {
namespace {

constexpr uint32_t kUnitLeaves = 4;
constexpr uint32_t kUnitsPerChunk = limits::kLeavesPerChunk / kUnitLeaves;
constexpr uint32_t kUnitBytes = kUnitLeaves * limits::kLeafBytes;

ChunkPart Part(uint32_t chunk, uint32_t first_leaf, uint32_t leaf_count = kUnitLeaves) {
  return {ChunkIndex(chunk), first_leaf, leaf_count};
}

class Units : public Harness {
 public:
  explicit Units(uint32_t chunks, uint64_t seed = 1) : Units(OneFileOfChunks(chunks), seed) {}
  explicit Units(std::shared_ptr<const content::Layout> layout_in, uint64_t seed = 1)
      : Harness(std::move(layout_in), seed, kUnitLeaves) {
    links_know_leaves = true;
  }
  void AddWithoutLeaves(uint64_t link) {
    links_know_leaves = false;
    Add(link);
    links_know_leaves = true;
  }
  // The unit is here, from a link that is there for nothing else.
  void Get(const ChunkPart& part) {
    Add(1'000);
    HaveLeaves(1'000, part);
    while (!swarm.Has(part)) {
      Decide();
      ASSERT_FALSE(queue[1'000].empty());
      Deliver(1'000);
    }
    Remove(1'000);
  }
};

// --- What is asked of whom

TEST(Parts, AreAskedOfLinksThatKnowLeavesAndWholeChunksOfThoseThatDoNot) {
  Units h(10);
  h.Add(1);
  h.Have(1, 0, 5);
  h.AddWithoutLeaves(2);
  h.Have(2, 5, 5);
  for (int round = 0; round < 3; ++round) {
    h.Decide();
    for (const RequestLeaves& request : h.last.leaf_requests) {
      EXPECT_EQ(request.link, LinkId(1));
      EXPECT_EQ(request.part.leaf_count, kUnitLeaves);
      EXPECT_LT(request.part.chunk, ChunkIndex(5));
    }
    for (const RequestChunks& request : h.last.requests) {
      EXPECT_EQ(request.link, LinkId(2));
      EXPECT_GE(request.first, ChunkIndex(5));
    }
    EXPECT_FALSE(h.last.leaf_requests.empty());
    EXPECT_FALSE(h.last.requests.empty());
    for (uint64_t link = 1; link <= 2; ++link) {
      while (!h.queue[link].empty()) h.Deliver(link);
    }
  }
}

TEST(Parts, AreNotAskedForWhileNobodyElseFetchesTheContent) {
  Units h(20);
  h.AddSeed(1);
  h.Prove(1);
  h.Decide();
  EXPECT_TRUE(h.last.leaf_requests.empty());
  EXPECT_EQ(h.Asked(1).size(), 8u);
  EXPECT_EQ(h.swarm.PartialChunks().size(), 0u);
  h.Add(2);
  while (!h.queue[1].empty()) h.Deliver(1);
  h.Decide();
  EXPECT_TRUE(h.last.requests.empty()) << "now somebody else does";
  EXPECT_FALSE(h.last.leaf_requests.empty());
}

TEST(Parts, AreNotAskedOfALinkThatBringsWholeChunksAtOnce) {
  Units h(3'000);
  h.Add(1);
  h.Have(1, 0, 2'999);
  h.Prove(1);
  bool whole = false;
  for (int i = 0; i < 3'000 && !whole; ++i) {
    h.Pass(absl::Microseconds(100));
    h.Decide();
    whole = !h.last.requests.empty();
    while (h.queue[1].size() > 1) h.Deliver(1);
  }
  EXPECT_TRUE(whole);
}

TEST(Parts, OfShortFilesAreWholeChunks) {
  Units h(SmallFiles(50, kUnitBytes));
  h.Add(1);
  h.Have(1, 0, 49);
  h.Prove(1);
  h.Decide();
  EXPECT_TRUE(h.last.leaf_requests.empty());
  EXPECT_FALSE(h.last.requests.empty());
}

TEST(Parts, AreNeverAskedOfALinkThatKnowsNone) {
  // Chunks of one unit stand before chunks of several.
  std::vector<content::LayoutFile> files(12);
  for (uint32_t i = 0; i < files.size(); ++i) {
    files[i].path = "f" + std::to_string(100 + i);
    files[i].length = ByteCount(i % 3 == 2 ? 2 * limits::kChunkBytes : 100);
  }
  const auto layout = std::make_shared<const content::Layout>(
      *content::Layout::Make("files", true, std::move(files)));
  for (const bool crowded : {false, true}) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      Units h(layout, seed);
      h.AddWithoutLeaves(1);
      h.Have(1, 0, layout->chunk_count());
      if (crowded) h.Add(2);
      while (!h.swarm.Complete()) {
        h.Decide();
        ASSERT_TRUE(h.last.leaf_requests.empty()) << "seed " << seed;
        ASSERT_FALSE(h.queue[1].empty());
        h.Deliver(1);
      }
    }
  }
}

TEST(Parts, OfBegunChunksAreAskedForFirst) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    Units h(20, seed);
    h.Get(Part(7, 8));
    h.Get(Part(13, 0));
    h.Add(1);
    h.Have(1, 0, 19);
    std::vector<uint32_t> order;
    while (order.size() < 2 * (kUnitsPerChunk - 1)) {
      h.Decide();
      while (!h.queue[1].empty()) order.push_back(h.Deliver(1));
    }
    order.resize(2 * (kUnitsPerChunk - 1));
    std::vector<uint32_t> expected(kUnitsPerChunk - 1, 7);
    expected.resize(2 * (kUnitsPerChunk - 1), 13);
    EXPECT_EQ(order, expected) << "seed " << seed;
  }
}

TEST(Parts, OfOneChunkAreAskedForInTheirOrderSoThatItIsWholeSoon) {
  Units h(50);
  h.AddSeed(1);
  h.Add(2);
  std::vector<ChunkPart> order;
  while (order.size() < 4 * kUnitsPerChunk) {
    h.Decide();
    ASSERT_FALSE(h.queue[1].empty());
    order.push_back(h.DeliverPart(1));
  }
  for (size_t i = 0; i < order.size(); ++i) {
    EXPECT_EQ(order[i].first_leaf, i % kUnitsPerChunk * kUnitLeaves);
    EXPECT_EQ(order[i].chunk, order[i - i % kUnitsPerChunk].chunk);
  }
}

TEST(CrowdedWindows, AreShortAtPartialLinksAndLongerAtCompleteOnes) {
  Units h(200);
  h.AddSeed(1);
  h.Add(2);
  h.Have(2, 0, 199);
  h.Decide();
  h.Deliver(1);
  h.Deliver(2);
  h.Decide();
  EXPECT_EQ(h.AskedParts(1).size(), limits::kMinCrowdedCompleteWindowBytes / kUnitBytes);
  EXPECT_EQ(h.AskedParts(2).size(), limits::kMinCrowdedWindowBytes / kUnitBytes);
  h.Remove(2);
  while (!h.queue[1].empty()) h.Deliver(1);
  h.Decide();
  uint64_t bytes = 0;
  for (const ChunkPart& part : h.AskedParts(1)) bytes += h.LengthOf(part);
  EXPECT_GT(bytes, limits::kStartRequestWindowBytes - limits::kChunkBytes);
  EXPECT_LE(bytes, limits::kStartRequestWindowBytes);
}

TEST(CrowdedWindows, HoldAFewUnitsHoweverLargeTheyAre) {
  Harness h(OneFileOfChunks(200));
  h.AddSeed(1);
  h.Add(2);
  h.Have(2, 0, 199);
  h.Decide();
  h.Deliver(1);
  h.Deliver(2);
  h.Decide();
  EXPECT_EQ(h.Asked(1).size(), 8u);
  EXPECT_EQ(h.Asked(2).size(), 4u);
}

TEST(CrowdedChoice, TakesChunksAtRandomInsteadOfNeighbours) {
  Harness h(OneFileOfChunks(200));
  h.AddSeed(1);
  h.Add(2);
  std::vector<uint32_t> order;
  while (!h.swarm.Complete()) {
    h.Decide();
    order.push_back(h.Deliver(1));
  }
  int neighbours = 0;
  for (size_t i = 1; i < 150; ++i) neighbours += order[i] == order[i - 1] + 1 ? 1 : 0;
  EXPECT_LT(neighbours, 8);
}

// --- What peers tell

TEST(HaveLeaves, MakesAUnitAskable) {
  Units h(10);
  h.Add(1);
  h.Decide();
  EXPECT_TRUE(h.AskedParts(1).empty());
  EXPECT_EQ(h.swarm.useful_links(), 0);
  h.HaveLeaves(1, Part(3, 8));
  EXPECT_EQ(h.swarm.useful_links(), 1);
  h.Decide();
  EXPECT_EQ(h.AskedParts(1), std::vector<ChunkPart>{Part(3, 8)});
  h.Deliver(1);
  EXPECT_EQ(h.swarm.useful_links(), 0);
}

TEST(HaveLeaves, CountsUnitsThatAreWhollyThereOnly) {
  Units h(10);
  h.Add(1);
  h.HaveLeaves(1, Part(3, 8, 2));
  h.HaveLeaves(1, Part(10, 0));
  h.HaveLeaves(1, Part(0xffffffff, 0));
  EXPECT_EQ(h.swarm.useful_links(), 0);
  h.HaveLeaves(1, Part(3, 6, 11));
  h.Prove(1);
  h.Decide();
  EXPECT_EQ(h.AskedParts(1), std::vector<ChunkPart>{Part(3, 12)});
  h.Deliver(1);
  EXPECT_EQ(h.swarm.PartsOf(ChunkIndex(3)), std::vector<ChunkPart>{Part(3, 8, 8)});
}

TEST(HaveLeaves, EndsTheBackOffAfterARefusal) {
  Units h(10);
  h.Add(1);
  h.HaveLeaves(1, Part(3, 8));
  h.Decide();
  h.Reject(1);
  h.Decide();
  EXPECT_TRUE(h.AskedParts(1).empty());
  h.HaveLeaves(1, Part(3, 12));
  h.Decide();
  EXPECT_EQ(h.AskedParts(1), std::vector<ChunkPart>{Part(3, 12)});
  h.HaveLeaves(1, Part(3, 8));
  h.Deliver(1);
  h.Decide();
  EXPECT_EQ(h.AskedParts(1), std::vector<ChunkPart>{Part(3, 8)});
}

TEST(HaveLeaves, AreTakenBackWithTheirChunk) {
  Units h(10);
  h.Add(1);
  h.HaveLeaves(1, Part(3, 0, 16));
  h.swarm.OnLost(LinkId(1), ChunkIndex(3), 1);
  EXPECT_EQ(h.swarm.useful_links(), 0);
  h.Decide();
  EXPECT_TRUE(h.AskedParts(1).empty());
}

TEST(HaveLeaves, OfEveryUnitMakeALinkComplete) {
  Units h(2);
  h.Add(1);
  h.Add(2);
  for (uint32_t chunk = 0; chunk < 2; ++chunk) {
    EXPECT_FALSE(h.swarm.LinkHas(LinkId(1), ChunkIndex(chunk)));
    h.HaveLeaves(1, Part(chunk, 0, limits::kLeavesPerChunk));
    EXPECT_TRUE(h.swarm.LinkHas(LinkId(1), ChunkIndex(chunk)));
  }
  h.Remove(2);
  h.Decide();
  EXPECT_EQ(h.last.requests.size(), 1u) << "nobody else fetches it";
}

TEST(LinkHas, TellsWhatAPeerNeedNotBeTold) {
  Units h(10);
  h.AddSeed(1);
  h.Add(2);
  h.HaveLeaves(2, Part(3, 8, 8));
  h.Have(2, 4);
  EXPECT_TRUE(h.swarm.LinkHas(LinkId(1), Part(9, 0)));
  EXPECT_TRUE(h.swarm.LinkHas(LinkId(2), Part(3, 8)));
  EXPECT_TRUE(h.swarm.LinkHas(LinkId(2), Part(3, 12)));
  EXPECT_FALSE(h.swarm.LinkHas(LinkId(2), Part(3, 16)));
  EXPECT_FALSE(h.swarm.LinkHas(LinkId(2), ChunkIndex(3)));
  EXPECT_TRUE(h.swarm.LinkHas(LinkId(2), ChunkIndex(4)));
  EXPECT_TRUE(h.swarm.LinkHas(LinkId(2), Part(4, 0)));
  EXPECT_FALSE(h.swarm.LinkHas(LinkId(9), Part(3, 8)));
}

TEST(IsCommon, OnceThreeLinksBesidesThoseThatHaveEverythingHaveIt) {
  Units h(10);
  h.AddSeed(1);
  for (uint32_t link = 2; link <= 4; ++link) {
    EXPECT_FALSE(h.swarm.IsCommon(Part(3, 8)));
    h.Add(link);
    h.HaveLeaves(link, Part(3, 8));
  }
  EXPECT_TRUE(h.swarm.IsCommon(Part(3, 8)));
  EXPECT_FALSE(h.swarm.IsCommon(Part(3, 12)));
  EXPECT_FALSE(h.swarm.IsCommon(Part(3, 8, 8))) << "not all of it";
}

// --- What is here

TEST(VerifiedHere, WithoutBeingAskedForKeepsWhatLinksHave) {
  Units h(4);
  h.Add(1);
  h.Have(1, 0, 4);
  h.swarm.OnVerified(LinkId(), ChunkIndex(2));
  EXPECT_TRUE(h.swarm.have().Has(ChunkIndex(2)));
  EXPECT_TRUE(h.swarm.LinkHas(LinkId(1), ChunkIndex(3)));
  EXPECT_EQ(h.swarm.useful_links(), 1);
}

TEST(PartialChunks, BecomeWholeWithTheirLastUnit) {
  Units h(10);
  for (uint32_t i = 0; i < kUnitsPerChunk; ++i) {
    // 3, 0, 5, 2, 7, 4, 1, 6
    const uint32_t leaf = (3 + 5 * i) % kUnitsPerChunk * kUnitLeaves;
    EXPECT_FALSE(h.swarm.have().Has(ChunkIndex(3)));
    EXPECT_EQ(h.swarm.PartialChunks().size(), i == 0 ? 0u : 1u);
    EXPECT_EQ(h.swarm.bytes_have(), ByteCount(uint64_t{i} * kUnitBytes));
    EXPECT_FALSE(h.swarm.Has(Part(3, leaf)));
    h.Get(Part(3, leaf));
    EXPECT_TRUE(h.swarm.Has(Part(3, leaf)));
  }
  EXPECT_TRUE(h.swarm.have().Has(ChunkIndex(3)));
  EXPECT_TRUE(h.swarm.Has(ChunkIndex(3)));
  EXPECT_TRUE(h.swarm.PartialChunks().empty());
  EXPECT_EQ(h.swarm.bytes_have(), ByteCount(limits::kChunkBytes));
  EXPECT_FALSE(h.swarm.Complete());
}

TEST(PartialChunks, AreToldInFewParts) {
  Units h(10);
  for (const uint32_t leaf : {0u, 4u, 12u, 16u, 20u, 28u}) h.Get(Part(5, leaf));
  h.Get(Part(2, 16));
  EXPECT_EQ(h.swarm.PartialChunks(), (std::vector<ChunkIndex>{ChunkIndex(2), ChunkIndex(5)}));
  EXPECT_EQ(h.swarm.PartsOf(ChunkIndex(5)),
            (std::vector<ChunkPart>{Part(5, 0, 8), Part(5, 12, 12), Part(5, 28, 4)}));
  EXPECT_EQ(h.swarm.PartsOf(ChunkIndex(2)), std::vector<ChunkPart>{Part(2, 16)});
  EXPECT_TRUE(h.swarm.PartsOf(ChunkIndex(0)).empty());
  EXPECT_TRUE(h.swarm.Has(Part(5, 0, 8)));
  EXPECT_FALSE(h.swarm.Has(Part(5, 0, 16)));
  EXPECT_FALSE(h.swarm.Has(Part(5, 0, 2))) << "less than a unit is not told apart";
  EXPECT_FALSE(h.swarm.Has(ChunkIndex(10)));
}

TEST(PartialChunks, AreAskedForAgainWhenLostHere) {
  Units h(3);
  h.Get(Part(1, 0));
  h.Get(Part(1, 8));
  h.swarm.OnChunkLostHere(ChunkIndex(1));
  EXPECT_EQ(h.swarm.bytes_have(), ByteCount(0));
  EXPECT_TRUE(h.swarm.PartialChunks().empty());
  h.AddSeed(1);
  h.Add(2);
  while (!h.swarm.Complete()) {
    h.Decide();
    ASSERT_FALSE(h.queue[1].empty());
    h.Deliver(1);
  }
  h.swarm.OnChunkLostHere(ChunkIndex(2));
  EXPECT_EQ(h.swarm.bytes_have(), ByteCount(2 * limits::kChunkBytes));
  EXPECT_TRUE(h.swarm.PartialChunks().empty());
  std::set<ChunkPart> again;
  while (!h.swarm.Complete()) {
    h.Decide();
    ASSERT_FALSE(h.queue[1].empty());
    again.insert(h.DeliverPart(1));
  }
  EXPECT_EQ(again.size(), kUnitsPerChunk);
}

TEST(PartialChunks, TakeAWholeChunkFromALinkThatKnowsNoLeaves) {
  Units h(1);
  h.Get(Part(0, 4));
  h.Get(Part(0, 20));
  h.AddWithoutLeaves(1);
  h.Have(1, 0);
  h.Decide();
  EXPECT_EQ(h.AskedParts(1), std::vector<ChunkPart>{ChunkIndex(0)});
  h.Deliver(1);
  EXPECT_TRUE(h.swarm.Complete());
  EXPECT_EQ(h.swarm.bytes_have(), ByteCount(limits::kChunkBytes));
}

TEST(PartialChunks, TheWholeChunkIsCancelledWhenItsOtherUnitsCameFromElsewhere) {
  Units h(2);
  h.Get(Part(0, 0));
  h.AddWithoutLeaves(1);
  h.Have(1, 0);
  h.Decide();
  ASSERT_EQ(h.AskedParts(1), std::vector<ChunkPart>{ChunkIndex(0)});
  for (uint32_t leaf = kUnitLeaves; leaf < limits::kLeavesPerChunk; leaf += kUnitLeaves) {
    h.swarm.OnVerified(LinkId(), Part(0, leaf));
  }
  EXPECT_TRUE(h.swarm.have().Has(ChunkIndex(0)));
  h.Decide();
  EXPECT_EQ(h.last.cancels.size(), 1u);
  EXPECT_TRUE(h.queue[1].empty());
}

// --- Faults

TEST(PartFaults, ALiarCostsOneUnit) {
  Units h(20);
  h.Add(1);
  h.Have(1, 0, 19);
  h.Decide();
  ASSERT_EQ(h.AskedParts(1).size(), 1u);
  const ChunkPart bad = h.AskedParts(1)[0];
  EXPECT_FALSE(bad.whole());
  ASSERT_TRUE(h.Receive(1));
  h.Decide();
  EXPECT_TRUE(h.AskedParts(1).empty()) << "not before the verdict";
  h.swarm.OnFailed(LinkId(1), bad);
  h.Decide();
  EXPECT_EQ(h.dropped.count(1), 1u);
  EXPECT_TRUE(h.swarm.IsBanned(1));
  EXPECT_FALSE(h.swarm.Has(bad));
  h.Get(bad);
  EXPECT_TRUE(h.swarm.Has(bad));
}

TEST(PartFaults, AFailedWholeChunkLeavesTheUnitsThatWereHere) {
  Units h(1);
  h.Get(Part(0, 4));
  h.AddWithoutLeaves(1);
  h.Have(1, 0);
  h.Decide();
  ASSERT_TRUE(h.Receive(1));
  h.swarm.OnFailed(LinkId(1), ChunkIndex(0));
  EXPECT_TRUE(h.swarm.IsBanned(1));
  EXPECT_TRUE(h.swarm.Has(Part(0, 4)));
  EXPECT_EQ(h.swarm.bytes_have(), ByteCount(kUnitBytes));
  h.AddSeed(2);
  h.Add(3);
  std::set<ChunkPart> asked;
  while (!h.swarm.Complete()) {
    h.Decide();
    ASSERT_FALSE(h.queue[2].empty());
    asked.insert(h.DeliverPart(2));
  }
  EXPECT_EQ(asked.size(), kUnitsPerChunk - 1);
  EXPECT_EQ(asked.count(Part(0, 4)), 0u);
}

TEST(PartFaults, AUnitThatTheDiskDidNotKeepIsAskedForAgain) {
  Units h(2);
  h.Add(1);
  h.HaveLeaves(1, Part(1, 8));
  h.Decide();
  ASSERT_TRUE(h.Receive(1));
  h.swarm.OnNotStored(LinkId(1), Part(1, 8));
  h.Decide();
  EXPECT_EQ(h.AskedParts(1), std::vector<ChunkPart>{Part(1, 8)});
  EXPECT_FALSE(h.swarm.IsBanned(1));
}

TEST(PartFaults, C04_ALinkIsNotProvenByACopyFromElsewhere) {
  Units h(4);
  h.Add(1);
  h.Have(1, 0, 4);
  h.Add(2);  // others fetch it as well
  h.Decide();
  ASSERT_EQ(h.queue[1].size(), 1u);
  const ChunkPart part = h.queue[1].front();
  ASSERT_TRUE(h.Receive(1));
  // Found on disk while the link's copy is still being checked.
  h.swarm.OnVerified(LinkId(), part.chunk);
  h.Decide();
  EXPECT_TRUE(h.queue[1].empty()) << "its own copy is not checked yet";
  h.swarm.OnVerified(LinkId(1), part);
  h.Decide();
  EXPECT_GT(h.queue[1].size(), 1u);
}

TEST(PartFaults, C04_AWrongCopyIsBlamedThoughAnotherWasGoodAndItsLinkIsGone) {
  Units h(1);
  h.Add(1);
  h.HaveLeaves(1, Part(0, 4));
  h.AddWithoutLeaves(2);
  h.Decide();
  ASSERT_TRUE(h.Receive(1));
  h.Have(2, 0);
  h.Decide();
  ASSERT_EQ(h.AskedParts(2), std::vector<ChunkPart>{ChunkIndex(0)});
  ASSERT_TRUE(h.Receive(2));
  h.swarm.OnVerified(LinkId(2), ChunkIndex(0));
  EXPECT_TRUE(h.swarm.Complete());
  h.Remove(1);
  h.swarm.OnFailed(LinkId(1), Part(0, 4));
  EXPECT_TRUE(h.swarm.IsBanned(1));
  EXPECT_FALSE(h.swarm.IsBanned(2));
  EXPECT_TRUE(h.swarm.Complete());
}

TEST(PartFaults, ARejectedUnitIsAskedOfAnother) {
  Units h(10);
  for (uint64_t link = 1; link <= 2; ++link) {
    h.Add(link);
    h.HaveLeaves(link, Part(3, 8));
  }
  h.Decide();
  const uint64_t first = h.queue[1].empty() ? 2 : 1;
  h.Reject(first);
  h.Decide();
  EXPECT_TRUE(h.AskedParts(first).empty());
  EXPECT_EQ(h.AskedParts(3 - first), std::vector<ChunkPart>{Part(3, 8)});
}

TEST(PartFaults, ARejectedWholeChunkFreesAllOfItsUnits) {
  Units h(1);
  h.AddWithoutLeaves(1);
  h.Have(1, 0);
  h.Decide();
  h.Reject(1);
  h.AddSeed(2);
  h.Add(3);
  while (!h.swarm.Complete()) {
    h.Decide();
    ASSERT_FALSE(h.queue[2].empty());
    h.Deliver(2);
  }
}

TEST(PartFaults, OriginalLinksAreAskedForWholeChunksInTheirOrder) {
  Units h(6);
  h.Get(Part(1, 8));
  h.AddOriginal(1);
  h.Add(2);
  std::vector<ChunkPart> order;
  while (!h.swarm.Complete()) {
    h.Decide();
    ASSERT_EQ(h.queue[1].size(), 1u);
    order.push_back(h.DeliverPart(1));
  }
  std::vector<ChunkPart> expected;
  for (uint32_t chunk = 0; chunk < 6; ++chunk) expected.emplace_back(ChunkIndex(chunk));
  EXPECT_EQ(order, expected);
}

}  // namespace
}  // namespace p2p::swarm

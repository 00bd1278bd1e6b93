#include "core/base/send_tally.h"

#include <algorithm>
#include <array>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace p2p {
namespace {

ChunkPart Part(uint32_t chunk, uint32_t first_leaf, uint32_t leaf_count) {
  return {ChunkIndex(chunk), first_leaf, leaf_count};
}

TEST(SendTally, CountsWholeChunksAndPartsInTheSamePlace) {
  SendTally tally(3);
  tally.Add(ChunkIndex(1));
  EXPECT_EQ(tally.Of(ChunkIndex(1)), 1u);
  EXPECT_EQ(tally.Of(Part(1, 8, 4)), 1u);
  EXPECT_EQ(tally.Of(ChunkIndex(0)), 0u);
  EXPECT_EQ(tally.Of(ChunkIndex(2)), 0u);
  tally.Add(Part(1, 8, 4));
  EXPECT_EQ(tally.Of(Part(1, 8, 4)), 2u);
  EXPECT_EQ(tally.Of(Part(1, 12, 4)), 1u);
  EXPECT_EQ(tally.Of(Part(1, 8, 8)), 2u) << "what was sent most of it counts";
  EXPECT_EQ(tally.Of(ChunkIndex(1)), 2u);
}

TEST(SendTally, IgnoresWhatIsNotOfTheContent) {
  SendTally tally(2);
  for (const ChunkPart& part :
       {ChunkPart(ChunkIndex(2)), Part(2, 0, 4), ChunkPart(ChunkIndex(0xffffffff))}) {
    tally.Add(part);
    EXPECT_EQ(tally.Of(part), 0u);
  }
  SendTally empty(0);
  empty.Add(ChunkIndex(0));
  EXPECT_EQ(empty.Of(ChunkIndex(0)), 0u);
}

TEST(SendTally, StaysAtItsMostInsteadOfBeginningAnew) {
  SendTally tally(1);
  for (int i = 0; i < 1'000; ++i) tally.Add(ChunkIndex(0));
  EXPECT_EQ(tally.Of(ChunkIndex(0)), 255u);
}

TEST(SendTally, AgreesWithACountOfEachLeafForRangesThatAreAligned) {
  std::mt19937 random(11);
  SendTally tally(4);
  std::vector<std::array<uint32_t, 32>> plain(4);
  for (auto& leaves : plain) leaves.fill(0);
  for (int i = 0; i < 300; ++i) {
    // 4 to 32 leaves.
    const uint32_t count = 4u << (random() % 4);
    const uint32_t chunk = random() % 4;
    const uint32_t first = random() % (32 / count) * count;
    const ChunkPart part = count == 32 ? ChunkPart(ChunkIndex(chunk)) : Part(chunk, first, count);
    const auto begin = plain[chunk].begin() + first;
    EXPECT_EQ(tally.Of(part), *std::max_element(begin, begin + count)) << part;
    tally.Add(part);
    std::for_each(begin, begin + count, [](uint32_t& leaf) { ++leaf; });
  }
}

}  // namespace
}  // namespace p2p

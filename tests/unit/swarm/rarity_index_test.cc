#include "daemon/swarm/rarity_index.h"

#include <map>
#include <random>

#include "gtest/gtest.h"

namespace p2p::swarm {
namespace {

TEST(RarityIndex, LevelsGrowWithTheCountAndNeverFallBehindIt) {
  for (uint32_t count = 1; count <= 0xffff; ++count) {
    const uint32_t before = RarityIndex::LevelOf(static_cast<uint16_t>(count - 1));
    const uint32_t level = RarityIndex::LevelOf(static_cast<uint16_t>(count));
    ASSERT_TRUE(level == before || level == before + 1) << count;
  }
  EXPECT_EQ(RarityIndex::LevelOf(15), 15u);
  EXPECT_EQ(RarityIndex::LevelOf(16), 16u);
  EXPECT_EQ(RarityIndex::LevelOf(31), 16u);
  EXPECT_EQ(RarityIndex::LevelOf(32), 17u);
}

TEST(RarityIndex, MovesOnlyWantedChunksBetweenLevels) {
  RarityIndex index(10);
  index.Increment(3);
  EXPECT_FALSE(index.IsWanted(3));
  EXPECT_TRUE(index.SetWanted(3, true));
  EXPECT_FALSE(index.SetWanted(3, true));
  EXPECT_TRUE(index.level(1).Has(3));
  index.Increment(3);
  EXPECT_TRUE(index.level(2).Has(3));
  EXPECT_FALSE(index.level(1).Has(3));
  index.Decrement(3);
  index.Decrement(3);
  index.Decrement(3);
  EXPECT_TRUE(index.level(0).Has(3));
  EXPECT_EQ(index.wanted_count(), 1u);
  EXPECT_TRUE(index.SetWanted(3, false));
  EXPECT_EQ(index.wanted_count(), 0u);
}

TEST(RarityIndex, WholeBlocksCountLikeTheirUnitsOneByOne) {
  constexpr uint32_t kBlock = SparseBitmap::kBlockBits;
  for (const uint32_t size : {kBlock, 2 * kBlock + 100}) {
    std::mt19937 random(size);
    RarityIndex index(size);
    RarityIndex plain(size);
    index.SetAllWanted(0, size, true);
    index.SetAllWanted(10, 20, false);
    for (uint32_t i = 0; i < size; ++i) plain.SetWanted(i, i < 10 || i >= 20);
    const uint32_t blocks = (size + kBlock - 1) / kBlock;
    std::map<uint32_t, int> whole;  // links that have all of a block
    for (int step = 0; step < 60; ++step) {
      const uint32_t block = random() % blocks;
      const uint32_t end = std::min(size, (block + 1) * kBlock);
      if (random() % 2 == 0 || whole[block] == 0) {
        ++whole[block];
        index.IncrementBlock(block);
        for (uint32_t i = block * kBlock; i < end; ++i) plain.Increment(i);
      } else {
        --whole[block];
        index.DecrementBlock(block);
        for (uint32_t i = block * kBlock; i < end; ++i) plain.Decrement(i);
      }
      if (step < 20) continue;
      const uint32_t unit = random() % size;
      index.Increment(unit);
      plain.Increment(unit);
      EXPECT_EQ(index.SetWanted(unit, step % 3 == 0), plain.SetWanted(unit, step % 3 == 0));
    }
    EXPECT_EQ(index.wanted_count(), plain.wanted_count());
    for (uint32_t i = 0; i < size; ++i) {
      ASSERT_EQ(index.CountOf(i), plain.CountOf(i)) << i;
      ASSERT_EQ(index.IsWanted(i), plain.IsWanted(i)) << i;
    }
    for (uint32_t block = 0; block < blocks; ++block) {
      EXPECT_EQ(index.WantedIn(block), plain.WantedIn(block));
    }
  }
}

TEST(RarityIndex, ForgetsWhatNoLinkHasAndKeepsWhatIsWanted) {
  RarityIndex index(100);
  index.SetAllWanted(0, 50, true);
  index.Increment(3);
  index.Decrement(3);
  index.ForgetCounts();
  EXPECT_EQ(index.level_count(), 1u);
  EXPECT_TRUE(index.IsWanted(3));
  EXPECT_FALSE(index.IsWanted(50));
  EXPECT_EQ(index.wanted_count(), 50u);
}

}  // namespace
}  // namespace p2p::swarm

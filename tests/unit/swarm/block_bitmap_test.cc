#include "daemon/swarm/block_bitmap.h"

#include <random>
#include <set>

#include "daemon/swarm/rarity_index.h"
#include "gtest/gtest.h"

namespace p2p::swarm {
namespace {

TEST(BlockBitmap, AgreesWithAPlainSetAfterManyChanges) {
  for (const uint32_t size : {1u, 63u, 64u, 65u, 4095u, 4096u, 4097u, 20'000u}) {
    std::mt19937 random(size);
    BlockBitmap bitmap(size);
    BlockBitmap other(size);
    std::set<uint32_t> members;
    std::set<uint32_t> common;
    for (int i = 0; i < 500; ++i) {
      const uint32_t chunk = random() % size;
      if (random() % 3 != 0) {
        EXPECT_EQ(bitmap.Add(chunk), members.insert(chunk).second);
      } else {
        EXPECT_EQ(bitmap.Remove(chunk), members.erase(chunk) == 1);
      }
      other.Add(random() % size);
    }
    EXPECT_EQ(bitmap.count(), members.size());
    for (uint32_t chunk : members) {
      if (other.Has(chunk)) common.insert(chunk);
    }
    for (int i = 0; i < 200; ++i) {
      const uint32_t from = random() % (size + 1);
      const auto any = members.lower_bound(from);
      EXPECT_EQ(bitmap.FindCommon(from, nullptr), any == members.end() ? size : *any);
      const auto both = common.lower_bound(from);
      EXPECT_EQ(bitmap.FindCommon(from, &other), both == common.end() ? size : *both);
    }
  }
}

TEST(BlockBitmap, HoldsNothingBeyondItsSizeWhenFilled) {
  for (const uint32_t size : {0u, 1u, 64u, 65u, 4096u, 4097u}) {
    BlockBitmap bitmap(size);
    bitmap.AddAll();
    EXPECT_EQ(bitmap.count(), size);
    EXPECT_FALSE(bitmap.Has(size));
    EXPECT_EQ(bitmap.FindCommon(size, nullptr), size);
    for (uint32_t i = 0; i < size; ++i) ASSERT_TRUE(bitmap.Remove(i));
    EXPECT_EQ(bitmap.FindCommon(0, nullptr), size);
  }
}

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

}  // namespace
}  // namespace p2p::swarm

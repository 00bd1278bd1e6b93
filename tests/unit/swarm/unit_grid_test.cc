#include "daemon/swarm/unit_grid.h"

#include <algorithm>
#include <random>
#include <string>

#include "gtest/gtest.h"

namespace p2p::swarm {
namespace {

constexpr uint32_t kLeaf = limits::kLeafBytes;
constexpr uint32_t kChunk = limits::kChunkBytes;

std::shared_ptr<const content::Layout> Files(const std::vector<uint64_t>& lengths) {
  std::vector<content::LayoutFile> files(lengths.size());
  for (size_t i = 0; i < lengths.size(); ++i) {
    files[i].path = "f" + std::to_string(1'000 + i);
    files[i].length = ByteCount(lengths[i]);
  }
  auto layout = content::Layout::Make("files", true, std::move(files));
  EXPECT_TRUE(layout.ok()) << layout.status();
  return std::make_shared<const content::Layout>(*std::move(layout));
}

// What a grid should say, as a list.
struct PlainUnit {
  uint32_t chunk;
  uint32_t first_leaf;
  uint32_t end_leaf;  // within the chunk
  uint32_t bytes;
};

std::vector<PlainUnit> PlainUnits(const std::vector<uint64_t>& lengths, uint32_t unit_leaves) {
  std::vector<PlainUnit> units;
  uint32_t chunk = 0;
  for (const uint64_t length : lengths) {
    for (uint64_t at = 0; at < length; at += kChunk, ++chunk) {
      const auto chunk_bytes = static_cast<uint32_t>(std::min<uint64_t>(kChunk, length - at));
      const uint32_t leaves = (chunk_bytes + kLeaf - 1) / kLeaf;
      for (uint32_t leaf = 0; leaf < leaves; leaf += unit_leaves) {
        const uint32_t end = std::min(leaf + unit_leaves, leaves);
        units.push_back({chunk, leaf, end, std::min(end * kLeaf, chunk_bytes) - leaf * kLeaf});
      }
    }
  }
  return units;
}

void ExpectTheSame(const UnitGrid& grid, const std::vector<PlainUnit>& units,
                   uint32_t unit_leaves) {
  ASSERT_EQ(grid.unit_count(), units.size());
  for (uint32_t unit = 0; unit < units.size();) {
    const uint32_t chunk = units[unit].chunk;
    const auto end = std::find_if(units.begin() + unit, units.end(),
                                  [&](const PlainUnit& other) { return other.chunk != chunk; });
    const UnitGrid::Units of = grid.Of(chunk);
    EXPECT_EQ(of.first, unit);
    EXPECT_EQ(of.end(), static_cast<uint32_t>(end - units.begin()));
    for (; unit < of.end(); ++unit) {
      EXPECT_EQ(grid.ChunkOf(unit), chunk) << unit;
      EXPECT_EQ(grid.Length(unit), units[unit].bytes) << unit;
      const ChunkPart part = grid.PartOf(unit);
      EXPECT_EQ(part, of.count == 1
                          ? ChunkPart(ChunkIndex(chunk))
                          : ChunkPart(ChunkIndex(chunk), units[unit].first_leaf, unit_leaves));
      const UnitGrid::Units back = grid.Within(part);
      EXPECT_EQ(back.first, unit);
      EXPECT_EQ(back.count, 1u);
    }
    ASSERT_GT(of.count, 0u);
  }
}

TEST(UnitGrid, NumbersUnitsOverTheFilesPassingEmptyOnesAndShorteningTheLast) {
  //                            3 units       none  1       8 and 1          none
  const auto layout = Files({kLeaf * 8 + 5, 0, 0, 1, kChunk + 3, 0});
  const UnitGrid grid(layout, 4);
  EXPECT_TRUE(grid.divides());
  EXPECT_EQ(grid.unit_bytes(), 4 * kLeaf);
  EXPECT_EQ(grid.unit_count(), 13u);
  EXPECT_EQ(grid.Of(0).count, 3u);
  EXPECT_EQ(grid.Length(0), 4 * kLeaf);
  EXPECT_EQ(grid.Length(2), 5u);
  EXPECT_EQ(grid.PartOf(2), ChunkPart(ChunkIndex(0), 8, 4));
  EXPECT_EQ(grid.ChunkOf(3), 1u);
  EXPECT_EQ(grid.PartOf(3), ChunkPart(ChunkIndex(1))) << "a chunk of one unit is asked for whole";
  EXPECT_EQ(grid.ChunkOf(4), 2u);
  EXPECT_EQ(grid.PartOf(11), ChunkPart(ChunkIndex(2), 28, 4));
  EXPECT_EQ(grid.ChunkOf(12), 3u);
  EXPECT_EQ(grid.Length(12), 3u);
}

TEST(UnitGrid, HasAUnitForEachChunkWhenUnitsAreWholeChunks) {
  const auto layout = Files({kLeaf, 0, 3 * kChunk + 1});
  const UnitGrid grid(layout, limits::kLeavesPerChunk);
  EXPECT_FALSE(grid.divides());
  EXPECT_EQ(grid.unit_count(), layout->chunk_count());
  for (uint32_t unit = 0; unit < grid.unit_count(); ++unit) {
    EXPECT_EQ(grid.ChunkOf(unit), unit);
    EXPECT_EQ(grid.PartOf(unit), ChunkPart(ChunkIndex(unit)));
    EXPECT_EQ(grid.Length(unit), layout->ChunkLength(ChunkIndex(unit)));
  }
}

TEST(UnitGrid, DoesNotDivideSmallFiles) {
  EXPECT_FALSE(UnitGrid(Files({kLeaf, 4 * kLeaf, 1}), 4).divides());
  EXPECT_TRUE(UnitGrid(Files({kLeaf, 4 * kLeaf + 1, 1}), 4).divides());
  EXPECT_EQ(UnitGrid(Files({0, 0}), 4).unit_count(), 0u);
}

TEST(UnitGrid, CountsOnlyUnitsThatLieWhollyWithinAPart) {
  const UnitGrid grid(Files({2 * kChunk, 18 * kLeaf}), 8);
  const auto within = [&](uint32_t chunk, uint32_t first, uint32_t count) {
    const UnitGrid::Units units = grid.Within({ChunkIndex(chunk), first, count});
    return std::vector<uint32_t>{units.count == 0 ? 0 : units.first, units.count};
  };
  using Units = std::vector<uint32_t>;
  EXPECT_EQ(within(1, 0, 32), (Units{4, 4}));
  EXPECT_EQ(within(1, 8, 8), (Units{5, 1}));
  EXPECT_EQ(within(1, 7, 16), (Units{5, 1}));
  EXPECT_EQ(within(1, 8, 7), (Units{0, 0}));
  EXPECT_EQ(within(1, 9, 8), (Units{0, 0}));
  EXPECT_EQ(within(2, 16, 2), (Units{10, 1})) << "the chunk ends there";
  EXPECT_EQ(within(2, 16, 1), (Units{0, 0}));
  EXPECT_EQ(within(2, 24, 8), (Units{0, 0})) << "beyond its end";
  EXPECT_EQ(within(3, 0, 32), (Units{0, 0})) << "no such chunk";
  EXPECT_EQ(grid.Within(ChunkIndex(2)).count, 3u);
  EXPECT_EQ(grid.Within(ChunkIndex(3)).count, 0u);
}

TEST(UnitGrid, AgreesWithAPlainListForAnyFiles) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<uint64_t> lengths(1 + random() % 6);
    for (uint64_t& length : lengths) {
      const uint64_t edges[] = {0, 1, kLeaf, kLeaf * (1 + random() % 32), kChunk, 2 * kChunk + 1};
      length = random() % 2 == 0 ? edges[random() % 6] : random() % (3 * kChunk);
      if (random() % 4 == 0 && length > 0) --length;
    }
    const uint32_t unit_leaves = 1u << (random() % 6);
    SCOPED_TRACE(unit_leaves);
    const auto layout = Files(lengths);
    const UnitGrid grid(layout, unit_leaves);
    const std::vector<PlainUnit> units = PlainUnits(lengths, unit_leaves);
    ExpectTheSame(grid, units, unit_leaves);
    for (int i = 0; i < 20; ++i) {
      const uint32_t chunk = random() % (layout->chunk_count() + 1);
      const uint32_t first = random() % 32;
      const uint32_t end = first + 1 + random() % (32 - first);
      const UnitGrid::Units within = grid.Within({ChunkIndex(chunk), first, end - first});
      for (uint32_t unit = 0; unit < units.size(); ++unit) {
        const bool expected = units[unit].chunk == chunk && units[unit].first_leaf >= first &&
                              units[unit].end_leaf <= end;
        EXPECT_EQ(unit >= within.first && unit < within.end(), expected)
            << "unit " << unit << " in " << ChunkPart(ChunkIndex(chunk), first, end - first);
      }
    }
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace p2p::swarm

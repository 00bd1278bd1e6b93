#include "core/base/chunk_set.h"

#include <algorithm>
#include <random>
#include <set>
#include <string>

#include "gtest/gtest.h"

namespace p2p {
namespace {

TEST(ChunkSet, CountsWhatItHolds) {
  ChunkSet set(10);
  EXPECT_TRUE(set.None());
  EXPECT_TRUE(set.Add(ChunkIndex(3)));
  EXPECT_FALSE(set.Add(ChunkIndex(3))) << "it is there already";
  EXPECT_TRUE(set.Has(ChunkIndex(3)));
  EXPECT_EQ(set.count(), 1u);
  EXPECT_TRUE(set.Remove(ChunkIndex(3)));
  EXPECT_FALSE(set.Remove(ChunkIndex(3)));
  EXPECT_TRUE(set.None());
}

TEST(ChunkSet, P03_IgnoresIndexesBeyondItsSize) {
  for (uint32_t size : {0u, 1u, 63u, 64u, 65u}) {
    ChunkSet set(size);
    for (uint32_t beyond : {size, size + 1, 1u << 31, ~0u}) {
      EXPECT_FALSE(set.Has(ChunkIndex(beyond)));
      EXPECT_FALSE(set.Add(ChunkIndex(beyond)));
      EXPECT_FALSE(set.Remove(ChunkIndex(beyond)));
    }
    EXPECT_TRUE(set.None());
  }
}

TEST(ChunkSet, AllMeansEveryChunkAndNoMore) {
  for (uint32_t size : {0u, 1u, 63u, 64u, 65u, 128u, 1000u}) {
    ChunkSet set(size);
    EXPECT_EQ(set.All(), size == 0) << "an empty file is complete from the start";
    set.AddAll();
    EXPECT_TRUE(set.All());
    EXPECT_EQ(set.count(), size);
    EXPECT_EQ(set.NextGap(0), size);
    ChunkSet one_by_one(size);
    for (uint32_t i = 0; i < size; ++i) one_by_one.Add(ChunkIndex(i));
    EXPECT_EQ(set, one_by_one);
    set.Clear();
    EXPECT_TRUE(set.None());
    EXPECT_EQ(set.NextMember(0), size);
  }
}

TEST(ChunkSet, BehavesLikeASetOfNumbers) {
  constexpr uint32_t kSize = 300;
  std::mt19937 random(1);
  ChunkSet set(kSize);
  std::set<uint32_t> model;
  for (int step = 0; step < 5'000; ++step) {
    const uint32_t chunk = random() % kSize;
    if (random() % 2 == 0) {
      ASSERT_EQ(set.Add(ChunkIndex(chunk)), model.insert(chunk).second);
    } else {
      ASSERT_EQ(set.Remove(ChunkIndex(chunk)), model.erase(chunk) == 1);
    }
    ASSERT_EQ(set.count(), model.size());
    const uint32_t from = random() % (kSize + 70);
    const auto member = model.lower_bound(from);
    ASSERT_EQ(set.NextMember(from), member == model.end() ? kSize : *member);
    uint32_t gap = from;
    while (gap < kSize && model.count(gap) == 1) ++gap;
    ASSERT_EQ(set.NextGap(from), std::min(gap, kSize));
  }
}

TEST(ChunkSet, WritesTheFirstChunkIntoTheHighestBit) {
  ChunkSet set(10);
  set.Add(ChunkIndex(0));
  set.Add(ChunkIndex(7));
  set.Add(ChunkIndex(9));
  EXPECT_EQ(set.ToBytes(), "\x81\x40");
  EXPECT_EQ(ChunkSet(0).ToBytes(), "");
}

TEST(ChunkSet, ReadsBackItsBytesAtAnyStart) {
  for (uint32_t size : {1u, 7u, 8u, 9u, 63u, 64u, 65u, 200u}) {
    ChunkSet set(size);
    for (uint32_t i = 0; i < size; i += 3) set.Add(ChunkIndex(i));
    ChunkSet copy(size);
    copy.AddBytes(ChunkIndex(0), set.ToBytes());
    EXPECT_EQ(copy, set) << size;
  }
  ChunkSet shifted(20);
  shifted.AddBytes(ChunkIndex(8), "\xc0");
  EXPECT_TRUE(shifted.Has(ChunkIndex(8)));
  EXPECT_TRUE(shifted.Has(ChunkIndex(9)));
  EXPECT_EQ(shifted.count(), 2u);
}

TEST(ChunkSet, C14_BytesBeyondTheSizeChangeNothing) {
  ChunkSet set(12);
  set.AddBytes(ChunkIndex(0), std::string(1'000, '\xff'));
  EXPECT_EQ(set.count(), 12u);
  EXPECT_TRUE(set.All());
  ChunkSet other(12);
  other.AddBytes(ChunkIndex(12), "\xff");
  other.AddBytes(ChunkIndex(~0u), std::string(100, '\xff'));
  EXPECT_TRUE(other.None()) << "first + 8 * i does not wrap";
}

TEST(ChunkSet, AddsBytesToWhatIsThere) {
  ChunkSet set(8);
  set.Add(ChunkIndex(7));
  set.AddBytes(ChunkIndex(0), "\x80");
  EXPECT_EQ(set.count(), 2u);
}

TEST(ChunkSet, AddsAndRemovesTheMembersOfAnother) {
  ChunkSet set(130);
  ChunkSet other(130);
  set.Add(ChunkIndex(3));
  for (uint32_t i : {3u, 64u, 129u}) other.Add(ChunkIndex(i));
  set.Add(other);
  EXPECT_EQ(set, other);
  EXPECT_EQ(set.count(), 3u);
  other.Remove(ChunkIndex(64));
  set.Remove(other);
  EXPECT_EQ(set.count(), 1u);
  EXPECT_TRUE(set.Has(ChunkIndex(64)));
}

TEST(ChunkSet, AddsAndRemovesRunsCutWhereItEnds) {
  ChunkSet set(100);
  set.AddRun(ChunkIndex(90), ~0u);
  EXPECT_EQ(set.count(), 10u);
  set.AddRun(ChunkIndex(100), 5);
  set.AddRun(ChunkIndex(~0u), 5);
  EXPECT_EQ(set.count(), 10u);
  set.RemoveRun(ChunkIndex(95), 100);
  EXPECT_EQ(set.NextGap(90), 95u);
}

TEST(ChunkSet, WritesAPartOfItself) {
  ChunkSet set(100);
  set.AddRun(ChunkIndex(13), 20);
  EXPECT_EQ(set.ToBytes(8, 40), std::string("\x07\xff\xff\x80", 4));
  EXPECT_EQ(set.ToBytes(8, 24), std::string("\x07\xff", 2));
}

TEST(ChunkSet, S17_IsEncodedAsItsBytesOrWhereItIsLargeAsWhatIsThere) {
  ChunkSet small(1'000);
  for (uint32_t i = 0; i < 1'000; i += 7) small.Add(ChunkIndex(i));
  EXPECT_EQ(small.Encode(), small.ToBytes());
  EXPECT_EQ(ChunkSet::Decode(1'000, small.Encode()), small);
  for (const uint32_t size : {ChunkSet::kMaxPlainChunks + 1, (1u << 31) - 5, 1u << 31}) {
    ChunkSet set(size);
    EXPECT_EQ(ChunkSet::Decode(size, set.Encode()), set);
    EXPECT_FALSE(set.Encode().empty()) << "nothing is here, and there is a place for it";
    set.Add(ChunkIndex(5));
    set.AddRun(ChunkIndex(1'000'000), 200'000);
    set.Add(ChunkIndex(size - 1));
    const std::string text = set.Encode();
    EXPECT_LT(text.size(), 32'768u);
    EXPECT_GE(ChunkSet::SizeIn(text), size);
    EXPECT_LT(ChunkSet::SizeIn(text) - size, SparseBitmap::kBlockBits);
    EXPECT_EQ(ChunkSet::Decode(size, text), set);
    // What is damaged claims nothing beyond the set, and is read without harm.
    for (size_t length = 0; length < text.size(); length += 61) {
      EXPECT_LE(ChunkSet::Decode(size, text.substr(0, length)).count(), set.count());
    }
    EXPECT_TRUE(ChunkSet::Decode(1'000'000'000,
                                 "p2p-set\n\xff\xff\xff\xff"
                                 "a")
                    .None());
    set.AddAll();
    EXPECT_TRUE(ChunkSet::Decode(size, set.Encode()).All());
  }
  // One whose bytes look like the other text is told by it as well.
  ChunkSet alike(100);
  alike.AddBytes(ChunkIndex(0), "p2p-set\nabc");
  EXPECT_EQ(ChunkSet::Decode(100, alike.Encode()), alike);
  EXPECT_EQ(ChunkSet::SizeIn("abc"), 24u);
  const uint32_t large = ChunkSet::kMaxPlainChunks + 8;
  EXPECT_EQ(ChunkSet::Decode(large, "\x80").count(), 1u) << "as it was written before";
}

}  // namespace
}  // namespace p2p

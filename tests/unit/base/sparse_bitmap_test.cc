#include "core/base/sparse_bitmap.h"

#include <algorithm>
#include <random>
#include <set>

#include "gtest/gtest.h"

namespace p2p {
namespace {

constexpr uint32_t kBlock = SparseBitmap::kBlockBits;

TEST(SparseBitmap, AgreesWithAPlainSetAfterManyChanges) {
  for (const uint32_t size :
       {1u, 63u, 64u, 65u, 20'000u, kBlock - 1, kBlock, kBlock + 1, 3 * kBlock + 77}) {
    std::mt19937 random(size);
    SparseBitmap bitmap(size);
    SparseBitmap other(size);
    std::set<uint32_t> members;
    for (int i = 0; i < 500; ++i) {
      const uint32_t number = random() % size;
      if (random() % 3 != 0) {
        EXPECT_EQ(bitmap.Add(number), members.insert(number).second);
      } else {
        EXPECT_EQ(bitmap.Remove(number), members.erase(number) == 1);
      }
      other.Add(random() % size);
      if (i % 50 == 49) {
        const uint32_t first = random() % size;
        const uint32_t end = first + random() % (size - first + 1);
        if (random() % 2 == 0) {
          bitmap.AddRange(first, end);
          for (uint32_t n = first; n < end; ++n) members.insert(n);
        } else {
          bitmap.RemoveRange(first, end);
          members.erase(members.lower_bound(first), members.lower_bound(end));
        }
      }
    }
    EXPECT_EQ(bitmap.count(), members.size());
    std::set<uint32_t> common;
    for (uint32_t number : members) {
      EXPECT_TRUE(bitmap.Has(number));
      if (other.Has(number)) common.insert(number);
    }
    for (int i = 0; i < 200; ++i) {
      const uint32_t from = random() % (size + 1);
      const auto any = members.lower_bound(from);
      EXPECT_EQ(bitmap.NextMember(from), any == members.end() ? size : *any);
      const auto both = common.lower_bound(from);
      EXPECT_EQ(bitmap.FindCommon(from, &other), both == common.end() ? size : *both);
      uint32_t gap = from;
      while (gap < size && members.count(gap) == 1) ++gap;
      EXPECT_EQ(bitmap.NextGap(from), gap);
    }
    const SparseBitmap copy = bitmap;
    EXPECT_EQ(copy, bitmap);
    bitmap.Remove(bitmap.NextMember(0));
    EXPECT_EQ(copy == bitmap, members.empty());
  }
}

TEST(SparseBitmap, HoldsNothingBeyondItsSizeWhenFilled) {
  for (const uint32_t size : {0u, 1u, 64u, 65u, kBlock, kBlock + 1}) {
    SparseBitmap bitmap(size);
    bitmap.AddAll();
    EXPECT_EQ(bitmap.count(), size);
    EXPECT_FALSE(bitmap.Has(size));
    EXPECT_FALSE(bitmap.Add(size));
    EXPECT_EQ(bitmap.NextMember(size), size);
    EXPECT_EQ(bitmap.NextGap(0), size);
    for (uint32_t i = 0; i < size; ++i) ASSERT_TRUE(bitmap.Remove(i));
    EXPECT_EQ(bitmap.NextMember(0), size);
    EXPECT_EQ(bitmap, SparseBitmap(size));
  }
}

TEST(SparseBitmap, WhatIsFullIsTheSameHoweverItBecameSo) {
  SparseBitmap at_once(kBlock + 5);
  at_once.AddAll();
  SparseBitmap one_by_one(kBlock + 5);
  for (uint32_t i = 0; i < kBlock + 5; ++i) ASSERT_TRUE(one_by_one.Add(i));
  EXPECT_EQ(at_once, one_by_one);
  EXPECT_EQ(at_once.FindCommon(7, &one_by_one), 7u);
}

TEST(SparseBitmap, MovesABlockIntoAnotherSet) {
  SparseBitmap from(2 * kBlock);
  SparseBitmap to(2 * kBlock);
  from.AddRange(kBlock + 3, kBlock + 9);
  from.Add(1);
  to.Add(2);
  from.MoveBlock(1, &to);
  EXPECT_EQ(from.count(), 1u);
  EXPECT_EQ(to.count(), 7u);
  EXPECT_EQ(to.NextMember(3), kBlock + 3);
  EXPECT_EQ(from.NextMember(2), 2 * kBlock);
}

}  // namespace
}  // namespace p2p

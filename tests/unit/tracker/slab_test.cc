#include "tracker/slab.h"

#include <random>
#include <set>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "gtest/gtest.h"
#include "tracker/peer_pool.h"

namespace p2p::tracker {
namespace {

// Counts how many of it there are.
struct Counted {
  static int live;
  Counted() { ++live; }
  Counted(const Counted&) = delete;
  Counted& operator=(Counted&&) = default;
  ~Counted() { --live; }

  uint32_t hash = 0;
  uint32_t chain = kNone;
  uint32_t value = 0;
};
int Counted::live = 0;

constexpr int kBlock = 256;

TEST(Slab, GivesBackBlocksWithoutRecordsWhereverTheyAre) {
  Slab<Counted> slab;
  for (uint32_t i = 0; i < 10 * kBlock; ++i) EXPECT_EQ(slab.Add(), i);
  EXPECT_EQ(Counted::live, 10 * kBlock);
  // All but two records of the sixth block.
  for (uint32_t i = 0; i < 10 * kBlock; ++i) {
    if (i != 5 * kBlock + 7 && i != 5 * kBlock + 9) slab.Remove(i);
  }
  EXPECT_EQ(slab.size(), 2u);
  EXPECT_LE(Counted::live, 2 * kBlock) << "the one that is used, and one for what comes";
  for (uint32_t i = slab.FirstFrom(0); i < slab.end(); i = slab.FirstFrom(i + 1)) {
    EXPECT_EQ(slab[i].value, 0u);
  }
  // What comes takes the lowest numbers, so that the high ones can go.
  std::vector<uint32_t> more;
  for (int i = 0; i < 10 * kBlock; ++i) more.push_back(slab.Add());
  EXPECT_LE(Counted::live, 11 * kBlock);
  EXPECT_EQ(std::set<uint32_t>(more.begin(), more.end()).size(), more.size());
  for (const uint32_t i : more) slab.Remove(i);
  slab.Remove(5 * kBlock + 7);
  slab.Remove(5 * kBlock + 9);
  EXPECT_EQ(slab.size(), 0u);
  EXPECT_LE(Counted::live, kBlock);
}

TEST(Slab, ARecordThatComesAndGoesMakesNoBlockEachTime) {
  Slab<Counted> slab;
  const uint32_t first = slab.Add();
  const Counted* const record = &slab[first];
  for (int i = 0; i < 3; ++i) {
    slab.Remove(first);
    EXPECT_EQ(slab.Add(), first);
    EXPECT_EQ(&slab[first], record);
  }
}

TEST(ChainedTable, FindsEverythingWhileItGrowsAndShrinks) {
  std::mt19937 random(7);
  Slab<Counted> slab;
  ChainedTable<Counted> table(&slab);
  absl::flat_hash_map<uint32_t, uint32_t> known;  // record of a value
  const auto hash_of = [](uint32_t value) { return value * 2654435761u; };
  const auto find = [&](uint32_t value) {
    return table.Find(hash_of(value), [value](const Counted& one) { return one.value == value; });
  };
  const auto check = [&] {
    for (const auto& [value, record] : known) ASSERT_EQ(find(value), record);
    ASSERT_EQ(find(UINT32_MAX), kNone);
    ASSERT_LE(table.LongestChain(), 32u);
  };
  for (const size_t aim : {5000u, 300u, 1u, 0u, 3000u, 2u, 600u, 0u}) {
    while (known.size() != aim) {
      const uint32_t value = random() % 100'000;
      const auto there = known.find(value);
      if (known.size() < aim && there == known.end()) {
        const uint32_t record = slab.Add();
        slab[record].value = value;
        table.Insert(record, hash_of(value));
        known[value] = record;
      } else if (known.size() > aim) {
        const auto any = there != known.end() ? there : known.begin();
        table.Erase(any->second);
        slab.Remove(any->second);
        known.erase(any);
      }
    }
    check();
  }
  EXPECT_LE(Counted::live, kBlock);
}

TEST(PeerPool, KeepsItsOrderWhileItShrinks) {
  std::vector<uint32_t> places(5000);
  const auto place_of = [&places](uint32_t i) -> uint32_t& { return places[i]; };
  PeerPool pool;
  for (uint32_t i = 0; i < 5000; ++i) pool.Add(i, /*partial=*/i % 3 == 0, place_of);
  const size_t most = pool.capacity();
  for (uint32_t i = 0; i < 5000; ++i) {
    if (i % 50 != 0) pool.TakeOut(i, i % 3 == 0, place_of);
  }
  EXPECT_EQ(pool.size(), 100u);
  EXPECT_LT(pool.capacity(), most / 10);
  for (uint32_t at = 0; at < 100; ++at) {
    EXPECT_EQ(places[pool[at]], at);
    EXPECT_EQ(pool[at] % 50, 0u);
    EXPECT_EQ(pool[at] % 3 == 0, at >= pool.whole_count());
  }
}

}  // namespace
}  // namespace p2p::tracker

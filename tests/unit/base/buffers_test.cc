#include "core/base/buffers.h"

#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/limits.h"
#include "gtest/gtest.h"

namespace p2p {
namespace {

constexpr size_t kChunk = limits::kChunkBytes;

TEST(ChunkPool, LeasesUpToItsCapAndNoFurther) {
  const auto pool = ChunkPool::Create(2 * kChunk);
  ChunkBuffer a = pool->TryLease(kChunk);
  ASSERT_TRUE(a);
  EXPECT_EQ(pool->leased_bytes(), kChunk);
  ChunkBuffer b = pool->TryLease(kChunk);
  ASSERT_TRUE(b);
  EXPECT_FALSE(pool->TryLease(1));
  a = ChunkBuffer();
  EXPECT_EQ(pool->leased_bytes(), kChunk);
  EXPECT_TRUE(pool->TryLease(kChunk));
}

TEST(ChunkPool, CountsSmallBuffersInPages) {
  const auto pool = ChunkPool::Create(3 * 4'096);
  const ChunkBuffer one = pool->TryLease(1);
  EXPECT_EQ(one.size(), 1u);
  EXPECT_EQ(pool->leased_bytes(), 4'096u);
  const ChunkBuffer two = pool->TryLease(4'097);
  ASSERT_TRUE(two);
  EXPECT_EQ(pool->leased_bytes(), 3 * 4'096u);
  EXPECT_FALSE(pool->TryLease(1));
}

TEST(ChunkPool, ALeaseOfNothingIsEmpty) {
  const auto pool = ChunkPool::Create(kChunk);
  EXPECT_FALSE(pool->TryLease(0));
  EXPECT_FALSE(ChunkBuffer());
  EXPECT_EQ(ChunkBuffer().size(), 0u);
}

TEST(ChunkPool, GivesAWholeBufferThatIsPageAligned) {
  const auto pool = ChunkPool::Create(4 * kChunk);
  for (size_t size : {size_t{1}, size_t{4'095}, kChunk - 1, kChunk}) {
    ChunkBuffer buffer = pool->TryLease(size);
    ASSERT_TRUE(buffer);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 4'096, 0u);
    EXPECT_EQ(buffer.span().size(), size);
    std::memset(buffer.data(), 0x5a, size);
    EXPECT_EQ(buffer.span().back(), 0x5a);
  }
  EXPECT_EQ(pool->leased_bytes(), 0u);
}

TEST(ChunkPool, KeepsChunkBuffersForTheNextLease) {
  const auto pool = ChunkPool::Create(2 * kChunk);
  ChunkBuffer buffer = pool->TryLease(kChunk);
  const uint8_t* const memory = buffer.data();
  buffer = ChunkBuffer();
  buffer = pool->TryLease(kChunk - 1);
  EXPECT_EQ(buffer.data(), memory) << "it rounds up to the same size";
}

TEST(ChunkPool, KeepsSmallBuffersForTheNextLeaseOfTheirSize) {
  const auto pool = ChunkPool::Create(kChunk);
  ChunkBuffer small = pool->TryLease(16'384);
  const uint8_t* const memory = small.data();
  small = ChunkBuffer();
  EXPECT_EQ(pool->held_bytes(), 16'384u);
  EXPECT_NE(pool->TryLease(4'096).data(), memory);
  EXPECT_EQ(pool->TryLease(16'000).data(), memory);
  const ChunkBuffer large = pool->TryLease(kChunk);
  EXPECT_EQ(pool->held_bytes(), kChunk) << "small ones make room for it";
}

TEST(ChunkPool, DropsKeptBuffersThatWouldTakeItOverItsCap) {
  const auto pool = ChunkPool::Create(kChunk);
  pool->TryLease(kChunk);
  EXPECT_EQ(pool->held_bytes(), kChunk) << "kept for the next lease";
  const ChunkBuffer page = pool->TryLease(1);
  EXPECT_EQ(pool->held_bytes(), 4'096u);
}

TEST(ChunkPool, MovingABufferMovesTheLease) {
  const auto pool = ChunkPool::Create(2 * kChunk);
  ChunkBuffer a = pool->TryLease(kChunk);
  ChunkBuffer b = std::move(a);
  EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move): a moved-from buffer is empty
  EXPECT_TRUE(b);
  EXPECT_EQ(pool->leased_bytes(), kChunk);
  b = pool->TryLease(4'096);
  EXPECT_EQ(pool->leased_bytes(), 4'096u) << "what was assigned over is given back";
  ChunkBuffer& same = b;
  b = std::move(same);
  EXPECT_TRUE(b);
}

TEST(ChunkPool, TrimLeavesAnIdlePoolWithoutMemory) {
  const auto pool = ChunkPool::Create(2 * kChunk);
  pool->TryLease(kChunk);
  pool->Trim();
  EXPECT_EQ(pool->held_bytes(), 0u);
}

TEST(ChunkPool, LivesAsLongAsItsBuffers) {
  ChunkBuffer buffer;
  {
    const auto pool = ChunkPool::Create(kChunk);
    buffer = pool->TryLease(kChunk);
  }
  std::memset(buffer.data(), 1, buffer.size());
  EXPECT_EQ(buffer.span().front(), 1);
}

TEST(ChunkPool, WakesOnceWhenAChunkFitsAgain) {
  const auto pool = ChunkPool::Create(kChunk + 4'096);
  int woken = 0;
  ChunkBuffer chunk = pool->TryLease(kChunk);
  ChunkBuffer page = pool->TryLease(4'096);
  pool->WhenFree([&](const ChunkPool::Turn&) { ++woken; });
  EXPECT_EQ(woken, 0);
  page = ChunkBuffer();
  EXPECT_EQ(woken, 0) << "a whole chunk does not fit yet";
  chunk = ChunkBuffer();
  EXPECT_EQ(woken, 1);
  chunk = pool->TryLease(kChunk);
  chunk = ChunkBuffer();
  EXPECT_EQ(woken, 1);
}

TEST(ChunkPool, WakesAtOnceWhenThereIsRoom) {
  const auto pool = ChunkPool::Create(kChunk);
  bool woken = false;
  pool->WhenFree([&](const ChunkPool::Turn&) { woken = true; });
  EXPECT_TRUE(woken);
}

TEST(ChunkPool, AWakenedWaiterMayLeaseAndWaitAgain) {
  const auto pool = ChunkPool::Create(kChunk);
  ChunkBuffer mine;
  int woken = 0;
  ChunkBuffer first = pool->TryLease(kChunk);
  pool->WhenFree([&](const ChunkPool::Turn&) {
    ++woken;
    mine = pool->TryLease(kChunk);
    pool->WhenFree([&](const ChunkPool::Turn&) { ++woken; });
  });
  first = ChunkBuffer();
  EXPECT_TRUE(mine);
  EXPECT_EQ(woken, 1);
  mine = ChunkBuffer();
  EXPECT_EQ(woken, 2);
}

TEST(ChunkPool, E16_OneBufferWakesOneWaiterFirstComeFirst) {
  const auto pool = ChunkPool::Create(2 * kChunk);
  ChunkBuffer first = pool->TryLease(kChunk);
  ChunkBuffer second = pool->TryLease(kChunk);
  std::string woken;
  std::vector<ChunkBuffer> theirs;
  for (const char name : {'a', 'b', 'c', 'd'}) {
    pool->WhenFree([&, name](const ChunkPool::Turn&) {
      woken += name;
      theirs.push_back(pool->TryLease(kChunk));
    });
  }
  first = ChunkBuffer();
  EXPECT_EQ(woken, "a");
  second = ChunkBuffer();
  EXPECT_EQ(woken, "ab");
  std::exchange(theirs, {}).clear();
  EXPECT_EQ(woken, "abcd");
}

TEST(ChunkPool, E16_ATurnThatWasNotUsedGoesToTheNextOne) {
  const auto pool = ChunkPool::Create(kChunk);
  ChunkBuffer buffer = pool->TryLease(kChunk);
  std::string woken;
  ChunkPool::Turn kept;
  pool->WhenFree([&](const ChunkPool::Turn& turn) {
    woken += 'a';
    kept = turn;
  });
  pool->WhenFree([&](const ChunkPool::Turn&) { woken += 'b'; });
  buffer = ChunkBuffer();
  EXPECT_EQ(woken, "a");
  kept.reset();
  EXPECT_EQ(woken, "ab");
}

TEST(ChunkPool, MayBeUsedByManyThreads) {
  static constexpr size_t kCap = 8 * kChunk;
  const auto pool = ChunkPool::Create(kCap);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&pool, t] {
      for (int i = 0; i < 2'000; ++i) {
        ChunkBuffer buffer = pool->TryLease((t + i) % 2 == 0 ? kChunk : 100);
        if (buffer) buffer.data()[0] = static_cast<uint8_t>(i);
        EXPECT_LE(pool->leased_bytes(), kCap);
        if (i % 100 == 0) pool->Trim();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool->leased_bytes(), 0u);
}

}  // namespace
}  // namespace p2p

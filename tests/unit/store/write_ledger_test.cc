// What a disk may lose, and what may be claimed all the same.
#include "daemon/store/write_ledger.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/store/store_test_support.h"

namespace p2p::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing_support::TempDir;

class WriteLedgerTest : public testing::Test {
 protected:
  WriteLedgerTest() {
    ledger_.SetListener([this] { ++told_; });
  }

  // As a chunk that was fetched; whether it is had.
  bool Write(uint32_t chunk) {
    const uint64_t losses = ledger_.losses();
    ledger_.Wrote(ChunkIndex(chunk), handle_);
    return ledger_.IsThere(ChunkIndex(chunk), losses) && ledger_.Keep(ChunkIndex(chunk));
  }
  DurableChunks Sync() {
    (void)ledger_.TakeUnsynced();
    ledger_.EndSync();
    return ledger_.Durable();
  }
  static ChunkSet Chunks(const std::vector<uint32_t>& chunks) {
    ChunkSet set(6);
    for (const uint32_t chunk : chunks) set.Add(ChunkIndex(chunk));
    return set;
  }
  std::vector<uint32_t> Lost() {
    std::vector<uint32_t> lost;
    for (const ChunkIndex chunk : ledger_.TakeLost()) lost.push_back(chunk.value());
    return lost;
  }

  TempDir dir_ = TempDir::InMemory();
  std::shared_ptr<File> handle_ =
      SystemFiles()->OpenRoot(dir_.path()).value()->CreateNew("file").value();
  // Chunks 0 to 2 and 3 to 5.
  const LayoutPtr layout_ = Tree("tree", {{"a", 3 * kChunk}, {"b", 3 * kChunk}});
  WriteLedger ledger_{layout_, DurableChunks::None(6), {}};
  int told_ = 0;
};

TEST_F(WriteLedgerTest, R01_OnlyWhatASyncCoversIsClaimed) {
  EXPECT_TRUE(Write(0) && Write(4));
  EXPECT_TRUE(ledger_.kept() == Chunks({0, 4}));
  EXPECT_TRUE(ledger_.Durable().chunks().None());
  EXPECT_TRUE(Sync().chunks() == Chunks({0, 4}));
  EXPECT_TRUE(Write(1));
  EXPECT_TRUE(ledger_.Durable().chunks() == Chunks({0, 4}));
}

TEST_F(WriteLedgerTest, R01_WhatASyncCoveredBeforeItWasKeptIsClaimed) {
  ledger_.Wrote(ChunkIndex(0), handle_);
  EXPECT_TRUE(Sync().chunks().None()) << "it may be a part";
  EXPECT_TRUE(ledger_.Keep(ChunkIndex(0)));
  EXPECT_TRUE(Sync().chunks() == Chunks({0}));
  // Between the beginning of a sync and its end.
  ledger_.Wrote(ChunkIndex(1), handle_);
  (void)ledger_.TakeUnsynced();
  EXPECT_TRUE(ledger_.Keep(ChunkIndex(1)));
  EXPECT_TRUE(ledger_.Durable().chunks() == Chunks({0}));
  ledger_.EndSync();
  EXPECT_TRUE(ledger_.Durable().chunks() == Chunks({0, 1}));
}

TEST_F(WriteLedgerTest, E07_TheBytesOfWhatIsClaimedAreCountedAgainAfterEachChange) {
  EXPECT_TRUE(Write(0) && Write(1) && Write(4));
  DurableChunks durable = Sync();
  EXPECT_EQ(durable.Bytes(*layout_), 3 * kChunk);
  EXPECT_EQ(durable.Bytes(*layout_), 3 * kChunk);
  durable.Remove(Chunks({1}));
  EXPECT_EQ(durable.Bytes(*layout_), 2 * kChunk);
  durable.Fit(3);
  EXPECT_EQ(durable.Bytes(*layout_), kChunk);
}

TEST_F(WriteLedgerTest, R01_WhatIsWrittenWhileASyncRunsWaitsForTheNext) {
  EXPECT_TRUE(Write(0));
  ledger_.Wrote(ChunkIndex(1), handle_);  // a part of it
  (void)ledger_.TakeUnsynced();
  EXPECT_TRUE(Write(1) && Write(2));
  ledger_.EndSync();
  EXPECT_TRUE(ledger_.Durable().chunks() == Chunks({0}));
  EXPECT_TRUE(Sync().chunks() == Chunks({0, 1, 2}));
}

TEST_F(WriteLedgerTest, V05_AFailedSyncLosesWhatItsFileWasGivenSinceTheLastGoodOne) {
  EXPECT_TRUE(Write(0));
  (void)Sync();
  EXPECT_TRUE(Write(1) && Write(4));
  ledger_.Wrote(ChunkIndex(5), handle_);
  (void)ledger_.TakeUnsynced();
  EXPECT_TRUE(Write(2));  // while it runs
  ledger_.Lost(FileIndex(0));
  EXPECT_EQ(told_, 1);
  ledger_.EndSync();
  EXPECT_TRUE(ledger_.kept() == Chunks({0, 4}));
  EXPECT_TRUE(ledger_.Durable().chunks() == Chunks({0, 4}));
  // A later sync that goes well changes nothing of that.
  EXPECT_TRUE(Sync().chunks() == Chunks({0, 4}));
  EXPECT_THAT(Lost(), ElementsAre(1, 2));
  EXPECT_THAT(Lost(), IsEmpty());
  EXPECT_TRUE(Write(1));
  EXPECT_TRUE(Sync().chunks() == Chunks({0, 1, 4}));
}

TEST_F(WriteLedgerTest, V05_WhatIsBeingWrittenWhenSomethingIsLostIsNotHad) {
  const uint64_t before = ledger_.losses();
  ledger_.Lost(FileIndex(0));
  ledger_.Wrote(ChunkIndex(0), handle_);
  EXPECT_FALSE(ledger_.IsThere(ChunkIndex(0), before));
  EXPECT_TRUE(Write(0));
}

TEST_F(WriteLedgerTest, V05_AChunkThatLostAPartIsNotHadBeforeItIsToldSo) {
  ledger_.Wrote(ChunkIndex(3), handle_);
  ledger_.Lost(FileIndex(1));
  // Its other part comes before anybody asked what was lost.
  EXPECT_FALSE(Write(3));
  EXPECT_TRUE(Sync().chunks().None());
  EXPECT_THAT(Lost(), ElementsAre(3));
  EXPECT_TRUE(Write(3));
  EXPECT_TRUE(Sync().chunks() == Chunks({3}));
}

TEST_F(WriteLedgerTest, V05_AChunkThatCannotBeReadIsLostAlsoWhenItWasClaimed) {
  EXPECT_TRUE(Write(0) && Write(1));
  (void)Sync();
  ledger_.LostChunk(ChunkIndex(1));
  EXPECT_TRUE(Sync().chunks() == Chunks({0}));
  EXPECT_THAT(Lost(), ElementsAre(1));
}

TEST_F(WriteLedgerTest, V05_TheFirstHandleThatWroteIsHeldUntilTheSync) {
  const std::shared_ptr<File> second =
      SystemFiles()->OpenRoot(dir_.path()).value()->OpenReadWrite("file").value();
  ledger_.MarkFound(FileIndex(0));
  ledger_.Wrote(ChunkIndex(0), handle_);
  ledger_.Wrote(ChunkIndex(1), second);
  const auto unsynced = ledger_.TakeUnsynced();
  ASSERT_EQ(unsynced.files.size(), 1u);
  EXPECT_EQ(unsynced.files.at(0).get(), handle_.get());
  EXPECT_TRUE(unsynced.not_held.empty());
}

TEST_F(WriteLedgerTest, TooManyHandlesAreNotHeldButNamed) {
  std::vector<TestFile> files;
  for (int i = 0; i < 100; ++i) files.push_back({"f" + std::to_string(i), 10});
  WriteLedger ledger(Tree("many", files), DurableChunks::None(100), {});
  for (uint32_t i = 0; i < 100; ++i) ledger.Wrote(ChunkIndex(i), handle_);
  const auto unsynced = ledger.TakeUnsynced();
  EXPECT_EQ(unsynced.files.size(), 100u);
  EXPECT_EQ(unsynced.not_held.size(), 36u);
}

TEST_F(WriteLedgerTest, V13_AFileIsClaimedAsItIsOnceEachTimeThatItChanged) {
  const FileIdentity now = {1, 2, 3, 4, 5};
  ledger_.SyncedAs(FileIndex(1), now);
  const DurableChunks first = ledger_.Durable();
  ASSERT_EQ(first.files().size(), 1u);
  EXPECT_EQ(first.files()[0].first, FileIndex(1));
  EXPECT_TRUE(first.files()[0].second == now);
  ledger_.SyncedAs(FileIndex(1), now);
  EXPECT_TRUE(ledger_.Durable().files().empty());
}

}  // namespace
}  // namespace p2p::store

// Power fails at every change that a download makes, and the disk is left in every kind of state
// that it may be in: what was claimed is there, what is there is found, and the download ends
// whole.
#include "daemon/store/file_chunk_manager.h"
#include "gtest/gtest.h"
#include "tests/support/crashing_file_system.h"
#include "tests/unit/store/store_test_support.h"

namespace p2p::store {
namespace {

using testing_support::CrashingFileSystem;

constexpr char kTarget[] = "/target";
// Different states of the disk after each crash; the first two are nothing and all of what was not
// synced.
constexpr uint32_t kSeeds = 8;

// Stands for the catalog, which commits in one step: chunks that a Sync() covers, and that it is
// finished.
struct Committed {
  ChunkSet have;
  bool finished = false;
};

// Writes what is not there, commits after every other chunk, finishes. Ends early when the power
// fails.
void Download(FileChunkManager* store, Committed* committed) {
  ChunkSet written = committed->have;
  for (uint32_t i = 0; i < written.size(); ++i) {
    if (written.Has(ChunkIndex(i))) continue;
    if (!WriteTestChunk(store, ChunkIndex(i)).ok()) return;
    written.Add(ChunkIndex(i));
    if (i % 2 == 0) continue;
    const auto durable = store->Sync();
    if (!durable.ok()) return;
    EXPECT_EQ(durable->chunks(), written);
    committed->have = written;
  }
  if (store->Finish().ok()) {
    committed->have = written;
    committed->finished = true;
  }
}

ChunkSet RightChunks(FileChunkManager* store) {
  ChunkSet right(store->layout().chunk_count());
  for (uint32_t i = 0; i < right.size(); ++i) {
    if (HoldsTestChunk(store, ChunkIndex(i))) right.Add(ChunkIndex(i));
  }
  return right;
}

void ExpectHolds(FileChunkManager* store, const ChunkSet& claimed) {
  const ChunkSet right = RightChunks(store);
  for (uint32_t i = claimed.NextMember(0); i < claimed.size(); i = claimed.NextMember(i + 1)) {
    EXPECT_TRUE(right.Has(ChunkIndex(i))) << "chunk " << i << " was committed and is not there";
  }
}

// What a start after the crash does. The download it goes on with, or nullptr when it is whole.
std::shared_ptr<FileChunkManager> Recover(FileSystem* disk, const LayoutPtr& layout,
                                          Committed* committed) {
  ChunkSet have = committed->have;
  auto part = ReopenPart(disk, kTarget, layout, &have);
  if (part.ok()) {
    EXPECT_FALSE(committed->finished) << "a finished download lost its name";
    EXPECT_EQ(have, committed->have) << "committed chunks were given up";
    ExpectHolds(part->get(), have);
    // As after an unclean stop: what is there and proves right is claimed, once it is synced.
    const ChunkSet right = RightChunks(part->get());
    (*part)->ledger()->KeepFound(right);
    if ((*part)->Sync().ok()) committed->have = right;
    return *part;
  }
  EXPECT_TRUE(absl::IsNotFound(part.status())) << part.status();
  const auto whole = FileChunkManager::AdoptFinished(disk, kTarget, layout);
  if (whole.ok()) {
    committed->have = RightChunks(whole->get());
    EXPECT_TRUE(committed->have.All()) << "it got its name before it was whole";
    committed->finished = true;
    return nullptr;
  }
  EXPECT_TRUE(absl::IsNotFound(whole.status())) << whole.status();
  EXPECT_TRUE(committed->have.None() && !committed->finished) << "everything is gone";
  auto anew = FileChunkManager::CreatePart(disk, kTarget, layout, ByteCount(0));
  EXPECT_TRUE(anew.ok()) << anew.status();
  return anew.ok() ? *anew : nullptr;
}

// One crash at the `nth` change. False when there were fewer.
bool CrashAndRecover(const LayoutPtr& layout, int nth, uint32_t seed) {
  CrashingFileSystem disk;
  Committed committed;
  committed.have = ChunkSet(layout->chunk_count());
  disk.DieAt(nth);
  {
    const auto begun = FileChunkManager::CreatePart(&disk, kTarget, layout, ByteCount(0));
    if (begun.ok()) Download(begun->get(), &committed);
  }
  const auto after = disk.AfterCrash(seed);
  {
    const auto store = Recover(after.get(), layout, &committed);
    if (store) Download(store.get(), &committed);
  }
  const auto whole = FileChunkManager::AdoptFinished(after.get(), kTarget, layout);
  EXPECT_TRUE(whole.ok()) << whole.status();
  EXPECT_TRUE(whole.ok() && RightChunks(whole->get()).All());
  return disk.dead();
}

class CrashTest : public testing::TestWithParam<uint32_t> {
 protected:
  void CrashEverywhere(const LayoutPtr& layout, int least_changes) {
    int nth = 1;
    while (CrashAndRecover(layout, nth, GetParam())) {
      if (HasFailure()) FAIL() << "crash at change " << nth;
      ++nth;
    }
    EXPECT_GE(nth, least_changes) << "crashes";
  }
};

TEST_P(CrashTest, S09_R01_R02_AFile) {
  CrashEverywhere(SingleFile("file", 3 * kChunk + 7, true), 10);
}

TEST_P(CrashTest, S09_R01_R02_ADirectory) {
  CrashEverywhere(
      Tree("tree", {{"a/b/large", kChunk + 1}, {"a/small", 10}, {"e/empty", 0}, {"x", 5, true}}),
      25);
}

// The process is killed, which loses nothing that was written; the next one syncs what the first
// left.
class KillTest : public testing::TestWithParam<uint32_t> {};

TEST_P(KillTest, R08_S09_KilledFirstAndThenThePowerFails) {
  const LayoutPtr layout = Tree("tree", {{"a/b/large", kChunk + 1}, {"a/small", 10}, {"x", 5}});
  for (int nth = 1; nth < 20; ++nth) {
    for (int later = 1; later < 20; later += 2) {
      CrashingFileSystem disk;
      Committed committed;
      committed.have = ChunkSet(layout->chunk_count());
      disk.DieAt(nth);
      {
        const auto begun = FileChunkManager::CreatePart(&disk, kTarget, layout, ByteCount(0));
        if (begun.ok()) Download(begun->get(), &committed);
      }
      disk.Restart();
      const auto second = Recover(&disk, layout, &committed);
      disk.DieAt(later);
      if (second) Download(second.get(), &committed);
      const auto after = disk.AfterCrash(GetParam());
      (void)Recover(after.get(), layout, &committed);
      if (HasFailure())
        FAIL() << "killed at change " << nth << ", power failed " << later << " changes later";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(States, CrashTest, testing::Range(0u, kSeeds));
INSTANTIATE_TEST_SUITE_P(States, KillTest, testing::Range(0u, 3u));

TEST(Crash, R01_ManyFilesSyncedByOneCallAreThere) {
  std::vector<TestFile> files;
  for (int i = 0; i < 70; ++i)
    files.push_back({"d" + std::to_string(i % 7) + "/f" + std::to_string(i), 100});
  const LayoutPtr layout = Tree("many", files);
  CrashingFileSystem disk;
  const auto begun = FileChunkManager::CreatePart(&disk, kTarget, layout, ByteCount(0));
  ASSERT_TRUE(begun.ok());
  ASSERT_TRUE(WriteAllChunks(begun->get()).ok());
  ASSERT_TRUE((*begun)->Sync().ok());
  const auto after = disk.AfterCrash(0);
  ChunkSet have = AllChunks(*layout);
  const auto again = ReopenPart(after.get(), kTarget, layout, &have);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(have.All());
  EXPECT_TRUE(RightChunks(again->get()).All());
}

// The model itself: without a sync there is nothing.
TEST(Crash, WhatIsNotSyncedCanBeLost) {
  CrashingFileSystem disk;
  const LayoutPtr layout = SingleFile("file", kChunk);
  const auto begun = FileChunkManager::CreatePart(&disk, kTarget, layout, ByteCount(0));
  ASSERT_TRUE(WriteAllChunks(begun->get()).ok());
  ChunkSet have;
  const auto nothing = disk.AfterCrash(0);
  EXPECT_TRUE(absl::IsNotFound(ReopenPart(nothing.get(), kTarget, layout, &have).status()));
  const auto everything = disk.AfterCrash(1);
  EXPECT_TRUE(ReopenPart(everything.get(), kTarget, layout, &have).ok());
}

}  // namespace
}  // namespace p2p::store

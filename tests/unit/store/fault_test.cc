// A whole download with every file call failing in turn: nothing crashes, every failure is told,
// nothing that was acknowledged is lost, and it goes on once the fault is over.
#include <cerrno>
#include <filesystem>

#include "daemon/store/file_chunk_manager.h"
#include "gtest/gtest.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/store/store_test_support.h"

namespace p2p::store {
namespace {

using testing_support::FaultyFileSystem;
using testing_support::FileOp;
using testing_support::IsThere;
using testing_support::TempDir;

// Writes what is not durable yet, syncs, finishes. `durable` follows what a catalog would hold.
absl::Status Download(FileChunkManager* store, ChunkSet* durable) {
  ChunkSet written = *durable;
  for (uint32_t i = 0; i < durable->size() && store->is_part(); ++i) {
    if (durable->Has(ChunkIndex(i))) continue;
    const absl::Status status = WriteTestChunk(store, ChunkIndex(i));
    if (!status.ok()) return status;
    written.Add(ChunkIndex(i));
    if (i % 2 == 0) continue;
    const absl::Status synced = store->Sync().status();
    if (!synced.ok()) return synced;
    *durable = written;
  }
  const absl::Status synced = store->Sync().status();
  if (!synced.ok()) return synced;
  *durable = written;
  return store->Finish();
}

class FaultTest : public testing::TestWithParam<int> {
 protected:
  // One life: begins or goes on, with the `nth` call failing.
  absl::Status Live(FaultyFileSystem* disk, const std::string& target, const LayoutPtr& layout,
                    ChunkSet* durable) {
    auto store = ReopenPart(disk, target, layout, durable);
    if (absl::IsNotFound(store.status())) {
      store = FileChunkManager::AdoptFinished(disk, target, layout);
      if (store.ok()) return absl::OkStatus();
      if (absl::IsNotFound(store.status())) {
        EXPECT_TRUE(durable->None()) << "what was durable is gone";
        store = FileChunkManager::CreatePart(disk, target, layout, ByteCount(0));
      }
    }
    if (!store.ok()) return store.status();
    return Download(store->get(), durable);
  }
};

TEST_P(FaultTest, S05_S08_EveryCallFailingInTurnIsToldAndPasses) {
  const LayoutPtr layouts[] = {
      SingleFile("file", 2 * kChunk + 7, true),
      Tree("tree", {{"a/b/large", kChunk + 1}, {"a/small", 10}, {"e/empty", 0}, {"x", 5, true}})};
  for (const LayoutPtr& layout : layouts) {
    int nth = 1;
    for (;; ++nth) {
      SCOPED_TRACE(nth);
      TempDir dir = TempDir::InMemory();
      const std::string target = dir / "target";
      ChunkSet durable(layout->chunk_count());
      FaultyFileSystem disk(SystemFiles());
      disk.FailNth(nth, GetParam());
      const absl::Status first = Live(&disk, target, layout, &durable);
      const bool failed = disk.failed();
      disk.Heal();
      if (!failed) {
        EXPECT_TRUE(first.ok()) << first;
        break;
      }
      // A fault that was survived without being told may only be one that loses nothing.
      const absl::Status second = first.ok() ? first : Live(&disk, target, layout, &durable);
      ASSERT_TRUE(second.ok()) << second << " after " << first;
      EXPECT_FALSE(IsThere(target + ".part"));
      const auto whole = FileChunkManager::AdoptFinished(SystemFiles(), target, layout);
      ASSERT_TRUE(whole.ok()) << whole.status();
      for (uint32_t i = 0; i < layout->chunk_count(); ++i) {
        EXPECT_TRUE(HoldsTestChunk(whole->get(), ChunkIndex(i))) << i;
      }
    }
    EXPECT_GT(nth, 15) << "calls that failed in turn";
  }
}

INSTANTIATE_TEST_SUITE_P(Errors, FaultTest,
                         testing::Values(EIO, ENOSPC, EACCES, EROFS, ESTALE, EMFILE, ELOOP));

TEST(Fault, S22_APartThatFlipsToALinkNeverLetsAWriteOut) {
  TempDir dir = TempDir::InMemory();
  const std::string target = dir / "target";
  std::filesystem::create_directory(dir / "outside");
  std::filesystem::create_symlink("outside", dir / "link");
  const LayoutPtr layout = Tree("tree", {{"a/one", 10}, {"two", 10}});
  for (int flips = 0; flips < 50; ++flips) {
    auto store = FileChunkManager::CreatePart(SystemFiles(), target, layout, ByteCount(0));
    ASSERT_TRUE(store.ok()) << store.status();
    std::filesystem::rename(target + ".part", dir / "aside");
    std::filesystem::rename(dir / "link", target + ".part");
    EXPECT_FALSE(WriteTestChunk(store->get(), ChunkIndex(0)).ok());
    EXPECT_FALSE(WriteTestChunk(store->get(), ChunkIndex(1)).ok());
    EXPECT_FALSE((*store)->RemoveFiles().ok());
    std::filesystem::rename(target + ".part", dir / "link");
    std::filesystem::rename(dir / "aside", target + ".part");
    EXPECT_TRUE((*store)->RemoveFiles().ok());
  }
  EXPECT_TRUE(std::filesystem::is_empty(dir / "outside"));
}

}  // namespace
}  // namespace p2p::store

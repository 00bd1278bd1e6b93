// How a download gets its final name, and what is found when it got it just before a crash.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "daemon/store/file_chunk_manager.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/store/store_test_support.h"

namespace p2p::store {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing_support::FaultyFileSystem;
using testing_support::FileOp;
using testing_support::IsThere;
using testing_support::ReadFile;
using testing_support::TempDir;
using testing_support::WriteFile;

class FinishTest : public testing::Test {
 protected:
  std::shared_ptr<FileChunkManager> Written(const LayoutPtr& layout,
                                            FileSystem* files = SystemFiles()) {
    auto made = CreatePart(target_, layout, files);
    EXPECT_TRUE(WriteAllChunks(made.get()).ok());
    return made;
  }
  absl::StatusOr<std::shared_ptr<FileChunkManager>> Adopt(const LayoutPtr& layout) {
    return FileChunkManager::AdoptFinished(SystemFiles(), target_, layout);
  }

  TempDir dir_;
  const std::string target_ = dir_ / "target";
  const LayoutPtr file_ = SingleFile("file", kChunk + 7, /*executable=*/true);
  const LayoutPtr tree_ = Tree(
      "tree", {{"a/b/large", 2 * kChunk + 1}, {"a/small", 10}, {"e/empty", 0}, {"run", 5, true}});
};

TEST_F(FinishTest, AFinishedFileHasItsNameAndIsServedAsWholeContent) {
  const auto store = Written(file_);
  ASSERT_TRUE(store->Finish().ok());
  EXPECT_FALSE(store->is_part());
  EXPECT_FALSE(IsThere(target_ + ".part"));
  EXPECT_EQ(std::filesystem::file_size(target_), kChunk + 7);
  EXPECT_THAT(store->ChangedFiles(), IsEmpty());
  EXPECT_TRUE(store->PrepareToSend(ChunkIndex(1)).ok());
  EXPECT_TRUE(HoldsTestChunk(store.get(), ChunkIndex(0)));
  struct stat status;
  ASSERT_EQ(::stat(target_.c_str(), &status), 0);
  EXPECT_NE(status.st_mode & S_IXUSR, 0u);
  EXPECT_TRUE(absl::IsFailedPrecondition(WriteTestChunk(store.get(), ChunkIndex(0))));
}

TEST_F(FinishTest, AFinishedDirectoryHasItsEmptyFilesAndExecutableBits) {
  const auto store = Written(tree_);
  ASSERT_TRUE(store->Finish().ok());
  EXPECT_TRUE(IsThere(target_ + "/e/empty"));
  struct stat status;
  ASSERT_EQ(::stat((target_ + "/run").c_str(), &status), 0);
  EXPECT_NE(status.st_mode & S_IXUSR, 0u);
  ASSERT_EQ(::stat((target_ + "/a/small").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & S_IXUSR, 0u);
  EXPECT_THAT(store->ChangedFiles(), IsEmpty());
  for (uint32_t i = 0; i < tree_->chunk_count(); ++i)
    EXPECT_TRUE(store->PrepareToSend(ChunkIndex(i)).ok());
  EXPECT_TRUE(store->RemoveFiles().ok());
  EXPECT_FALSE(IsThere(target_));
}

TEST_F(FinishTest, SharesWithoutAChunkAreFinished) {
  const auto empty_file = Written(SingleFile("empty", 0));
  ASSERT_TRUE(empty_file->Finish().ok());
  EXPECT_EQ(std::filesystem::file_size(target_), 0u);
  ASSERT_TRUE(empty_file->RemoveFiles().ok());
  const auto empty_files = Written(Tree("tree", {{"a/x", 0}, {"y", 0}}));
  ASSERT_TRUE(empty_files->Finish().ok());
  EXPECT_TRUE(IsThere(target_ + "/a/x") && IsThere(target_ + "/y"));
}

TEST_F(FinishTest, ASliceTakenBeforeTheRenameIsStillGood) {
  const auto store = Written(file_);
  const FileSlice slice = *store->PrepareToSend(ChunkIndex(1));
  ASSERT_TRUE(store->Finish().ok());
  EXPECT_EQ(ReadSlice(slice).size(), 7u);
}

TEST_F(FinishTest, S18_AFileThatCameMeanwhileIsNotReplaced) {
  const auto store = Written(file_);
  WriteFile(target_, "somebody's work");
  const absl::Status status = store->Finish();
  EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("stays in target.part"));
  EXPECT_EQ(ReadFile(target_), "somebody's work");
  EXPECT_TRUE(store->is_part());
  std::filesystem::remove(target_);
  EXPECT_TRUE(store->Finish().ok()) << "after it was moved away";
}

TEST_F(FinishTest, S19_NamesThatDifferByCaseAreBothWrittenOrAnErrorIsTold) {
  const auto store = Written(Tree("tree", {{"Name", 3}, {"name", 4}}));
  if (std::distance(std::filesystem::directory_iterator(target_ + ".part"), {}) == 1) {
    EXPECT_TRUE(absl::IsAborted(store->Finish()));
    return;
  }
  ASSERT_TRUE(store->Finish().ok());
  EXPECT_EQ(std::filesystem::file_size(target_ + "/Name"), 3u);
  EXPECT_EQ(std::filesystem::file_size(target_ + "/name"), 4u);
}

TEST_F(FinishTest, R02_TheDataIsSyncedThenRenamedThenTheDirectorySynced) {
  FaultyFileSystem disk(SystemFiles());
  const auto store = Written(file_, &disk);
  // The data cannot be synced: no rename.
  disk.FailEvery(FileOp::kSync, EIO);
  EXPECT_TRUE(absl::IsDataLoss(store->Finish()));
  EXPECT_EQ(disk.calls(FileOp::kRename), 0);
  EXPECT_FALSE(IsThere(target_));
  disk.Heal();
  (void)store->ledger()->TakeLost();
  ASSERT_TRUE(WriteAllChunks(store.get()).ok());
  // The directory cannot be synced after the rename: told, and done again by the next call.
  ASSERT_TRUE(store->Sync().ok());
  const int syncs_before = disk.calls(FileOp::kSync);
  disk.FailNth(FileOp::kSync, 2, EIO);
  EXPECT_TRUE(absl::IsDataLoss(store->Finish()));
  EXPECT_EQ(disk.calls(FileOp::kRename), 1);
  EXPECT_TRUE(IsThere(target_));
  EXPECT_TRUE(store->Finish().ok());
  EXPECT_GT(disk.calls(FileOp::kSync), syncs_before + 2);
  EXPECT_EQ(disk.calls(FileOp::kRename), 1);
  EXPECT_THAT(store->ChangedFiles(), IsEmpty());
}

TEST_F(FinishTest, R10_AFileThatVanishedMeanwhileIsNotMadeUp) {
  const auto store = Written(tree_);
  std::filesystem::remove(target_ + ".part/a/small");
  EXPECT_FALSE(store->Finish().ok());
  EXPECT_FALSE(IsThere(target_));
  EXPECT_FALSE(IsThere(target_ + ".part/a/small"));
}

TEST_F(FinishTest, AFileThatWasShortenedMeanwhileIsNotFinished) {
  const auto store = Written(tree_);
  ASSERT_EQ(::truncate((target_ + ".part/a/small").c_str(), 3), 0);
  EXPECT_TRUE(absl::IsAborted(store->Finish()));
  EXPECT_FALSE(IsThere(target_));
}

TEST_F(FinishTest, S09_ADownloadRenamedBeforeACrashIsAdopted) {
  for (const LayoutPtr& layout : {file_, tree_}) {
    ASSERT_TRUE(Written(layout)->Finish().ok());
    ChunkSet intact;
    EXPECT_TRUE(absl::IsNotFound(ReopenPart(SystemFiles(), target_, layout, &intact).status()));
    const auto adopted = Adopt(layout);
    ASSERT_TRUE(adopted.ok()) << adopted.status();
    EXPECT_FALSE((*adopted)->is_part());
    EXPECT_THAT((*adopted)->ChangedFiles(), IsEmpty());
    for (uint32_t i = 0; i < layout->chunk_count(); ++i) {
      EXPECT_TRUE(HoldsTestChunk(adopted->get(), ChunkIndex(i)));
      EXPECT_TRUE((*adopted)->PrepareToSend(ChunkIndex(i)).ok());
    }
    ASSERT_TRUE((*adopted)->RemoveFiles().ok());
  }
}

TEST_F(FinishTest, S09_OnlyWhatCanBeTheDownloadIsAdopted) {
  EXPECT_TRUE(absl::IsNotFound(Adopt(file_).status())) << "nothing there";
  WriteFile(target_, "other size");
  EXPECT_TRUE(absl::IsNotFound(Adopt(file_).status()));
  std::filesystem::remove(target_);
  ASSERT_TRUE(Written(tree_)->Finish().ok());
  std::filesystem::remove(target_ + "/e/empty");
  EXPECT_TRUE(absl::IsNotFound(Adopt(tree_).status())) << "a file is missing";
  WriteFile(target_ + "/e/empty", "");
  EXPECT_TRUE(Adopt(tree_).ok());
  WriteFile(target_ + ".part", "x");
  EXPECT_TRUE(absl::IsNotFound(Adopt(tree_).status())) << "an unfinished one is there as well";
}

}  // namespace
}  // namespace p2p::store

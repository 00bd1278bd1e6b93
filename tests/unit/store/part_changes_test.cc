// What somebody else does to a .part while it is written to, and what of it is removed.
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "daemon/store/file_chunk_manager.h"
#include "daemon/store/part_watch.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/store/store_test_support.h"

namespace p2p::store {
namespace {

using testing::HasSubstr;
using testing_support::FaultyFileSystem;
using testing_support::FileOp;
using testing_support::IsThere;
using testing_support::ReadFile;
using testing_support::TempDir;
using testing_support::WriteFile;

class PartChangesTest : public testing::Test {
 protected:
  std::shared_ptr<FileChunkManager> Create(const LayoutPtr& layout,
                                           FileSystem* files = SystemFiles()) {
    return CreatePart(target_, layout, files);
  }
  // With the bytes and the times of the one that was there.
  void Replace(const std::string& path) {
    const auto time = std::filesystem::last_write_time(path);
    std::filesystem::copy_file(path, path + ".new");
    std::filesystem::last_write_time(path + ".new", time);
    std::filesystem::rename(path + ".new", path);
  }
  // With the size and the modification time that it had, as long after its last change as the
  // system's clock needs to tell.
  void Change(const std::string& path) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const auto time = std::filesystem::last_write_time(path);
    std::string bytes = ReadFile(path);
    bytes[0] = static_cast<char>(bytes[0] + 1);
    {
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      file.write(bytes.data(), 1);
    }
    std::filesystem::last_write_time(path, time);
  }
  // Chunk 0 is written and committed, `change` comes, the rest is written, and its end.
  absl::Status FinishAfter(const LayoutPtr& layout, const std::function<void()>& change) {
    part_ = Create(layout);
    EXPECT_TRUE(WriteTestChunk(part_.get(), ChunkIndex(0)).ok());
    const auto first = part_->Sync();
    EXPECT_TRUE(first.ok() && first->files().size() == 1) << first.status();
    claim_ = PartClaim();
    claim_.files.resize(layout->files().size());
    claim_.files[0] = first->files()[0].second;
    change();
    EXPECT_TRUE(WriteAllChunks(part_.get()).ok());
    const auto last = part_->Sync();
    EXPECT_TRUE(last.ok()) << last.status();
    claim_.have = *last;
    for (const auto& [file, identity] : last->files()) claim_.files[file.value()] = identity;
    return part_->Finish();
  }
  ChunkSet DoubtfulAtReopen(const LayoutPtr& layout) {
    const auto again = FileChunkManager::ReopenPart(SystemFiles(), target_, layout, &claim_);
    EXPECT_TRUE(again.ok()) << again.status();
    return claim_.doubtful;
  }

  TempDir dir_;
  const std::string target_ = dir_ / "target";
  const std::string part_path_ = target_ + ".part";
  const LayoutPtr file_ = SingleFile("file", 3 * kChunk + 7);
  const LayoutPtr tree_ = Tree("tree", {{"a", 10}, {"b", 10}, {"deep/c", 10}, {"run", 5, true}});
  std::shared_ptr<FileChunkManager> part_;
  PartClaim claim_;
};

TEST_F(PartChangesTest, V13_OneThatNobodyTouchedIsFinished) {
  EXPECT_TRUE(FinishAfter(file_, [] {}).ok());
  std::filesystem::remove(target_);
  EXPECT_TRUE(FinishAfter(tree_, [] {}).ok());
}

TEST_F(PartChangesTest, V13_OneThatWasReplacedBetweenTwoWritesIsNotFinished) {
  const absl::Status finished = FinishAfter(file_, [&] { Replace(part_path_); });
  EXPECT_TRUE(absl::IsAborted(finished)) << finished;
  EXPECT_THAT(std::string(finished.message()), HasSubstr("changed by someone else"));
  EXPECT_FALSE(IsThere(target_));
  EXPECT_TRUE(DoubtfulAtReopen(file_).All()) << "claimed as what it is now";
}

TEST_F(PartChangesTest, V13_OneThatWasChangedBetweenTwoWritesIsNotFinished) {
  const absl::Status finished = FinishAfter(file_, [&] { Change(part_path_); });
  EXPECT_TRUE(absl::IsAborted(finished)) << finished;
  EXPECT_FALSE(IsThere(target_));
  EXPECT_TRUE(DoubtfulAtReopen(file_).All()) << "claimed as what it is now";
}

TEST_F(PartChangesTest, V13_AFileOfATreeThatWasChangedOnceItWasWholeIsNotFinished) {
  for (const bool replaced : {false, true}) {
    part_ = Create(tree_);
    ASSERT_TRUE(WriteAllChunks(part_.get()).ok());
    ASSERT_TRUE(part_->Sync().ok());
    replaced ? Replace(part_path_ + "/b") : Change(part_path_ + "/b");
    const absl::Status finished = part_->Finish();
    EXPECT_TRUE(absl::IsAborted(finished)) << finished;
    EXPECT_THAT(std::string(finished.message()), HasSubstr("target.part/b is not as it was"));
    EXPECT_FALSE(IsThere(target_));
    std::filesystem::remove_all(part_path_);
  }
}

TEST_F(PartChangesTest, V13_ManySmallFilesOfWhichOneWasReplacedWhileItWasNotHeld) {
  std::vector<TestFile> files;
  for (int i = 0; i < 100; ++i) files.push_back({"f" + std::to_string(i), 10});
  const LayoutPtr many = Tree("many", files);
  for (const bool replaced : {false, true}) {
    part_ = Create(many);
    ASSERT_TRUE(WriteAllChunks(part_.get()).ok());
    if (replaced) Replace(part_path_ + "/f99");
    ASSERT_TRUE(part_->Sync().ok());
    EXPECT_EQ(absl::IsAborted(part_->Finish()), replaced);
    std::filesystem::remove_all(target_);
  }
}

TEST_F(PartChangesTest, V13_WhatComesAfterAReplacementIsWrittenToTheOneThatIsThere) {
  part_ = Create(file_);
  ASSERT_TRUE(WriteTestChunk(part_.get(), ChunkIndex(0)).ok());
  Replace(part_path_);
  ASSERT_TRUE(part_->Sync().ok());
  ASSERT_TRUE(WriteTestChunk(part_.get(), ChunkIndex(1)).ok());
  EXPECT_TRUE(HoldsTestChunk(part_.get(), ChunkIndex(1)));
  const std::vector<uint8_t> wanted = ChunkBytes(*file_, ChunkIndex(1));
  EXPECT_EQ(ReadFile(part_path_).substr(kChunk, kChunk), std::string(wanted.begin(), wanted.end()));
}

TEST_F(PartChangesTest, V13_ManyWritersAtOnceDoNotTakeEachOtherForSomebodyElse) {
  const LayoutPtr layout = SingleFile("file", 24 * kChunk);
  part_ = Create(layout);
  std::vector<std::thread> threads;
  for (uint32_t first = 0; first < 4; ++first) {
    threads.emplace_back([&, first] {
      for (uint32_t i = first; i < layout->chunk_count(); i += 4) {
        EXPECT_TRUE(WriteTestChunk(part_.get(), ChunkIndex(i)).ok());
        if (i % 3 != 0) continue;
        EXPECT_TRUE(part_->Sync().ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(part_->Finish().ok());
}

TEST_F(PartChangesTest, V13_AFullDiskIsNoChange) {
  FaultyFileSystem disk(SystemFiles());
  part_ = Create(file_, &disk);
  disk.FailNth(FileOp::kAllocate, 1, ENOSPC);
  EXPECT_FALSE(WriteTestChunk(part_.get(), ChunkIndex(0)).ok());
  ASSERT_TRUE(part_->Sync().ok());
  ASSERT_TRUE(WriteAllChunks(part_.get()).ok());
  EXPECT_TRUE(part_->Finish().ok());
}

TEST_F(PartChangesTest, E18_AnotherPartOfThatNameDoesNotGetTheFinalOne) {
  part_ = Create(tree_);
  ASSERT_TRUE(WriteAllChunks(part_.get()).ok());
  ASSERT_TRUE(part_->Sync().ok());
  // The same files in another directory.
  std::filesystem::rename(part_path_, part_path_ + ".old");
  std::filesystem::create_directory(part_path_);
  for (const auto& entry : std::filesystem::directory_iterator(part_path_ + ".old"))
    std::filesystem::rename(entry.path(),
                            std::filesystem::path(part_path_) / entry.path().filename());
  EXPECT_FALSE(part_->Finish().ok());
  EXPECT_FALSE(IsThere(target_));
}

TEST_F(PartChangesTest, E19_OfTwoTreesOnlyOneHasThePart) {
  part_ = Create(tree_);
  ASSERT_TRUE(part_ != nullptr);
  // As it is met by who looked before that one was made.
  const auto parent = SystemFiles()->OpenRoot(dir_.path());
  ASSERT_TRUE(parent.ok()) << parent.status();
  EXPECT_TRUE(absl::IsAlreadyExists((*parent)->MakeNewDirectory("target.part")));
  EXPECT_TRUE((*parent)->MakeNewDirectory("another").ok());
}

TEST_F(PartChangesTest, E20_RemovingLeavesAFileThatTookThePlaceOfOne) {
  part_ = Create(file_);
  ASSERT_TRUE(WriteTestChunk(part_.get(), ChunkIndex(0)).ok());
  std::filesystem::rename(part_path_, part_path_ + ".old");
  WriteFile(part_path_, "somebody's work");
  const absl::Status removed = part_->RemoveFiles();
  EXPECT_TRUE(absl::IsFailedPrecondition(removed)) << removed;
  EXPECT_THAT(std::string(removed.message()), HasSubstr("target.part is not the one"));
  EXPECT_EQ(ReadFile(part_path_), "somebody's work");
}

TEST_F(PartChangesTest, E20_RemovingLeavesAFileInATreeThatTookThePlaceOfOne) {
  part_ = Create(tree_);
  ASSERT_TRUE(WriteAllChunks(part_.get()).ok());
  Replace(part_path_ + "/b");
  const absl::Status removed = part_->RemoveFiles();
  EXPECT_TRUE(absl::IsFailedPrecondition(removed)) << removed;
  EXPECT_THAT(std::string(removed.message()), HasSubstr("target.part/b is not the one"));
  EXPECT_TRUE(IsThere(part_path_ + "/b"));
  EXPECT_FALSE(IsThere(part_path_ + "/a"));
}

// What is removed at rest, when `known` of the root and the files was recorded.
class RemoveAtRestTest : public PartChangesTest {
 protected:
  absl::Status Remove(const LayoutPtr& layout) {
    return FileChunkManager::RemovePartAtRest(SystemFiles(), target_, *layout, root_, claim_.files);
  }
  void Make(const LayoutPtr& layout) {
    const auto part = Create(layout);
    root_ = part->PartRoot().value();
    if (layout->is_directory()) {
      ASSERT_TRUE(WriteAllChunks(part.get()).ok());
    }
  }
  FileIdentity root_;
};

TEST_F(RemoveAtRestTest, E20_OneOfWhichNothingWasClaimed) {
  for (const LayoutPtr& layout : {file_, tree_}) {
    Make(layout);
    EXPECT_TRUE(Remove(layout).ok());
    EXPECT_FALSE(IsThere(part_path_));
    EXPECT_TRUE(Remove(layout).ok()) << "nothing is there";
  }
}

TEST_F(RemoveAtRestTest, E20_AnothersPartStays) {
  for (const LayoutPtr& layout : {file_, tree_}) {
    Make(layout);
    std::filesystem::rename(part_path_, part_path_ + ".old");
    Make(layout);
    root_.inode += 1'000'000;
    const absl::Status removed = Remove(layout);
    EXPECT_TRUE(absl::IsFailedPrecondition(removed)) << removed;
    EXPECT_TRUE(IsThere(part_path_));
    std::filesystem::remove_all(part_path_);
    std::filesystem::remove_all(part_path_ + ".old");
  }
}

TEST_F(RemoveAtRestTest, E20_OneOfWhichNothingIsKnownStays) {
  for (const LayoutPtr& layout : {file_, tree_}) {
    Make(layout);
    root_ = FileIdentity();
    EXPECT_TRUE(absl::IsFailedPrecondition(Remove(layout)));
    EXPECT_TRUE(IsThere(part_path_ + (layout->is_directory() ? "/a" : "")));
    std::filesystem::remove_all(part_path_);
  }
}

}  // namespace
}  // namespace p2p::store

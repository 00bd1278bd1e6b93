// Unfinished downloads.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <thread>

#include "daemon/store/file_chunk_manager.h"
#include "daemon/store/open_files.h"
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

class PartTest : public testing::Test {
 protected:
  std::shared_ptr<FileChunkManager> Create(const LayoutPtr& layout,
                                           FileSystem* files = SystemFiles()) {
    return CreatePart(target_, layout, files);
  }
  absl::StatusOr<std::shared_ptr<FileChunkManager>> Reopen(const LayoutPtr& layout,
                                                           ChunkSet* intact) {
    return ReopenPart(SystemFiles(), target_, layout, intact);
  }

  TempDir dir_;
  const std::string target_ = dir_ / "target";
  const LayoutPtr file_ = SingleFile("file", 3 * kChunk + 7);
  const LayoutPtr tree_ = Tree(
      "tree", {{"a/b/large", 2 * kChunk + 1}, {"a/small", 10}, {"empty", 0}, {"run", 5, true}});
};

TEST_F(PartTest, AFileIsMadeSparseUnderThePartName) {
  const auto part = Create(file_);
  EXPECT_TRUE(part->is_part());
  EXPECT_FALSE(IsThere(target_));
  struct stat status;
  ASSERT_EQ(::stat((target_ + ".part").c_str(), &status), 0);
  EXPECT_EQ(static_cast<uint64_t>(status.st_size), 3 * kChunk + 7);
  EXPECT_EQ(status.st_blocks, 0);
  EXPECT_TRUE(part->PossiblyWritten().None());
}

TEST_F(PartTest, S15_APartIsLookedForOnlyInTheDirectoryThatItWasMadeIn) {
  const std::string directory = dir_ / "disk";
  const std::string target = directory + "/target";
  std::filesystem::create_directory(directory);
  const auto check = [&](const FileIdentity& place) {
    return FileChunkManager::CheckSameDirectory(SystemFiles(), target, place);
  };
  FileIdentity place;
  {
    const auto made =
        FileChunkManager::CreatePart(SystemFiles(), target, file_, ByteCount(0)).value();
    place = made->Place().value();
  }
  EXPECT_TRUE(check(place).ok());
  // Deleted by somebody, in a directory that is still the same.
  std::filesystem::remove(target + ".part");
  EXPECT_TRUE(check(place).ok());
  // As when a disk is not mounted.
  std::filesystem::rename(directory, dir_ / "mounted elsewhere");
  EXPECT_THAT(check(place).message(), HasSubstr("is not there"));
  EXPECT_TRUE(absl::IsNotFound(check(FileIdentity())));
  std::filesystem::create_directory(directory);
  EXPECT_TRUE(absl::IsNotFound(check(place)));
  EXPECT_THAT(check(place).message(), HasSubstr(directory));
  EXPECT_TRUE(check(FileIdentity()).ok());
  // Moved there by its owner.
  WriteFile(target + ".part", "x");
  EXPECT_TRUE(check(place).ok());
}

TEST_F(PartTest, S15_OnlyWhatSurelyIsNotThereIsGone) {
  FaultyFileSystem faulty(SystemFiles());
  WriteFile(target_, "x");
  EXPECT_FALSE(FileChunkManager::IsGone(&faulty, target_));
  EXPECT_TRUE(FileChunkManager::IsGone(&faulty, target_ + "2"));
  EXPECT_TRUE(FileChunkManager::IsGone(&faulty, dir_ / "no/such"));
  faulty.FailEvery(FileOp::kInfo, EIO);
  EXPECT_FALSE(FileChunkManager::IsGone(&faulty, target_ + "2"));
}

TEST_F(PartTest, ChunksAreReadAndSentAsWritten) {
  for (const LayoutPtr& layout : {file_, tree_}) {
    const auto part = Create(layout);
    for (uint32_t i = layout->chunk_count(); i-- > 0;) {
      ASSERT_TRUE(WriteTestChunk(part.get(), ChunkIndex(i)).ok());
    }
    for (uint32_t i = 0; i < layout->chunk_count(); ++i) {
      EXPECT_TRUE(HoldsTestChunk(part.get(), ChunkIndex(i)));
      const std::vector<uint8_t> bytes = ChunkBytes(*layout, ChunkIndex(i));
      EXPECT_EQ(ReadSlice(*part->PrepareToSend(ChunkIndex(i))),
                std::string(bytes.begin(), bytes.end()));
    }
    EXPECT_TRUE(part->Sync().ok());
    EXPECT_TRUE(part->PossiblyWritten().All());
    EXPECT_TRUE(part->RemoveFiles().ok());
    EXPECT_FALSE(IsThere(target_ + ".part"));
  }
}

TEST_F(PartTest, ADirectorysFilesAreMadeWhenFirstWritten) {
  const auto part = Create(tree_);
  EXPECT_TRUE(IsThere(target_ + ".part"));
  EXPECT_FALSE(IsThere(target_ + ".part/a"));
  std::vector<uint8_t> data(tree_->ChunkLength(ChunkIndex(0)));
  EXPECT_TRUE(absl::IsNotFound(part->ReadChunk(ChunkIndex(0), absl::MakeSpan(data))));
  ASSERT_TRUE(WriteTestChunk(part.get(), ChunkIndex(1)).ok());
  EXPECT_TRUE(IsThere(target_ + ".part/a/b/large"));
  EXPECT_FALSE(IsThere(target_ + ".part/a/small"));
}

TEST_F(PartTest, ManyWorkersWriteAtOnce) {
  const auto part = Create(tree_);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (uint32_t i = 0; i < tree_->chunk_count(); ++i) {
        EXPECT_TRUE(WriteTestChunk(part.get(), ChunkIndex(i)).ok());
        EXPECT_TRUE(part->Sync().ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (uint32_t i = 0; i < tree_->chunk_count(); ++i)
    EXPECT_TRUE(HoldsTestChunk(part.get(), ChunkIndex(i)));
}

TEST_F(PartTest, S18_NothingIsBegunWhereSomethingStands) {
  WriteFile(target_, "old");
  auto made = FileChunkManager::CreatePart(SystemFiles(), target_, file_, ByteCount(0));
  EXPECT_TRUE(absl::IsAlreadyExists(made.status())) << made.status();
  EXPECT_THAT(std::string(made.status().message()), HasSubstr("target already exists"));
  EXPECT_FALSE(IsThere(target_ + ".part"));
  std::filesystem::remove(target_);
  ASSERT_EQ(::symlink("nowhere", target_.c_str()), 0);
  made = FileChunkManager::CreatePart(SystemFiles(), target_, file_, ByteCount(0));
  EXPECT_TRUE(absl::IsAlreadyExists(made.status())) << made.status();
}

TEST_F(PartTest, S18_AForeignPartIsNotTakenOver) {
  WriteFile(target_ + ".part", "somebody's work");
  for (const LayoutPtr& layout : {file_, tree_}) {
    const auto made = FileChunkManager::CreatePart(SystemFiles(), target_, layout, ByteCount(0));
    EXPECT_TRUE(absl::IsAlreadyExists(made.status())) << made.status();
    EXPECT_THAT(std::string(made.status().message()), HasSubstr("target.part is in the way"));
  }
  EXPECT_EQ(ReadFile(target_ + ".part"), "somebody's work");
}

TEST_F(PartTest, S04_SpaceIsCheckedToTheByteAndNothingIsLeftBehind) {
  FaultyFileSystem small(SystemFiles());
  const uint64_t total = file_->total_bytes().value();
  small.SetFreeBytes(total + 1000 - 1);
  auto made = FileChunkManager::CreatePart(&small, target_, file_, ByteCount(1000));
  EXPECT_TRUE(FileChunkManager::IsDiskFull(made.status())) << made.status();
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
  small.SetFreeBytes(total + 1000);
  EXPECT_TRUE(FileChunkManager::CreatePart(&small, target_, file_, ByteCount(1000)).ok());
}

TEST_F(PartTest, S04_TheMessageTellsWhatIsMissingAndWhatToDo) {
  FaultyFileSystem small(SystemFiles());
  small.SetFreeBytes((uint64_t{1} << 30) * 12 / 10);
  const LayoutPtr large = SingleFile("large", uint64_t{3} << 30);
  const absl::Status status =
      FileChunkManager::CreatePart(&small, target_, large, ByteCount(0)).status();
  EXPECT_EQ(std::string(status.message()),
            "not enough space in " + dir_.path() +
                ": need 3.0 GiB, 1.2 GiB free; free 1.8 GiB or choose another place with -o");
}

TEST_F(PartTest, S04_AReserveThatOverflowsIsNotEnoughSpace) {
  const auto made =
      FileChunkManager::CreatePart(SystemFiles(), target_, file_, ByteCount(~uint64_t{0}));
  EXPECT_TRUE(FileChunkManager::IsDiskFull(made.status()));
}

TEST_F(PartTest, AMissingDirectoryIsNotFound) {
  const auto made =
      FileChunkManager::CreatePart(SystemFiles(), dir_ / "none/target", file_, ByteCount(0));
  EXPECT_TRUE(absl::IsNotFound(made.status())) << made.status();
}

TEST_F(PartTest, S01_AFullDiskIsToldAndTheChunkCanBeWrittenLater) {
  FaultyFileSystem disk(SystemFiles());
  const auto part = Create(file_, &disk);
  ASSERT_TRUE(WriteTestChunk(part.get(), ChunkIndex(0)).ok());
  for (const int error : {ENOSPC, EDQUOT}) {
    disk.FailEvery(FileOp::kWrite, error);
    EXPECT_TRUE(FileChunkManager::IsDiskFull(WriteTestChunk(part.get(), ChunkIndex(1))));
    EXPECT_TRUE(HoldsTestChunk(part.get(), ChunkIndex(0))) << "what is there is still served";
    EXPECT_TRUE(part->Sync().ok());
    disk.Heal();
    EXPECT_TRUE(WriteTestChunk(part.get(), ChunkIndex(1)).ok());
  }
  EXPECT_TRUE(HoldsTestChunk(part.get(), ChunkIndex(1)));
}

TEST_F(PartTest, S01_AFullDiskWhileReservingIsTriedAgainWithTheNextWrite) {
  FaultyFileSystem disk(SystemFiles());
  const auto part = Create(file_, &disk);
  disk.FailNth(FileOp::kAllocate, 1, ENOSPC);
  EXPECT_TRUE(FileChunkManager::IsDiskFull(WriteTestChunk(part.get(), ChunkIndex(0))));
  EXPECT_TRUE(WriteTestChunk(part.get(), ChunkIndex(0)).ok());
  EXPECT_EQ(disk.calls(FileOp::kAllocate), 2);
  EXPECT_TRUE(WriteTestChunk(part.get(), ChunkIndex(1)).ok());
  EXPECT_EQ(disk.calls(FileOp::kAllocate), 2) << "one reservation for 64 MiB";
}

TEST_F(PartTest, S05_AWriteErrorIsAnErrorOfThatWrite) {
  FaultyFileSystem disk(SystemFiles());
  const auto part = Create(file_, &disk);
  disk.FailNth(FileOp::kWrite, 1, EIO);
  EXPECT_TRUE(absl::IsDataLoss(WriteTestChunk(part.get(), ChunkIndex(0))));
  EXPECT_TRUE(WriteTestChunk(part.get(), ChunkIndex(1)).ok());
}

TEST_F(PartTest, S06_AFailedSyncIsToldAndNotTriedAgainOnTheSameData) {
  FaultyFileSystem disk(SystemFiles());
  const auto part = Create(file_, &disk);
  ASSERT_TRUE(part->Sync().ok());
  ASSERT_TRUE(WriteTestChunk(part.get(), ChunkIndex(0)).ok());
  disk.FailNth(FileOp::kSync, 1, EIO);
  EXPECT_TRUE(absl::IsDataLoss(part->Sync().status()));
  const int syncs = disk.calls(FileOp::kSync);
  EXPECT_TRUE(part->Sync().ok());
  EXPECT_EQ(disk.calls(FileOp::kSync), syncs) << "a second sync may succeed without having written";
  ASSERT_TRUE(WriteTestChunk(part.get(), ChunkIndex(0)).ok());
  EXPECT_TRUE(part->Sync().ok());
  EXPECT_EQ(disk.calls(FileOp::kSync), syncs + 1);
}

// Chunk 0 is on the disk, 1 is written since, and `fail` meets an error that may be all that is
// ever told of what became of chunk 1.
class LostTest : public PartTest {
 protected:
  LostTest() : part_(Create(file_, &disk_)) {
    EXPECT_TRUE(WriteTestChunk(part_.get(), ChunkIndex(0)).ok());
    EXPECT_TRUE(part_->Sync().ok());
    EXPECT_TRUE(WriteTestChunk(part_.get(), ChunkIndex(1)).ok());
  }
  void ExpectLost() {
    disk_.Heal();
    const auto durable = part_->Sync();
    ASSERT_TRUE(durable.ok()) << durable.status();
    EXPECT_TRUE(durable->chunks().Has(ChunkIndex(0)));
    EXPECT_FALSE(durable->chunks().Has(ChunkIndex(1)));
    EXPECT_FALSE(part_->ledger()->kept().Has(ChunkIndex(1)));
    EXPECT_TRUE(absl::IsDataLoss(part_->Finish()));
    (void)part_->ledger()->TakeLost();
    ASSERT_TRUE(WriteAllChunks(part_.get()).ok());
    EXPECT_TRUE(part_->Finish().ok());
  }

  FaultyFileSystem disk_{SystemFiles()};
  const std::shared_ptr<FileChunkManager> part_;
};

TEST_F(LostTest, V05_AfterAFailedSync) {
  disk_.FailNth(FileOp::kSync, 1, ENOSPC);
  EXPECT_FALSE(part_->Sync().ok());
  ExpectLost();
}

TEST_F(LostTest, V05_AfterAWriteBackThatCouldNotBegin) {
  disk_.FailNth(FileOp::kWriteBack, 1, ENOSPC);
  EXPECT_FALSE(part_->StartWriteBack().ok());
  ExpectLost();
}

TEST_F(LostTest, V05_AfterAWriteThatGaveEio) {
  disk_.FailNth(FileOp::kWrite, 1, EIO);
  EXPECT_FALSE(WriteTestChunk(part_.get(), ChunkIndex(2)).ok());
  ExpectLost();
}

TEST_F(LostTest, V05_AfterAReadThatGaveEio) {
  disk_.FailNth(FileOp::kRead, 1, EIO);
  EXPECT_FALSE(HoldsTestChunk(part_.get(), ChunkIndex(1)));
  ExpectLost();
}

TEST_F(LostTest, V05_WhatAFullDiskRefusesIsAllThatIsLost) {
  for (const int error : {ENOSPC, EDQUOT}) {
    disk_.FailNth(FileOp::kWrite, 1, error);
    EXPECT_FALSE(WriteTestChunk(part_.get(), ChunkIndex(2)).ok());
  }
  const auto durable = part_->Sync();
  ASSERT_TRUE(durable.ok()) << durable.status();
  EXPECT_TRUE(durable->chunks().Has(ChunkIndex(0)) && durable->chunks().Has(ChunkIndex(1)));
  EXPECT_TRUE(part_->ledger()->TakeLost().empty());
}

TEST_F(PartTest, V05_AFailedSyncOfTheFileSystemLosesAllThatItCovers) {
  FaultyFileSystem disk(SystemFiles());
  std::vector<TestFile> files;
  for (int i = 0; i < 100; ++i) files.push_back({"f" + std::to_string(i), 10});
  const auto part = Create(Tree("many", files), &disk);
  ASSERT_TRUE(WriteAllChunks(part.get()).ok());
  disk.FailNth(FileOp::kSync, 1, EIO);
  EXPECT_TRUE(absl::IsDataLoss(part->Sync().status()));
  EXPECT_EQ(part->ledger()->TakeLost().size(), 100u);
  EXPECT_TRUE(part->Sync()->chunks().None());
}

TEST_F(PartTest, V05_OneFileThatIsNotSyncedTakesNoneOfTheOthersWithIt) {
  FaultyFileSystem disk(SystemFiles());
  const auto part = Create(tree_, &disk);
  ASSERT_TRUE(WriteAllChunks(part.get()).ok());
  disk.FailNth(FileOp::kSync, 1, EIO);  // of a/b/large, chunks 0 to 2
  EXPECT_TRUE(absl::IsDataLoss(part->Sync().status()));
  const auto durable = part->Sync();
  ASSERT_TRUE(durable.ok()) << durable.status();
  EXPECT_EQ(durable->chunks().count(), tree_->chunk_count() - 3);
}

TEST_F(PartTest, V05_AFileIsSyncedOnTheDescriptorThatWroteIt) {
  FaultyFileSystem disk(SystemFiles());
  const auto part = Create(file_, &disk);
  ASSERT_TRUE(WriteTestChunk(part.get(), ChunkIndex(0)).ok());
  // As many shares are served meanwhile.
  (void)OpenFiles::OfProcess().CloseAll();
  const int opened = disk.calls(FileOp::kOpen);
  ASSERT_TRUE(part->Sync().ok());
  EXPECT_EQ(disk.calls(FileOp::kOpen), opened) << "one that is opened anew may miss the error";
}

// What is left of a claim of all chunks after `change` of the .part.
class ChangedPartTest : public PartTest {
 protected:
  ChunkSet Doubtful(const std::function<void()>& change) {
    PartClaim claim;
    {
      const auto part = Create(file_);
      EXPECT_TRUE(WriteAllChunks(part.get()).ok());
      claim.have = part->Sync().value();
    }
    claim.files.resize(1);
    for (const auto& [file, identity] : claim.have.files()) claim.files[file.value()] = identity;
    change();
    const auto again = FileChunkManager::ReopenPart(SystemFiles(), target_, file_, &claim);
    EXPECT_TRUE(again.ok()) << again.status();
    ChunkSet sure = claim.have.chunks();
    sure.Remove(claim.doubtful);
    EXPECT_TRUE((*again)->ledger()->kept() == sure) << "what is doubtful is not had";
    return claim.doubtful;
  }
  const std::string part_ = target_ + ".part";
};

TEST_F(ChangedPartTest, V13_OneThatIsAsItWasLeftIsBelieved) {
  EXPECT_TRUE(Doubtful([] {}).None());
}

TEST_F(ChangedPartTest, V13_OneThatWasTouchedIsDoubtful) {
  const auto touch = [&] {
    const timespec long_ago[2] = {{1, 0}, {1, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, part_.c_str(), long_ago, 0), 0);
  };
  EXPECT_TRUE(Doubtful(touch).All());
}

TEST_F(ChangedPartTest, V13_OneThatWasRestoredWithItsTimesIsDoubtful) {
  EXPECT_TRUE(Doubtful([&] {
                const auto time = std::filesystem::last_write_time(part_);
                std::filesystem::copy_file(part_, part_ + "2");
                std::filesystem::rename(part_ + "2", part_);
                std::filesystem::last_write_time(part_, time);
              }).All());
}

TEST_F(PartTest, R01_ASyncCoversTheFilesAndEveryNewDirectoryEntry) {
  FaultyFileSystem disk(SystemFiles());
  const auto part = Create(tree_, &disk);
  ASSERT_TRUE(WriteTestChunk(part.get(), ChunkIndex(0)).ok());
  ASSERT_TRUE(part->Sync().ok());
  // a/b/large, and the directories a/b, a, target.part and the one that holds it.
  EXPECT_EQ(disk.calls(FileOp::kSync), 5);
  ASSERT_TRUE(WriteTestChunk(part.get(), ChunkIndex(1)).ok());
  ASSERT_TRUE(part->Sync().ok());
  EXPECT_EQ(disk.calls(FileOp::kSync), 6);
  ASSERT_TRUE(part->Sync().ok());
  EXPECT_EQ(disk.calls(FileOp::kSync), 6) << "nothing was written";
}

TEST_F(PartTest, ManySmallFilesAreSyncedByOneCall) {
  FaultyFileSystem disk(SystemFiles());
  std::vector<TestFile> files;
  for (int i = 0; i < 100; ++i) files.push_back({"f" + std::to_string(i), 10});
  const auto part = Create(Tree("many", files), &disk);
  ASSERT_TRUE(WriteAllChunks(part.get()).ok());
  ASSERT_TRUE(part->Sync().ok());
#if defined(__linux__) && !defined(P2P_PORTABLE)
  EXPECT_EQ(disk.calls(FileOp::kSync), 1);
#else
  // There is no such call that tells of errors.
  EXPECT_GE(disk.calls(FileOp::kSync), 100);
#endif
}

TEST_F(PartTest, S21_ALinkPlantedInTheDownloadIsNotFollowed) {
  ASSERT_EQ(::mkdir((dir_ / "outside").c_str(), 0755), 0);
  WriteFile(dir_ / "outside/small", "canary");
  const auto part = Create(tree_);
  ASSERT_EQ(::symlink("../outside", (target_ + ".part/a").c_str()), 0);
  ASSERT_EQ(::symlink("../outside/small", (target_ + ".part/run").c_str()), 0);
  for (uint32_t i = 0; i < tree_->chunk_count(); ++i) {
    EXPECT_TRUE(absl::IsFailedPrecondition(WriteTestChunk(part.get(), ChunkIndex(i))))
        << WriteTestChunk(part.get(), ChunkIndex(i));
  }
  EXPECT_FALSE(part->Finish().ok());
  EXPECT_FALSE(part->RemoveFiles().ok());
  EXPECT_EQ(ReadFile(dir_ / "outside/small"), "canary");
}

TEST_F(PartTest, RemovingAPartLeavesWhatOthersPutThere) {
  const auto part = Create(tree_);
  ASSERT_TRUE(WriteAllChunks(part.get()).ok());
  WriteFile(target_ + ".part/a/notes", "mine");
  const absl::Status status = part->RemoveFiles();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_EQ(ReadFile(target_ + ".part/a/notes"), "mine");
  EXPECT_FALSE(IsThere(target_ + ".part/a/small"));
}

TEST_F(PartTest, ReopeningFindsWhatWasWritten) {
  for (const LayoutPtr& layout : {file_, tree_}) {
    {
      const auto part = Create(layout);
      ASSERT_TRUE(WriteTestChunk(part.get(), ChunkIndex(0)).ok());
      ASSERT_TRUE(WriteTestChunk(part.get(), ChunkIndex(2)).ok());
    }
    ChunkSet have(layout->chunk_count());
    have.Add(ChunkIndex(0));
    have.Add(ChunkIndex(2));
    const ChunkSet before = have;
    const auto again = Reopen(layout, &have);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(have, before);
    EXPECT_TRUE(HoldsTestChunk(again->get(), ChunkIndex(0)));
    EXPECT_TRUE(HoldsTestChunk(again->get(), ChunkIndex(2)));
    const ChunkSet written = (*again)->PossiblyWritten();
    EXPECT_TRUE(written.Has(ChunkIndex(0)) && written.Has(ChunkIndex(2)));
    EXPECT_FALSE(written.Has(ChunkIndex(3))) << "chunk 3 is a hole or its file is not there";
    ASSERT_TRUE(WriteAllChunks(again->get()).ok());
    EXPECT_TRUE((*again)->RemoveFiles().ok());
  }
}

TEST_F(PartTest, R10_AMissingPartIsNotFoundAndNothingIsMade) {
  ChunkSet intact;
  EXPECT_TRUE(absl::IsNotFound(Reopen(file_, &intact).status()));
  EXPECT_TRUE(absl::IsNotFound(Reopen(tree_, &intact).status()));
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
}

TEST_F(PartTest, R10_AMissingFileTakesItsChunksOutOfTheHaveSet) {
  { ASSERT_TRUE(WriteAllChunks(Create(tree_).get()).ok()); }
  std::filesystem::remove(target_ + ".part/a/b/large");
  ChunkSet have = AllChunks(*tree_);
  const auto again = Reopen(tree_, &have);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(have.count(), tree_->chunk_count() - 3);
  EXPECT_EQ(have.NextMember(0), 3u);
  EXPECT_EQ((*again)->PossiblyWritten(), have);
}

TEST_F(PartTest, R10_AShortenedFileTakesItsChunksOutOfTheHaveSet) {
  { ASSERT_TRUE(WriteAllChunks(Create(file_).get()).ok()); }
  ASSERT_EQ(::truncate((target_ + ".part").c_str(), kChunk), 0);
  ChunkSet have;
  const auto again = Reopen(file_, &have);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(have.None());
  EXPECT_EQ(have.size(), file_->chunk_count());
  EXPECT_EQ(std::filesystem::file_size(target_ + ".part"), 3 * kChunk + 7);
  EXPECT_TRUE((*again)->PossiblyWritten().Has(ChunkIndex(0))) << "worth hashing";
}

TEST_F(PartTest, R11_OnlyWrittenChunksAreWorthHashingAgain) {
  const LayoutPtr large = SingleFile("large", 100 * kChunk);
  {
    const auto part = Create(large);
    for (const uint32_t chunk : {7u, 50u})
      ASSERT_TRUE(WriteTestChunk(part.get(), ChunkIndex(chunk)).ok());
    ASSERT_TRUE(part->Sync().ok());
  }
  ChunkSet have(large->chunk_count());
  const auto again = Reopen(large, &have);
  const ChunkSet written = (*again)->PossiblyWritten();
  EXPECT_TRUE(written.Has(ChunkIndex(7)) && written.Has(ChunkIndex(50)));
  EXPECT_LE(written.count(), 4u);
}

TEST_F(PartTest, AnotherKindOfPartIsRefused) {
  WriteFile(target_ + ".part", "file");
  ChunkSet intact;
  EXPECT_TRUE(absl::IsFailedPrecondition(Reopen(tree_, &intact).status()));
  std::filesystem::remove(target_ + ".part");
  ASSERT_EQ(::mkdir((target_ + ".part").c_str(), 0755), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(Reopen(file_, &intact).status()));
  std::filesystem::remove(target_ + ".part");
  ASSERT_EQ(::symlink("/etc/passwd", (target_ + ".part").c_str()), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(Reopen(file_, &intact).status()));
}

TEST_F(PartTest, S17_ATargetNameOfTheGreatestLengthIsDownloaded) {
  const std::string name(255, 'n');
  const auto part = FileChunkManager::CreatePart(SystemFiles(), dir_ / name, file_, ByteCount(0));
  ASSERT_TRUE(part.ok()) << part.status();
  ASSERT_TRUE(WriteAllChunks(part->get()).ok());
  ASSERT_TRUE((*part)->Finish().ok());
  EXPECT_EQ(std::filesystem::file_size(dir_ / name), 3 * kChunk + 7);
}

TEST_F(PartTest, S17_AHugeFileCostsNeitherSpaceNorTime) {
  FaultyFileSystem disk(SystemFiles());
  disk.SetFreeBytes(uint64_t{1} << 50);
  const LayoutPtr huge = SingleFile("huge", uint64_t{8} << 40);
  const auto made = FileChunkManager::CreatePart(&disk, target_, huge, ByteCount(0));
  if (!made.ok()) GTEST_SKIP() << "the file system is too small: " << made.status();
  const ChunkIndex last(huge->chunk_count() - 1);
  ASSERT_TRUE(WriteTestChunk(made->get(), last).ok());
  EXPECT_TRUE(HoldsTestChunk(made->get(), last));
}

}  // namespace
}  // namespace p2p::store

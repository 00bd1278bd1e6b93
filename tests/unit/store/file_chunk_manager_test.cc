// Whole content: shares and finished downloads.
#include "daemon/store/file_chunk_manager.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/store/store_test_support.h"

namespace p2p::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing_support::FaultyFileSystem;
using testing_support::FileOp;
using testing_support::IsThere;
using testing_support::ReadFile;
using testing_support::TempDir;
using testing_support::WriteFile;

// Moves a file's times to where a change right now shows, however coarse the clock of the file
// system is.
void MakeOld(const std::string& path) {
  const struct timespec times[2] = {{1000, 0}, {1000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

class WholeContentTest : public testing::Test {
 protected:
  WholeContentTest() {
    std::filesystem::create_directories(dir_ / "share/sub");
    first_ = std::string(kChunk, 'a') + std::string(100, 'b');
    WriteFile(dir_ / "share/first", first_);
    WriteFile(dir_ / "share/sub/second", "second");
    MakeOld(dir_ / "share/first");
    MakeOld(dir_ / "share/sub/second");
    Open();
  }

  void Open(FileSystem* files = SystemFiles()) {
    auto scanned = ScanShare(SystemFiles(), dir_ / "share", "share");
    ASSERT_TRUE(scanned.ok()) << scanned.status();
    auto opened =
        FileChunkManager::OpenWhole(files, dir_ / "share", scanned->layout, scanned->identities);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }

  absl::Status Send(uint32_t chunk) { return store_->PrepareToSend(ChunkIndex(chunk)).status(); }

  TempDir dir_;
  std::string first_;
  std::shared_ptr<FileChunkManager> store_;
};

TEST_F(WholeContentTest, GivesEachChunkAsASliceOfItsFile) {
  ASSERT_EQ(store_->layout().chunk_count(), 3u);
  EXPECT_EQ(ReadSlice(*store_->PrepareToSend(ChunkIndex(0))), first_.substr(0, kChunk));
  EXPECT_EQ(ReadSlice(*store_->PrepareToSend(ChunkIndex(1))), first_.substr(kChunk));
  EXPECT_EQ(ReadSlice(*store_->PrepareToSend(ChunkIndex(2))), "second");
  EXPECT_FALSE(store_->is_part());
  EXPECT_THAT(store_->ChangedFiles(), IsEmpty());
  EXPECT_TRUE(store_->PossiblyWritten().All());
  EXPECT_GT(*store_->FreeBytes(), 0u);
}

TEST_F(WholeContentTest, GivesPartsOfAChunkAndNothingBeyondIt) {
  for (const auto& [offset, length] : std::vector<std::pair<uint32_t, uint32_t>>{
           {0, kChunk}, {0, 1}, {kChunk - 1, 1}, {65'536, 16'384}}) {
    const auto slice = store_->PrepareToSend(ChunkIndex(0), offset, length);
    ASSERT_TRUE(slice.ok()) << slice.status();
    EXPECT_EQ(ReadSlice(*slice), first_.substr(offset, length));
  }
  EXPECT_EQ(ReadSlice(*store_->PrepareToSend(ChunkIndex(1), 90, 10)), first_.substr(kChunk + 90));
  EXPECT_EQ(ReadSlice(*store_->PrepareToSend(ChunkIndex(2), 2, 3)), "con");
  for (const auto& [chunk, offset, length] :
       std::vector<std::array<uint32_t, 3>>{{0, 0, kChunk + 1},  // the file goes on there
                                            {0, kChunk - 1, 2},
                                            {0, kChunk, 1},
                                            {0, 0, 0},
                                            {0, kChunk, 0},
                                            {1, 0, 101},
                                            {1, 100, 1},
                                            {2, 0xffff'ffff, 1},
                                            {2, 1, 0xffff'ffff},
                                            {2, 0xffff'ffff, 0xffff'ffff}}) {
    EXPECT_TRUE(
        absl::IsInvalidArgument(store_->PrepareToSend(ChunkIndex(chunk), offset, length).status()))
        << length << " bytes at " << offset << " of chunk " << chunk;
  }
}

TEST_F(WholeContentTest, P12_NoPartOfAChangedFileIsSent) {
  ASSERT_TRUE(store_->PrepareToSend(ChunkIndex(2), 4, 2).ok());
  WriteFile(dir_ / "share/sub/second", "2econd");
  EXPECT_TRUE(absl::IsFailedPrecondition(store_->PrepareToSend(ChunkIndex(2), 4, 2).status()));
  EXPECT_TRUE(store_->PrepareToSend(ChunkIndex(0), 4, 2).ok()) << "other files go on";
}

TEST_F(WholeContentTest, ASliceKeepsItsFileOpenAfterTheManagerIsGone) {
  const FileSlice slice = *store_->PrepareToSend(ChunkIndex(2));
  store_.reset();
  EXPECT_EQ(ReadSlice(slice), "second");
}

TEST_F(WholeContentTest, WholeContentIsNotWrittenTo) {
  EXPECT_TRUE(absl::IsFailedPrecondition(WriteTestChunk(store_.get(), ChunkIndex(2))));
  const uint8_t byte = 'S';
  EXPECT_TRUE(absl::IsFailedPrecondition(store_->WritePart(ChunkIndex(2), 0, {&byte, 1})));
  EXPECT_EQ(ReadFile(dir_ / "share/sub/second"), "second");
}

TEST_F(WholeContentTest, P11_ADeletedFileIsNotFoundThoughItIsStillOpen) {
  ASSERT_TRUE(Send(0).ok());
  std::filesystem::remove(dir_ / "share/first");
  const absl::Status status = Send(0);
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("share/first is gone"));
  EXPECT_TRUE(Send(2).ok());
  EXPECT_THAT(store_->ChangedFiles(), ElementsAre(FileIndex(0)));
}

TEST_F(WholeContentTest, P11_AShortenedFileIsNoticedBeforeItIsSent) {
  ASSERT_TRUE(Send(0).ok());
  ASSERT_EQ(::truncate((dir_ / "share/first").c_str(), 10), 0);
  MakeOld(dir_ / "share/first");
  EXPECT_TRUE(absl::IsFailedPrecondition(Send(0)));
  EXPECT_TRUE(absl::IsFailedPrecondition(Send(1)));
}

TEST_F(WholeContentTest, P11_ChangedPermissionsAreNoticed) {
  ASSERT_TRUE(Send(2).ok());
  ASSERT_EQ(::chmod((dir_ / "share/sub/second").c_str(), 0), 0);
  const absl::Status status = Send(2);
  EXPECT_TRUE(absl::IsFailedPrecondition(status) || absl::IsPermissionDenied(status)) << status;
}

TEST_F(WholeContentTest, P12_AFileChangedInPlaceIsNotSentUntilItIsFoundEqual) {
  ASSERT_TRUE(Send(2).ok());
  WriteFile(dir_ / "share/sub/second", "2econd");
  const absl::Status status = Send(2);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("second changed since it was shared"));
  EXPECT_TRUE(Send(0).ok()) << "other files go on";
  ASSERT_TRUE(store_->NoteIdentity(FileIndex(1)).ok());
  ASSERT_TRUE(store_->RefreshIdentity(FileIndex(1)).ok());
  EXPECT_EQ(ReadSlice(*store_->PrepareToSend(ChunkIndex(2))), "2econd");
}

TEST_F(WholeContentTest, P12_AChangeWhileItWasHashedIsNotTakenOver) {
  ASSERT_TRUE(store_->NoteIdentity(FileIndex(1)).ok());
  MakeOld(dir_ / "share/sub/second");
  WriteFile(dir_ / "share/sub/second", "hidden");
  EXPECT_TRUE(absl::IsAborted(store_->RefreshIdentity(FileIndex(1))));
  EXPECT_TRUE(absl::IsFailedPrecondition(Send(2)));
}

TEST_F(WholeContentTest, P12_AnotherSizeIsNeverTakenForEqual) {
  WriteFile(dir_ / "share/sub/second", "longer than it was");
  ASSERT_TRUE(store_->NoteIdentity(FileIndex(1)).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(store_->RefreshIdentity(FileIndex(1))));
}

TEST_F(WholeContentTest, R12_AChangeThatRestoresSizeAndTimeShowsInTheChangeTime) {
  ASSERT_TRUE(Send(2).ok());
  WriteFile(dir_ / "share/sub/second", "2econd");
  MakeOld(dir_ / "share/sub/second");
  EXPECT_TRUE(absl::IsFailedPrecondition(Send(2)));
}

TEST_F(WholeContentTest, P13_AFileReplacedByAnotherKindIsNotOpened) {
  const std::string path = dir_ / "share/sub/second";
  ASSERT_TRUE(Send(2).ok());
  std::filesystem::remove(path);
  ASSERT_EQ(::symlink("/etc/passwd", path.c_str()), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(Send(2))) << Send(2);
  std::filesystem::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0644), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(Send(2))) << Send(2);
  std::filesystem::remove(path);
  ASSERT_EQ(::mkdir(path.c_str(), 0755), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(Send(2))) << Send(2);
  std::filesystem::remove(path);
  std::filesystem::remove(dir_ / "share/sub");
  ASSERT_EQ(::symlink("/etc", (dir_ / "share/sub").c_str()), 0);
  EXPECT_FALSE(Send(2).ok());
}

TEST_F(WholeContentTest, P13_AFileReplacedByAnEqualOneIsStillAnotherFile) {
  ASSERT_TRUE(Send(2).ok());
  WriteFile(dir_ / "share/other", "second");
  std::filesystem::rename(dir_ / "share/other", dir_ / "share/sub/second");
  EXPECT_TRUE(absl::IsFailedPrecondition(Send(2)));
  ASSERT_TRUE(store_->RefreshIdentity(FileIndex(1)).ok());
  EXPECT_EQ(ReadSlice(*store_->PrepareToSend(ChunkIndex(2))), "second");
}

TEST_F(WholeContentTest, P10_OnlyFilesOfTheLayoutCanBeNamed) {
  WriteFile(dir_ / "share/not_shared", "secret");
  for (uint32_t chunk = 0; chunk < store_->layout().chunk_count(); ++chunk) {
    EXPECT_EQ(ReadSlice(*store_->PrepareToSend(ChunkIndex(chunk))).find("secret"),
              std::string::npos);
  }
}

TEST_F(WholeContentTest, MissingIdentitiesCountAsChanged) {
  const auto scanned = ScanShare(SystemFiles(), dir_ / "share", "share");
  auto opened = FileChunkManager::OpenWhole(SystemFiles(), dir_ / "share", scanned->layout, {});
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ((*opened)->ChangedFiles().size(), 2u);
  EXPECT_TRUE(absl::IsFailedPrecondition((*opened)->PrepareToSend(ChunkIndex(0)).status()));
}

TEST_F(WholeContentTest, P14_AReadErrorIsAnErrorOfThatChunkOnly) {
  FaultyFileSystem faulty(SystemFiles());
  Open(&faulty);
  ASSERT_TRUE(Send(0).ok());
  faulty.FailNth(FileOp::kRead, 1, EIO);
  EXPECT_TRUE(absl::IsDataLoss(Send(0)));
  EXPECT_TRUE(Send(0).ok());
  EXPECT_TRUE(Send(2).ok());
  store_.reset();
}

TEST_F(WholeContentTest, S16_MoreFilesThanDescriptorsAreServed) {
  std::filesystem::create_directories(dir_ / "many");
  for (int i = 0; i < 200; ++i)
    WriteFile(dir_ / "many/" + std::to_string(1000 + i), std::to_string(1000 + i));
  const auto scanned = ScanShare(SystemFiles(), dir_ / "many", "many");
  const auto many = *FileChunkManager::OpenWhole(SystemFiles(), dir_ / "many", scanned->layout,
                                                 scanned->identities);
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  const auto before = descriptors();
  for (uint32_t i = 0; i < 200; ++i) {
    EXPECT_EQ(ReadSlice(*many->PrepareToSend(ChunkIndex(i))), std::to_string(1000 + i));
  }
  EXPECT_LE(descriptors() - before, 70);
}

TEST_F(WholeContentTest, RemovesItsFilesAndTheDirectoriesLeftEmpty) {
  ASSERT_TRUE(store_->RemoveFiles().ok());
  EXPECT_FALSE(IsThere(dir_ / "share"));
  EXPECT_TRUE(store_->RemoveFiles().ok()) << "twice";
}

TEST_F(WholeContentTest, S12_RemovingLeavesChangedFilesAndOthers) {
  WriteFile(dir_ / "share/first", "somebody's work");
  WriteFile(dir_ / "share/other", "not of this share");
  const absl::Status status = store_->RemoveFiles();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("share/first was left"));
  EXPECT_EQ(ReadFile(dir_ / "share/first"), "somebody's work");
  EXPECT_EQ(ReadFile(dir_ / "share/other"), "not of this share");
  EXPECT_FALSE(IsThere(dir_ / "share/sub"));
}

TEST_F(WholeContentTest, S22_RemovingNeverFollowsALinkOutOfTheShare) {
  std::filesystem::rename(dir_ / "share/sub", dir_ / "moved");
  ASSERT_EQ(::symlink("../moved", (dir_ / "share/sub").c_str()), 0);
  EXPECT_FALSE(store_->RemoveFiles().ok());
  EXPECT_EQ(ReadFile(dir_ / "moved/second"), "second");
}

}  // namespace
}  // namespace p2p::store

#include "daemon/store/hashing.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>

#include "absl/strings/str_cat.h"
#include "core/content/merkle.h"
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
using testing_support::ReadFile;
using testing_support::TempDir;
using testing_support::WriteFile;

class HashingTest : public testing::Test {
 protected:
  std::string Pattern(size_t bytes) {
    std::string text(bytes, '\0');
    for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>((i * 31 + i / 251) & 0xff);
    return text;
  }

  TempDir dir_;
  WorkerPool pool_{3, "hash"};
};

Hash256 HashOf(const std::string& bytes, uint64_t file_bytes) {
  return content::ChunkHash(
      absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()),
      ByteCount(file_bytes));
}

TEST_F(HashingTest, AFilesChunksAndRootAreThoseOfItsBytes) {
  const std::string bytes = Pattern(40 * kChunk + 12345);
  WriteFile(dir_ / "file", bytes);
  auto progress = std::make_shared<WorkProgress>();
  const auto hashed = HashNow(SystemFiles(), &pool_, dir_ / "file", "file", progress);
  ASSERT_TRUE(hashed.ok()) << hashed.status();
  EXPECT_EQ(progress->bytes_done, bytes.size());
  EXPECT_TRUE(hashed->hashes->Complete());
  std::vector<Hash256> chunks;
  for (uint32_t i = 0; i < hashed->manifest->layout().chunk_count(); ++i) {
    chunks.push_back(HashOf(bytes.substr(i * kChunk, kChunk), bytes.size()));
    EXPECT_EQ(hashed->hashes->Get(ChunkIndex(i)), chunks.back()) << i;
  }
  EXPECT_EQ(hashed->manifest->root(FileIndex(0)), content::FileRoot(chunks));
  EXPECT_EQ(hashed->identities[0].size, bytes.size());
}

TEST_F(HashingTest, ManySmallFilesEmptyOnesAmongThem) {
  std::filesystem::create_directories(dir_ / "share/sub");
  for (int i = 0; i < 500; ++i) {
    WriteFile(dir_ / absl::StrCat("share/", i % 2 == 0 ? "sub/" : "", "f", i),
              Pattern(static_cast<size_t>(i) * 10));
  }
  const auto hashed = HashNow(SystemFiles(), &pool_, dir_ / "share", "share");
  ASSERT_TRUE(hashed.ok()) << hashed.status();
  const content::Layout& layout = hashed->manifest->layout();
  ASSERT_EQ(layout.files().size(), 500u);
  EXPECT_EQ(layout.chunk_count(), 499u);
  for (uint32_t i = 0; i < 500; ++i) {
    const content::LayoutFile& file = layout.file(FileIndex(i));
    if (file.chunk_count == 0) continue;
    const std::string bytes = ReadFile(dir_ / ("share/" + file.path));
    EXPECT_EQ(hashed->manifest->root(FileIndex(i)), HashOf(bytes, bytes.size())) << file.path;
  }
}

TEST_F(HashingTest, P05_SizesAroundAChunkAreHashed) {
  for (const size_t size :
       {size_t{0}, size_t{1}, size_t{kChunk - 1}, size_t{kChunk}, size_t{kChunk + 1}}) {
    const std::string path = dir_ / absl::StrCat("f", size);
    WriteFile(path, Pattern(size));
    const auto hashed = HashNow(SystemFiles(), &pool_, path, "f");
    ASSERT_TRUE(hashed.ok()) << size << hashed.status();
    EXPECT_EQ(hashed->manifest->layout().chunk_count(), (size + kChunk - 1) / kChunk) << size;
  }
}

TEST_F(HashingTest, OneThreadIsEnough) {
  WorkerPool single(1, "one");
  WriteFile(dir_ / "file", Pattern(3 * kChunk));
  EXPECT_TRUE(HashNow(SystemFiles(), &single, dir_ / "file", "file").ok());
}

TEST_F(HashingTest, UrgentJobsGetTheirTurnWhileASingleThreadHashes) {
  WriteFile(dir_ / "file", Pattern(64 * kChunk));
  auto progress = std::make_shared<WorkProgress>();
  std::atomic<uint64_t> done_when_urgent_ran{0};
  absl::Notification done;
  WorkerPool single(1, "one");
  HashShare(
      SystemFiles(), &single, DiskId::kUnknown, dir_ / "file", "file", progress,
      [&](ByteCount) {
        single.SubmitComputation(WorkerPool::Priority::kUrgent,
                                 [&] { done_when_urgent_ran = progress->bytes_done + 1; });
      },
      [&](const absl::StatusOr<HashedShare>& hashed) {
        EXPECT_TRUE(hashed.ok());
        done.Notify();
      });
  done.WaitForNotification();
  EXPECT_GT(done_when_urgent_ran, 0u);
  EXPECT_LT(done_when_urgent_ran, 64 * kChunk);
}

// Copies a share of `chunks` chunks into an unfinished download of it.
class CopyingTest : public HashingTest {
 protected:
  void Prepare(uint32_t chunks) {
    WriteFile(dir_ / "file", Pattern(chunks * kChunk - 5));
    share_ = HashNow(SystemFiles(), &pool_, dir_ / "file", "file");
    ASSERT_TRUE(share_.ok()) << share_.status();
    const LayoutPtr layout(share_->manifest, &share_->manifest->layout());
    from_ = *FileChunkManager::OpenWhole(SystemFiles(), dir_ / "file", layout, share_->identities);
    to_ = *FileChunkManager::CreatePart(SystemFiles(), dir_ / "copy", layout, ByteCount(0));
  }
  ChunkSet CopyWith(WorkerPool* pool) {
    absl::Notification done;
    CopyChunks(pool, from_, to_, share_->manifest, share_->hashes, progress_,
               [&] { done.Notify(); });
    done.WaitForNotification();
    return to_->ledger()->kept();
  }

  absl::StatusOr<HashedShare> share_ = absl::UnknownError("not hashed");
  std::shared_ptr<FileChunkManager> from_;
  std::shared_ptr<FileChunkManager> to_;
  std::shared_ptr<WorkProgress> progress_ = std::make_shared<WorkProgress>();
};

TEST_F(CopyingTest, E14_CopiesWhatIsWhatItWas) {
  Prepare(5);
  std::vector<uint8_t> wrong(10, 1);
  std::fstream(dir_ / "file", std::ios::in | std::ios::out | std::ios::binary)
      .seekp(static_cast<std::streamoff>(kChunk))
      .write(reinterpret_cast<const char*>(wrong.data()), 10);
  ChunkSet expected = AllChunks(share_->manifest->layout());
  expected.Remove(ChunkIndex(1));
  EXPECT_TRUE(CopyWith(&pool_) == expected);
  EXPECT_EQ(progress_->bytes_done, 4 * kChunk - 5);
  EXPECT_TRUE(VerifyNow(to_, &pool_, *share_, AllChunks(to_->layout())).good == expected);
}

TEST_F(CopyingTest, E14_OthersGetTheirTurnWhileASingleThreadCopies) {
  Prepare(64);
  std::atomic<uint64_t> done_when_urgent_ran{0};
  WorkerPool single(1, "one");
  // Each one that runs before the copying began makes way for another.
  std::function<void()> look = [&] {
    const uint64_t bytes = progress_->bytes_done;
    if (bytes == 0) return single.SubmitComputation(WorkerPool::Priority::kBulk, [&] { look(); });
    done_when_urgent_ran = bytes;
  };
  single.SubmitComputation(WorkerPool::Priority::kBulk, [&] { look(); });
  EXPECT_TRUE(CopyWith(&single).All());
  single.Stop();
  EXPECT_GT(done_when_urgent_ran, 0u);
  EXPECT_LT(done_when_urgent_ran, 64 * kChunk - 5);
}

TEST_F(CopyingTest, E14_EndsWhereItIsCancelled) {
  Prepare(5);
  progress_->cancelled = true;
  EXPECT_TRUE(CopyWith(&pool_).None());
}

TEST_F(HashingTest, ScanErrorsAreTold) {
  EXPECT_TRUE(absl::IsNotFound(HashNow(SystemFiles(), &pool_, dir_ / "none", "none").status()));
  ASSERT_EQ(::symlink("none", (dir_ / "link").c_str()), 0);
  EXPECT_TRUE(
      absl::IsInvalidArgument(HashNow(SystemFiles(), &pool_, dir_ / "link", "link").status()));
}

// Runs `change` after the scan, before anything is hashed.
absl::Status HashWhileChanging(WorkerPool* pool, const std::string& path,
                               const std::function<void()>& change) {
  absl::Status result;
  absl::Notification done;
  HashShare(
      SystemFiles(), pool, DiskId::kUnknown, path, "share", std::make_shared<WorkProgress>(),
      [&](ByteCount) { change(); },
      [&](const absl::StatusOr<HashedShare>& hashed) {
        result = hashed.status();
        done.Notify();
      });
  done.WaitForNotification();
  return result;
}

TEST_F(HashingTest, P12_AFileThatChangesWhileItIsHashedEndsItWithAdvice) {
  const std::string path = dir_ / "file";
  const std::string bytes = Pattern(2 * kChunk);
  const std::function<void()> changes[] = {
      [&] { WriteFile(path, Pattern(2 * kChunk - 1)); },
      [&] { ASSERT_EQ(::truncate(path.c_str(), 5), 0); },
      [&] { std::filesystem::remove(path); },
      [&] {
        WriteFile(dir_ / "other", bytes);
        std::filesystem::rename(dir_ / "other", path);
      },
      [&] { ASSERT_EQ(::chmod(path.c_str(), 0600), 0); },
  };
  for (const auto& change : changes) {
    WriteFile(path, bytes);
    // The change must not fall into the same tick of the file system's clock.
    const struct timespec old[2] = {{1000, 0}, {1000, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), old, 0), 0);
    const absl::Status status = HashWhileChanging(&pool_, path, change);
    EXPECT_TRUE(absl::IsAborted(status)) << status;
    EXPECT_THAT(
        std::string(status.message()),
        HasSubstr("file changed while it was being hashed; share it again when it is at rest"));
  }
}

TEST_F(HashingTest, CancellingEndsItSoon) {
  WriteFile(dir_ / "file", Pattern(64 * kChunk));
  auto progress = std::make_shared<WorkProgress>();
  absl::Status result;
  absl::Notification done;
  HashShare(
      SystemFiles(), &pool_, DiskId::kUnknown, dir_ / "file", "file", progress,
      [&](ByteCount) { progress->cancelled = true; },
      [&](const absl::StatusOr<HashedShare>& hashed) {
        result = hashed.status();
        done.Notify();
      });
  done.WaitForNotification();
  EXPECT_TRUE(absl::IsCancelled(result)) << result;
  EXPECT_LE(progress->bytes_done, 3 * kChunk);
}

TEST_F(HashingTest, S05_AReadErrorIsTold) {
  WriteFile(dir_ / "file", Pattern(3 * kChunk));
  FaultyFileSystem disk(SystemFiles());
  disk.FailNth(FileOp::kRead, 2, EIO);
  EXPECT_TRUE(absl::IsDataLoss(HashNow(&disk, &pool_, dir_ / "file", "file").status()));
}

class VerifyTest : public HashingTest {
 protected:
  VerifyTest() {
    std::filesystem::create_directories(dir_ / "share");
    WriteFile(dir_ / "share/large", Pattern(5 * kChunk + 1));
    WriteFile(dir_ / "share/small", "small");
    auto hashed = HashNow(SystemFiles(), &pool_, dir_ / "share", "share");
    EXPECT_TRUE(hashed.ok()) << hashed.status();
    share_ = *std::move(hashed);
    layout_ = LayoutPtr(share_.manifest, &share_.manifest->layout());
    store_ =
        *FileChunkManager::OpenWhole(SystemFiles(), dir_ / "share", layout_, share_.identities);
  }

  HashedShare share_;
  LayoutPtr layout_;
  std::shared_ptr<FileChunkManager> store_;
};

TEST_F(VerifyTest, R09_AHealthyShareIsAllGoodAndUntouched) {
  const auto before = store_->identities();
  const VerifiedChunks verified = VerifyNow(store_, &pool_, share_, AllChunks(*layout_));
  EXPECT_TRUE(verified.good.All());
  EXPECT_TRUE(verified.problem.ok()) << verified.problem;
  EXPECT_EQ(store_->identities(), before);
  EXPECT_TRUE(store_->ChangedFiles().empty());
}

TEST_F(VerifyTest, S11_AFlippedByteIsFound) {
  std::string bytes = ReadFile(dir_ / "share/large");
  bytes[3 * kChunk + 17] = static_cast<char>(bytes[3 * kChunk + 17] ^ 1);
  WriteFile(dir_ / "share/large", bytes);
  const VerifiedChunks verified = VerifyNow(store_, &pool_, share_, AllChunks(*layout_));
  EXPECT_EQ(verified.good.count(), layout_->chunk_count() - 1);
  EXPECT_FALSE(verified.good.Has(ChunkIndex(3)));
}

TEST_F(VerifyTest, OnlyTheChunksAskedForAreRead) {
  ChunkSet which(layout_->chunk_count());
  which.Add(ChunkIndex(2));
  const VerifiedChunks verified = VerifyNow(store_, &pool_, share_, which);
  EXPECT_EQ(verified.good, which);
}

TEST_F(VerifyTest, P12_AChangedFileThatIsStillEqualIsServedAgainAfterVerification) {
  WriteFile(dir_ / "share/small", "small");
  ASSERT_EQ(store_->ChangedFiles().size(), 1u);
  EXPECT_TRUE(VerifyNow(store_, &pool_, share_, AllChunks(*layout_)).good.All());
  ASSERT_TRUE(store_->RefreshIdentity(FileIndex(1)).ok());
  EXPECT_TRUE(store_->PrepareToSend(ChunkIndex(6)).ok());
}

TEST_F(VerifyTest, P12_AChangeAfterVerificationIsNotTakenOver) {
  EXPECT_TRUE(VerifyNow(store_, &pool_, share_, AllChunks(*layout_)).good.All());
  WriteFile(dir_ / "share/small", "lllms");
  EXPECT_TRUE(absl::IsAborted(store_->RefreshIdentity(FileIndex(1))));
}

TEST_F(VerifyTest, P11_MissingAndShortFilesAreWrongWithAReason) {
  std::filesystem::remove(dir_ / "share/small");
  ASSERT_EQ(::truncate((dir_ / "share/large").c_str(), 2 * kChunk), 0);
  const VerifiedChunks verified = VerifyNow(store_, &pool_, share_, AllChunks(*layout_));
  EXPECT_EQ(verified.good.count(), 2u);
  EXPECT_FALSE(verified.problem.ok());
}

TEST_F(VerifyTest, S05_UnreadableChunksAreWrongAndTheOthersGood) {
  FaultyFileSystem disk(SystemFiles());
  store_ = *FileChunkManager::OpenWhole(&disk, dir_ / "share", layout_, share_.identities);
  disk.FailNth(FileOp::kRead, 2, EIO);
  const VerifiedChunks verified = VerifyNow(store_, &pool_, share_, AllChunks(*layout_));
  EXPECT_EQ(verified.good.count(), layout_->chunk_count() - 1);
  EXPECT_TRUE(absl::IsDataLoss(verified.problem)) << verified.problem;
  store_.reset();
}

TEST_F(VerifyTest, S09_AnAdoptedDownloadIsProvenByItsHashes) {
  const auto adopted = FileChunkManager::AdoptFinished(SystemFiles(), dir_ / "share", layout_);
  ASSERT_TRUE(adopted.ok()) << adopted.status();
  EXPECT_TRUE(VerifyNow(*adopted, &pool_, share_, AllChunks(*layout_)).good.All());
}

}  // namespace
}  // namespace p2p::store

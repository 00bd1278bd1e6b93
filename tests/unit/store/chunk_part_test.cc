// Parts of chunks of an unfinished download: written, and sent before the chunk is whole.
#include "daemon/store/file_chunk_manager.h"
#include "gtest/gtest.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/store/store_test_support.h"

namespace p2p::store {
namespace {

using testing_support::FaultyFileSystem;
using testing_support::FileOp;
using testing_support::ReadFile;
using testing_support::TempDir;

constexpr uint32_t kPart = 4 * limits::kLeafBytes;

class ChunkPartTest : public testing::Test {
 protected:
  void Create(const LayoutPtr& layout, FileSystem* files = SystemFiles()) {
    store_ = CreatePart(target_, layout, files);
    ASSERT_NE(store_, nullptr);
  }

  // At most kPart bytes of the chunk from `offset` on.
  absl::Status Write(uint32_t chunk, uint32_t offset) {
    const std::vector<uint8_t> bytes = ChunkBytes(store_->layout(), ChunkIndex(chunk));
    return store_->WritePart(ChunkIndex(chunk), offset,
                             absl::MakeConstSpan(bytes).subspan(offset, kPart));
  }
  void ExpectSends(uint32_t chunk, uint32_t offset) {
    const std::vector<uint8_t> bytes = ChunkBytes(store_->layout(), ChunkIndex(chunk));
    const auto expected = absl::MakeConstSpan(bytes).subspan(offset, kPart);
    const auto slice =
        store_->PrepareToSend(ChunkIndex(chunk), offset, static_cast<uint32_t>(expected.size()));
    ASSERT_TRUE(slice.ok()) << slice.status();
    EXPECT_EQ(ReadSlice(*slice), std::string(expected.begin(), expected.end()));
  }

  TempDir dir_;
  const std::string target_ = dir_ / "target";
  // Also files of one chunk, which get their size only by what is written to them.
  const LayoutPtr tree_ = Tree(
      "tree", {{"large", 2 * kChunk + 2 * kPart + 1}, {"a/one", 5 * kPart + 3}, {"b", kChunk}});
  std::shared_ptr<FileChunkManager> store_;
};

TEST_F(ChunkPartTest, IsSentAsSoonAsItIsWrittenInAnyOrder) {
  Create(tree_);
  for (uint32_t chunk = 0; chunk < tree_->chunk_count(); ++chunk) {
    const uint32_t length = tree_->ChunkLength(ChunkIndex(chunk));
    const uint32_t parts = (length + kPart - 1) / kPart;
    for (uint32_t i = 0; i < parts; ++i) {
      // Every other one from the end on, then those between.
      const uint32_t from_end = 2 * i < parts ? 2 * i : 2 * (i - (parts + 1) / 2) + 1;
      const uint32_t offset = (parts - 1 - from_end) * kPart;
      ASSERT_TRUE(Write(chunk, offset).ok());
      ExpectSends(chunk, offset);
    }
    EXPECT_TRUE(HoldsTestChunk(store_.get(), ChunkIndex(chunk))) << chunk;
    EXPECT_TRUE(store_->ledger()->Keep(ChunkIndex(chunk)));
  }
  EXPECT_TRUE(store_->Sync().ok());
  ASSERT_TRUE(store_->Finish().ok());
  for (uint32_t chunk = 0; chunk < tree_->chunk_count(); ++chunk) ExpectSends(chunk, kPart);
}

TEST_F(ChunkPartTest, LeavesTheRestOfTheFileAsItIs) {
  Create(SingleFile("file", 2 * kChunk));
  ASSERT_TRUE(WriteTestChunk(store_.get(), ChunkIndex(1)).ok());
  ASSERT_TRUE(Write(0, kChunk - kPart).ok());
  EXPECT_TRUE(HoldsTestChunk(store_.get(), ChunkIndex(1)));
  ExpectSends(0, kChunk - kPart);
  const std::string before = ReadFile(target_ + ".part").substr(0, kChunk - kPart);
  EXPECT_EQ(before, std::string(kChunk - kPart, '\0'));
}

TEST_F(ChunkPartTest, IsNeverWrittenBeyondItsChunk) {
  Create(SingleFile("file", 2 * kChunk + 5));
  ASSERT_TRUE(WriteAllChunks(store_.get()).ok());
  const std::string before = ReadFile(target_ + ".part");
  const std::vector<uint8_t> bytes(kChunk + 1, 'x');
  for (const auto& [chunk, offset, length] :
       std::vector<std::array<uint32_t, 3>>{{0, 0, kChunk + 1},
                                            {0, 1, kChunk},
                                            {0, kChunk - 1, 2},
                                            {0, kChunk, 1},
                                            {0, kChunk, 0},
                                            {1, 0, 0},
                                            {2, 0, 6},
                                            {2, 5, 1},
                                            {2, 0xffff'ffff, 1},
                                            {2, 0xffff'ffff, 2},
                                            {2, 0xffff'fff0, kChunk}}) {
    const auto data = absl::MakeConstSpan(bytes).first(length);
    EXPECT_TRUE(absl::IsInvalidArgument(store_->WritePart(ChunkIndex(chunk), offset, data)))
        << length << " bytes at " << offset << " of chunk " << chunk;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(store_->WriteChunk(ChunkIndex(0), bytes)));
  EXPECT_EQ(ReadFile(target_ + ".part"), before);
}

TEST_F(ChunkPartTest, OutOfRangeIsRefusedWhetherTheChunkIsThereOrNot) {
  Create(tree_);
  for (const bool written : {false, true}) {
    if (written) {
      ASSERT_TRUE(WriteAllChunks(store_.get()).ok());
    }
    for (uint32_t chunk = 0; chunk < tree_->chunk_count(); ++chunk) {
      const uint32_t length = tree_->ChunkLength(ChunkIndex(chunk));
      for (const auto& [offset, bytes] : std::vector<std::pair<uint32_t, uint32_t>>{
               {0, 0}, {0, length + 1}, {length, 1}, {length - 1, 2}, {1, 0xffff'ffff}}) {
        EXPECT_TRUE(absl::IsInvalidArgument(
            store_->PrepareToSend(ChunkIndex(chunk), offset, bytes).status()));
      }
    }
  }
}

TEST_F(ChunkPartTest, OfAFileThatWasNotBegunIsNotThere) {
  Create(tree_);
  EXPECT_TRUE(absl::IsNotFound(store_->PrepareToSend(ChunkIndex(0), 0, kPart).status()));
  ASSERT_TRUE(Write(0, 0).ok());
  ExpectSends(0, 0);
}

TEST_F(ChunkPartTest, SurvivesAReopeningAndTheChunkCanBeCompleted) {
  Create(tree_);
  for (uint32_t chunk = 0; chunk < tree_->chunk_count(); ++chunk) {
    ASSERT_TRUE(Write(chunk, kPart).ok());
  }
  ASSERT_TRUE(store_->Sync().ok());
  ChunkSet intact(tree_->chunk_count());
  auto reopened = ReopenPart(SystemFiles(), target_, tree_, &intact);
  ASSERT_TRUE(reopened.ok()) << reopened.status();
  store_ = *std::move(reopened);
  for (uint32_t chunk = 0; chunk < tree_->chunk_count(); ++chunk) {
    ExpectSends(chunk, kPart);
    EXPECT_FALSE(HoldsTestChunk(store_.get(), ChunkIndex(chunk)));
    for (uint32_t at = 0; at < tree_->ChunkLength(ChunkIndex(chunk)); at += kPart) {
      ASSERT_TRUE(Write(chunk, at).ok());
    }
    EXPECT_TRUE(HoldsTestChunk(store_.get(), ChunkIndex(chunk)));
    EXPECT_TRUE(store_->ledger()->Keep(ChunkIndex(chunk)));
  }
  EXPECT_TRUE(store_->Finish().ok());
}

TEST_F(ChunkPartTest, IsCoveredByTheNextSync) {
  FaultyFileSystem disk(SystemFiles());
  Create(SingleFile("file", 2 * kChunk), &disk);
  ASSERT_TRUE(store_->Sync().ok());
  const int syncs = disk.calls(FileOp::kSync);
  ASSERT_TRUE(Write(1, kPart).ok());
  ASSERT_TRUE(store_->Sync().ok());
  EXPECT_EQ(disk.calls(FileOp::kSync), syncs + 1);
}

TEST_F(ChunkPartTest, S01_AFullDiskIsToldAndThePartCanBeWrittenLater) {
  FaultyFileSystem disk(SystemFiles());
  Create(SingleFile("file", 2 * kChunk), &disk);
  ASSERT_TRUE(Write(0, 0).ok());
  disk.FailEvery(FileOp::kWrite, ENOSPC);
  EXPECT_TRUE(FileChunkManager::IsDiskFull(Write(0, kPart)));
  ExpectSends(0, 0);
  disk.Heal();
  ASSERT_TRUE(Write(0, kPart).ok());
  ExpectSends(0, kPart);
}

}  // namespace
}  // namespace p2p::store

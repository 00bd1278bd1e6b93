#include "daemon/store/catalog.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "daemon/store/catalog_encoding.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/store/catalog_test_support.h"

namespace p2p::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing_support::IsThere;
using testing_support::TempDir;
using testing_support::WriteFile;

TEST(Catalog, KeepsRecordsAndContentOverARestart) {
  TempDir dir = TempDir::InMemory();
  std::vector<TransferRecord> records;
  {
    const auto catalog = OpenCatalog(dir.path());
    for (int i = 1; i <= 20; ++i) {
      records.push_back(SampleRecord(i));
      if (i == 3) records.back().content_id.reset();
      const auto id = catalog->Add(records.back());
      ASSERT_TRUE(id.ok()) << id.status();
      records.back().id = *id;
    }
    ASSERT_TRUE(catalog->SaveManifest(records[4].id, "info", std::string(100000, 'h')).ok());
    ASSERT_TRUE(catalog->SaveIdentities(records[4].id, SampleIdentities(3)).ok());
    ASSERT_TRUE(catalog->SaveHave(records[4].id, Claim(std::string("\0\xff\0", 3))).ok());
  }
  std::string recovered;
  const auto catalog = OpenCatalog(dir.path(), &recovered);
  EXPECT_EQ(recovered, "");
  const auto loaded = catalog->LoadTransfers();
  ASSERT_TRUE(loaded.ok());
  ASSERT_EQ(loaded->size(), records.size());
  for (size_t i = 0; i < records.size(); ++i) ExpectSame((*loaded)[i], records[i]);
  const auto content = catalog->LoadContent(records[4].id);
  ASSERT_TRUE(content.ok());
  EXPECT_EQ(content->info, "info");
  EXPECT_EQ(content->chunk_hashes, std::string(100000, 'h'));
  EXPECT_EQ(content->identities, SampleIdentities(3));
  EXPECT_EQ(content->have.chunks().ToBytes(), std::string("\0\xff\0", 3));
  EXPECT_FALSE(content->damaged);
  const auto none = catalog->LoadContent(records[5].id);
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->info.empty() && none->have.empty() && none->identities.empty() &&
              !none->damaged && !none->placed);
}

TEST(Catalog, ADownloadHasAPlaceOnceItsHaveSetWasSaved) {
  TempDir dir = TempDir::InMemory();
  const auto catalog = OpenCatalog(dir.path());
  TransferRecord record = SampleRecord(2);
  record.id = *catalog->Add(record);
  EXPECT_FALSE(catalog->LoadContent(record.id)->placed);
  TransferContent content;
  content.have = DurableChunks::None(1'000'000);
  ASSERT_TRUE(catalog->Save(record, content).ok());
  EXPECT_TRUE(catalog->LoadContent(record.id)->placed);
}

TEST(Catalog, AManifestThatIsThereIsNotWrittenAgain) {
  TempDir dir = TempDir::InMemory();
  const auto catalog = OpenCatalog(dir.path());
  const TransferId id = *catalog->Add(SampleRecord(1));
  const std::string hashes(100000, 'h');
  ASSERT_TRUE(catalog->SaveManifest(id, "info", "").ok());
  ASSERT_TRUE(catalog->SaveManifest(id, "info", hashes).ok());
  const auto size = std::filesystem::file_size(dir / "catalog.db-wal");
  ASSERT_TRUE(catalog->SaveManifest(id, "info", hashes).ok());
  EXPECT_EQ(std::filesystem::file_size(dir / "catalog.db-wal"), size);
  EXPECT_EQ(catalog->LoadContent(id)->chunk_hashes, hashes);
}

TEST(Catalog, ChangesReplaceWhatWasThere) {
  TempDir dir = TempDir::InMemory();
  const auto catalog = OpenCatalog(dir.path());
  TransferRecord record = SampleRecord(1);
  record.id = *catalog->Add(record);
  record.paused = true;
  record.path = "/elsewhere";
  record.error = "disk full";
  ASSERT_TRUE(catalog->Update(record).ok());
  ExpectSame(catalog->LoadTransfers()->at(0), record);
  ASSERT_TRUE(catalog->SaveHave(record.id, Claim("first")).ok());
  ASSERT_TRUE(catalog->SaveHave(record.id, Claim("second")).ok());
  EXPECT_EQ(catalog->LoadContent(record.id)->have.chunks().ToBytes(), "second");
}

TEST(Catalog, RemovingATransferRemovesItsContentAndItsIdIsNotUsedAgain) {
  TempDir dir = TempDir::InMemory();
  TransferId last;
  {
    const auto catalog = OpenCatalog(dir.path());
    (void)catalog->Add(SampleRecord(1));
    last = *catalog->Add(SampleRecord(2));
    ASSERT_TRUE(catalog->SaveHave(last, Claim("have")).ok());
    ASSERT_TRUE(catalog->Remove(last).ok());
    EXPECT_TRUE(catalog->Remove(last).ok());
    EXPECT_EQ(catalog->LoadContent(last)->have.chunks().ToBytes(), "");
    EXPECT_EQ(catalog->LoadTransfers()->size(), 1u);
  }
  const auto catalog = OpenCatalog(dir.path());
  EXPECT_GT(*catalog->Add(SampleRecord(3)), last);
}

TEST(Catalog, WhatBelongsToNoTransferIsNotFound) {
  TempDir dir = TempDir::InMemory();
  const auto catalog = OpenCatalog(dir.path());
  TransferRecord record = SampleRecord(1);
  record.id = TransferId(77);
  EXPECT_TRUE(absl::IsNotFound(catalog->Update(record)));
  EXPECT_TRUE(absl::IsNotFound(catalog->SaveHave(record.id, Claim("x"))));
  EXPECT_TRUE(absl::IsNotFound(catalog->SaveManifest(record.id, "x", "y")));
  EXPECT_TRUE(absl::IsNotFound(catalog->SaveIdentities(record.id, {})));
}

TEST(Catalog, TellsWhetherTheLastRunEndedCleanly) {
  TempDir dir = TempDir::InMemory();
  {
    const auto catalog = OpenCatalog(dir.path());
    EXPECT_FALSE(*catalog->BeginRun()) << "the first run";
  }
  {
    const auto catalog = OpenCatalog(dir.path());
    EXPECT_TRUE(*catalog->BeginRun()) << "it did not end with MarkClean";
    EXPECT_TRUE(catalog->MarkClean().ok());
  }
  EXPECT_FALSE(*OpenCatalog(dir.path())->BeginRun());
}

TEST(Catalog, X14_ItsFilesAreForTheirOwnerOnly) {
  TempDir dir = TempDir::InMemory();
  const auto catalog = OpenCatalog(dir.path());
  (void)catalog->Add(SampleRecord(1));
  for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
    struct stat status;
    ASSERT_EQ(::stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 077, 0u) << entry.path();
  }
}

// The process dies without closing anything, in the middle of many commits.
TEST(Catalog, R07_S09_ADeadProcessLeavesItsLastCommit) {
  TempDir dir = TempDir::InMemory();
  for (const int commits : {1, 7, 300, 1500}) {
    const pid_t child = ::fork();
    if (child == 0) {
      std::string recovered;
      auto catalog = Catalog::Open(dir.path(), &recovered);
      if (!catalog.ok()) ::_exit(1);
      (void)(*catalog)->BeginRun();
      TransferRecord record = SampleRecord(commits);
      const auto id = (*catalog)->Add(record);
      if (!id.ok()) ::_exit(2);
      // Larger than a page, and so much that the log is moved into the database meanwhile.
      for (int i = 1; i <= commits; ++i) {
        const std::string have(9000, static_cast<char>(i % 100));
        if (!(*catalog)->SaveHave(*id, Claim(have)).ok()) ::_exit(3);
      }
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
    std::string recovered;
    const auto catalog = OpenCatalog(dir.path(), &recovered);
    EXPECT_EQ(recovered, "");
    EXPECT_TRUE(*catalog->BeginRun());
    const auto transfers = catalog->LoadTransfers();
    ASSERT_TRUE(transfers.ok());
    const auto content = catalog->LoadContent(transfers->back().id);
    EXPECT_EQ(content->have.chunks().ToBytes(),
              std::string(9000, static_cast<char>(commits % 100)));
    EXPECT_TRUE(catalog->MarkClean().ok());
  }
}

TEST(Catalog, R06_ACatalogOfANewerVersionIsRefusedAndLeftAlone) {
  TempDir dir = TempDir::InMemory();
  { (void)OpenCatalog(dir.path())->Add(SampleRecord(1)); }
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open((dir / "catalog.db").c_str(), &raw), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(raw, "PRAGMA user_version=3; UPDATE meta SET value=3 WHERE key='schema'",
                         nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(raw);
  const std::string before = testing_support::ReadFile(dir / "catalog.db");
  std::string recovered;
  const auto refused = Catalog::Open(dir.path(), &recovered);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status())) << refused.status();
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("was written by a newer p2pd"));
  EXPECT_EQ(testing_support::ReadFile(dir / "catalog.db"), before);
}

TEST(Catalog, AMissingOrForbiddenDirectoryIsTold) {
  TempDir dir = TempDir::InMemory();
  std::string recovered;
  EXPECT_TRUE(absl::IsNotFound(Catalog::Open(dir / "none", &recovered).status()));
  WriteFile(dir / "file", "x");
  EXPECT_FALSE(Catalog::Open(dir / "file", &recovered).ok());
}

TEST(Catalog, IdentitiesAreEncodedTheSameOnEveryMachine) {
  const std::string bytes = EncodeIdentities({{1, 0x0203, 4, -1, 5}});
  EXPECT_EQ(bytes, std::string("\1\0\0\0\0\0\0\0\3\2\0\0\0\0\0\0\4\0\0\0\0\0\0\0", 24) +
                       std::string(8, '\xff') + std::string("\5\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(*DecodeIdentities(bytes), (std::vector<FileIdentity>{{1, 0x0203, 4, -1, 5}}));
  EXPECT_TRUE(absl::IsDataLoss(DecodeIdentities("odd").status()));
  EXPECT_TRUE(DecodeIdentities("")->empty());
}

TEST(Catalog, ChecksumsTellTheIdAndEveryBorderBetweenParts) {
  EXPECT_NE(RowChecksum(TransferId(1), {"a", "b"}), RowChecksum(TransferId(2), {"a", "b"}));
  EXPECT_NE(RowChecksum(TransferId(1), {"ab", ""}), RowChecksum(TransferId(1), {"a", "b"}));
  TransferRecord record = SampleRecord(1);
  const int64_t before = RecordChecksum(record);
  record.finished = !record.finished;
  EXPECT_NE(RecordChecksum(record), before);
}

TEST(Catalog, TrackersMayBeNone) {
  EXPECT_THAT(DecodeTrackers(EncodeTrackers({})), IsEmpty());
  EXPECT_THAT(DecodeTrackers(EncodeTrackers({"a:1", "b:2"})), ElementsAre("a:1", "b:2"));
}

}  // namespace
}  // namespace p2p::store

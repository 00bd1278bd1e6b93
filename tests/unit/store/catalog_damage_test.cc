// A catalog whose file was damaged: never a crash, never a claim that is not true, nothing thrown
// away.
#include <sqlite3.h>

#include <cstdlib>
#include <filesystem>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/store/catalog.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/store/catalog_test_support.h"

namespace p2p::store {
namespace {

using testing::HasSubstr;
using testing_support::ReadFile;
using testing_support::TempDir;
using testing_support::WriteFile;

constexpr int kTransfers = 12;

std::string HaveOf(int number) { return std::string(300, static_cast<char>(number)); }

class CatalogDamageTest : public testing::Test {
 protected:
  CatalogDamageTest() {
    TempDir made = TempDir::InMemory();
    {
      const auto catalog = OpenCatalog(made.path());
      for (int i = 1; i <= kTransfers; ++i) {
        TransferRecord record = SampleRecord(i);
        record.id = *catalog->Add(record);
        EXPECT_TRUE(
            catalog->SaveManifest(record.id, absl::StrCat("info ", i), std::string(500, 'h')).ok());
        EXPECT_TRUE(catalog->SaveIdentities(record.id, SampleIdentities(2)).ok());
        EXPECT_TRUE(catalog->SaveHave(record.id, Claim(HaveOf(i))).ok());
        records_[record.id.value()] = record;
      }
      EXPECT_TRUE(catalog->BeginRun().ok());  // so that the next start looks at all of it
    }
    healthy_ = ReadFile(made / "catalog.db");
    EXPECT_GT(healthy_.size(), 10000u);
  }

  // Opens a catalog with these bytes; whatever it gives must be what had been saved. Returns the
  // number of transfers that are left.
  size_t OpenAndCheck(const std::string& bytes) {
    TempDir dir = TempDir::InMemory();
    WriteFile(dir / "catalog.db", bytes);
    std::string recovered;
    auto catalog = Catalog::Open(dir.path(), &recovered);
    EXPECT_TRUE(catalog.ok()) << catalog.status();
    if (!catalog.ok()) return 0;
    const auto transfers = (*catalog)->LoadTransfers();
    EXPECT_TRUE(transfers.ok()) << transfers.status();
    if (!transfers.ok()) return 0;
    if (transfers->size() < kTransfers && !bytes.empty()) {
      EXPECT_THAT(recovered, HasSubstr("set aside"));
      EXPECT_TRUE(KeptAside(dir, bytes));
    }
    for (const TransferRecord& record : *transfers) {
      const auto saved = records_.find(record.id.value());
      EXPECT_NE(saved, records_.end());
      if (saved != records_.end()) ExpectSame(record, saved->second);
      CheckContent(catalog->get(), record.id);
    }
    EXPECT_TRUE((*catalog)->Add(SampleRecord(99)).ok());
    return transfers->size();
  }

  void CheckContent(Catalog* catalog, TransferId id) {
    const auto content = catalog->LoadContent(id);
    if (!content.ok()) {
      EXPECT_TRUE(absl::IsDataLoss(content.status())) << content.status();
      return;
    }
    const int number = static_cast<int>(id.value());
    EXPECT_TRUE(content->have.empty() || content->have.chunks().ToBytes() == HaveOf(number));
    EXPECT_TRUE(content->info.empty() || content->info == absl::StrCat("info ", number));
    EXPECT_TRUE(content->identities.empty() || content->identities == SampleIdentities(2));
  }

  // The catalog with nothing but zeros where a table begins.
  std::string WithoutTable(const std::string& table) {
    TempDir dir = TempDir::InMemory();
    WriteFile(dir / "catalog.db", healthy_);
    sqlite3* database = nullptr;
    EXPECT_EQ(sqlite3_open((dir / "catalog.db").c_str(), &database), SQLITE_OK);
    const std::string sql =
        absl::StrCat("SELECT rootpage FROM sqlite_master WHERE name='", table, "'");
    size_t root = 0;
    const auto take = [](void* out, int, char** columns, char**) {
      *static_cast<size_t*>(out) = std::strtoul(columns[0], nullptr, 10);
      return 0;
    };
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), take, &root, nullptr), SQLITE_OK);
    sqlite3_close(database);
    EXPECT_GT(root, 1u);
    std::string damaged = healthy_;
    return damaged.replace((root - 1) * 4096, 4096, 4096, '\0');
  }

  // Of what was taken over, `lost` could not be read.
  void CheckTakenOver(Catalog* catalog, const std::string& lost) {
    for (const auto& [id, record] : records_) {
      SCOPED_TRACE(id);
      const auto content = catalog->LoadContent(record.id);
      ASSERT_TRUE(content.ok()) << content.status();
      EXPECT_EQ(content->info, lost == "manifests" ? "" : absl::StrCat("info ", id));
      EXPECT_EQ(content->identities.size(), lost == "identities" ? 0u : 2u);
      EXPECT_TRUE(content->have.empty()) << "none is had before it was hashed";
      if (record.kind != TransferKind::kDownload || record.finished) continue;
      EXPECT_TRUE(content->placed);
      EXPECT_TRUE(content->damaged) << "what is there is to be hashed";
    }
  }

  static bool KeptAside(const TempDir& dir, const std::string& bytes) {
    for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
      const std::string name = entry.path().filename().string();
      if (absl::StartsWith(name, "catalog.db.corrupt-") && !absl::StrContains(name, "-wal")) {
        return std::filesystem::file_size(entry.path()) == bytes.size();
      }
    }
    return false;
  }

  std::string healthy_;
  std::map<uint64_t, TransferRecord> records_;
};

TEST_F(CatalogDamageTest, AHealthyOneIsWhole) { EXPECT_EQ(OpenAndCheck(healthy_), kTransfers); }

TEST_F(CatalogDamageTest, R04_AnEmptyOneIsAsIfThereWereNone) { EXPECT_EQ(OpenAndCheck(""), 0u); }

TEST_F(CatalogDamageTest, R04_R05_ZerosAndGarbageAreSetAside) {
  EXPECT_EQ(OpenAndCheck(std::string(healthy_.size(), '\0')), 0u);
  EXPECT_EQ(OpenAndCheck(std::string(10000, 'x')), 0u);
  EXPECT_EQ(OpenAndCheck("x"), 0u);
}

// $P2P_CATALOG_DAMAGE=all: every length and every bit, which takes a quarter of an hour.
bool Everywhere() {
  const char* wanted = std::getenv("P2P_CATALOG_DAMAGE");
  return wanted != nullptr && absl::string_view(wanted) == "all";
}

TEST_F(CatalogDamageTest, R03_TruncatedAnywhere) {
  const size_t step = Everywhere() ? 1 : 1 + healthy_.size() / 60;
  for (size_t size = 1; size < healthy_.size(); size += step) {
    SCOPED_TRACE(size);
    OpenAndCheck(healthy_.substr(0, size));
  }
}

TEST_F(CatalogDamageTest, R03_ABitFlippedAnywhere) {
  const bool all = Everywhere();
  size_t tried = 0;
  for (size_t at = 0; at < healthy_.size(); at += all || at < 100 ? 1 : 61, ++tried) {
    for (size_t bit = all ? 0 : tried % 8; bit < (all ? 8 : tried % 8 + 1); ++bit) {
      SCOPED_TRACE(absl::StrCat("bit ", bit, " of byte ", at));
      std::string damaged = healthy_;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      OpenAndCheck(damaged);
      if (HasFailure()) return;
    }
  }
}

TEST_F(CatalogDamageTest, S10_APageOfZerosCostsOnlyWhatWasOnIt) {
  size_t best = 0;
  for (size_t page = 1; page < healthy_.size() / 4096; ++page) {
    SCOPED_TRACE(page);
    std::string damaged = healthy_;
    damaged.replace(page * 4096, 4096, 4096, '\0');
    best = std::max(best, OpenAndCheck(damaged));
  }
  EXPECT_EQ(best, kTransfers) << "damage to a have-set loses no transfer";
}

TEST_F(CatalogDamageTest, R05_AfterDamageTheRunCountsAsUncleanAndIdsGoOn) {
  TempDir dir = TempDir::InMemory();
  std::string damaged = healthy_;
  const size_t name = damaged.find("name 5");
  ASSERT_NE(name, std::string::npos);
  damaged[name] = 'N';
  WriteFile(dir / "catalog.db", damaged);
  std::string recovered;
  const auto catalog = OpenCatalog(dir.path(), &recovered);
  EXPECT_THAT(recovered, HasSubstr("11 transfers were taken over"));
  EXPECT_TRUE(*catalog->BeginRun());
  EXPECT_EQ(catalog->LoadTransfers()->size(), kTransfers - 1u);
  EXPECT_EQ(catalog->LoadContent(TransferId(4))->info, "info 4");
  EXPECT_EQ(catalog->LoadContent(TransferId(4))->have.chunks().ToBytes(), "")
      << "to be hashed again";
  EXPECT_EQ(*catalog->Add(SampleRecord(50)), TransferId(kTransfers + 1));
}

TEST_F(CatalogDamageTest, R05_ATableThatCannotBeReadCostsWhatWasInItAndNothingElse) {
  for (const char* lost : {"manifests", "identities", "have", "part_files"}) {
    SCOPED_TRACE(lost);
    TempDir dir = TempDir::InMemory();
    WriteFile(dir / "catalog.db", WithoutTable(lost));
    std::string recovered;
    {
      const auto catalog = OpenCatalog(dir.path(), &recovered);
      EXPECT_THAT(recovered, HasSubstr("12 transfers were taken over"));
      CheckTakenOver(catalog.get(), lost);
      ASSERT_TRUE(catalog->MarkClean().ok());
    }
    // However long it takes until it is hashed.
    const auto catalog = OpenCatalog(dir.path(), &recovered);
    EXPECT_EQ(recovered, "");
    CheckTakenOver(catalog.get(), lost);
    ASSERT_TRUE(catalog->SaveHave(TransferId(2), Claim(HaveOf(2))).ok());
    EXPECT_FALSE(catalog->LoadContent(TransferId(2))->damaged);
  }
}

TEST_F(CatalogDamageTest, R05_DamageThatAStartDoesNotSeeIsFoundByTheNext) {
  TempDir dir = TempDir::InMemory();
  WriteFile(dir / "catalog.db", healthy_);
  ASSERT_TRUE(OpenCatalog(dir.path())->MarkClean().ok());
  healthy_ = ReadFile(dir / "catalog.db");
  WriteFile(dir / "catalog.db", WithoutTable("manifests"));
  std::string recovered;
  {
    const auto catalog = OpenCatalog(dir.path(), &recovered);
    EXPECT_EQ(recovered, "");
    EXPECT_FALSE(*catalog->BeginRun());
    const auto content = catalog->LoadContent(TransferId(4));
    ASSERT_TRUE(content.ok()) << content.status();
    EXPECT_TRUE(content->damaged);
    EXPECT_EQ(content->info, "");
    EXPECT_EQ(content->have.chunks().ToBytes(), HaveOf(4)) << "what can be read is there";
    ASSERT_TRUE(catalog->MarkClean().ok());
  }
  EXPECT_TRUE(*OpenCatalog(dir.path(), &recovered)->BeginRun());
  EXPECT_THAT(recovered, HasSubstr("12 transfers were taken over"));
}

TEST_F(CatalogDamageTest, R05_SettingAsideTwiceInASecondKeepsBoth) {
  TempDir dir = TempDir::InMemory();
  for (int i = 0; i < 3; ++i) {
    WriteFile(dir / "catalog.db", "garbage garbage");
    std::string recovered;
    OpenCatalog(dir.path(), &recovered);
    EXPECT_THAT(recovered, HasSubstr("set aside"));
  }
  int aside = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
    aside += absl::StrContains(entry.path().string(), ".corrupt-") ? 1 : 0;
  }
  EXPECT_EQ(aside, 3);
}

TEST_F(CatalogDamageTest, S10_ATornLogIsCutAtItsLastWholeCommit) {
  TempDir dir = TempDir::InMemory();
  std::string log;
  TransferId id;
  {
    const auto catalog = OpenCatalog(dir.path());
    id = *catalog->Add(SampleRecord(1));
    for (int i = 1; i <= 20; ++i) ASSERT_TRUE(catalog->SaveHave(id, Claim(HaveOf(i))).ok());
    // As they are on disk while the process runs.
    std::filesystem::copy_file(dir / "catalog.db", dir / "copy.db");
    log = ReadFile(dir / "catalog.db-wal");
  }
  ASSERT_GT(log.size(), 20000u);
  const std::string database = ReadFile(dir / "copy.db");
  int last = 20;
  for (size_t size = log.size(); size > 0; size -= std::min(size, size_t{1500})) {
    TempDir crashed = TempDir::InMemory();
    WriteFile(crashed / "catalog.db", database);
    WriteFile(crashed / "catalog.db-wal", log.substr(0, size));
    std::string recovered;
    const auto catalog = OpenCatalog(crashed.path(), &recovered);
    ASSERT_NE(catalog, nullptr);
    const auto transfers = catalog->LoadTransfers();
    ASSERT_TRUE(transfers.ok());
    if (transfers->empty()) break;
    const std::string have = catalog->LoadContent(transfers->at(0).id)->have.chunks().ToBytes();
    if (have.empty()) break;
    const int number = have[0];
    EXPECT_EQ(have, HaveOf(number));
    EXPECT_LE(number, last) << "an older log never shows a newer set";
    last = number;
  }
  EXPECT_LT(last, 20);
}

}  // namespace
}  // namespace p2p::store

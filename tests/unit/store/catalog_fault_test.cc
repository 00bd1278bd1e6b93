// The catalog when the disk is full or fails.
#include <sqlite3.h>

#include <filesystem>

#include "daemon/store/catalog.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/sqlite_faults.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/store/catalog_test_support.h"

namespace p2p::store {
namespace {

using testing_support::IsThere;
using testing_support::SqliteFaults;
using testing_support::TempDir;

class CatalogFaultTest : public testing::Test {
 protected:
  CatalogFaultTest() : catalog_(OpenCatalog(dir_.path())) {
    record_ = SampleRecord(1);
    record_.id = *catalog_->Add(record_);
    EXPECT_TRUE(catalog_->SaveHave(record_.id, Claim("have")).ok());
  }

  // The disk has no space but what the reserve holds.
  void FillDisk() {
    SqliteFaults::on_write = [this] { return IsThere(reserve_) ? SQLITE_FULL : SQLITE_OK; };
  }

  TempDir dir_ = TempDir::InMemory();
  SqliteFaults faults_;
  const std::string reserve_ = dir_ / "catalog.reserve";
  std::unique_ptr<Catalog> catalog_;
  TransferRecord record_;
};

TEST_F(CatalogFaultTest, S03_AFullDiskIsToldAndNothingIsLost) {
  SqliteFaults::on_write = [] { return SQLITE_FULL; };
  EXPECT_TRUE(absl::IsResourceExhausted(catalog_->SaveHave(record_.id, Claim("more"))));
  EXPECT_TRUE(absl::IsResourceExhausted(catalog_->Add(SampleRecord(2)).status()));
  EXPECT_TRUE(
      absl::IsResourceExhausted(catalog_->SaveManifest(record_.id, "i", std::string(50000, 'h'))));
  EXPECT_TRUE(absl::IsResourceExhausted(catalog_->SaveIdentities(record_.id, SampleIdentities(1))));
  EXPECT_EQ(catalog_->LoadContent(record_.id)->have.chunks().ToBytes(), "have");
  EXPECT_EQ(catalog_->LoadTransfers()->size(), 1u);
  SqliteFaults::on_write = nullptr;
  EXPECT_TRUE(catalog_->SaveHave(record_.id, Claim("more")).ok()) << "once there is space again";
  EXPECT_TRUE(catalog_->Add(SampleRecord(2)).ok());
  catalog_.reset();
  catalog_ = OpenCatalog(dir_.path());
  EXPECT_EQ(catalog_->LoadContent(record_.id)->have.chunks().ToBytes(), "more");
}

TEST_F(CatalogFaultTest, S03_PausingAndRemovingUseTheReserve) {
  ASSERT_EQ(std::filesystem::file_size(reserve_), 1u << 20);
  FillDisk();
  record_.paused = true;
  EXPECT_TRUE(catalog_->Update(record_).ok());
  EXPECT_FALSE(IsThere(reserve_));
  SqliteFaults::on_write = nullptr;
  ASSERT_TRUE(catalog_->Add(SampleRecord(2)).ok());
  EXPECT_TRUE(IsThere(reserve_)) << "put by again";
  FillDisk();
  EXPECT_TRUE(catalog_->Remove(record_.id).ok());
  SqliteFaults::on_write = nullptr;
  catalog_.reset();
  EXPECT_EQ(OpenCatalog(dir_.path())->LoadTransfers()->size(), 1u);
}

TEST_F(CatalogFaultTest, S03_EachWriteFailingInTurnLeavesTheOldOrTheNew) {
  const std::string old_have(20000, 'o');
  const std::string new_have(20000, 'n');
  for (int nth = 1;; ++nth) {
    ASSERT_TRUE(catalog_->SaveHave(record_.id, Claim(old_have)).ok());
    int countdown = nth;
    SqliteFaults::on_write = [&] { return --countdown == 0 ? SQLITE_FULL : SQLITE_OK; };
    const absl::Status status = catalog_->SaveHave(record_.id, Claim(new_have));
    SqliteFaults::on_write = nullptr;
    EXPECT_EQ(catalog_->LoadContent(record_.id)->have.chunks().ToBytes(),
              status.ok() ? new_have : old_have);
    catalog_.reset();
    std::string recovered;
    catalog_ = OpenCatalog(dir_.path(), &recovered);
    EXPECT_EQ(recovered, "");
    EXPECT_EQ(catalog_->LoadContent(record_.id)->have.chunks().ToBytes(),
              status.ok() ? new_have : old_have);
    if (countdown > 0) {
      EXPECT_GT(nth, 5) << "writes that failed in turn";
      break;
    }
  }
}

TEST_F(CatalogFaultTest, S06_AFailedSyncOfTheCatalogIsTold) {
  SqliteFaults::on_sync = [] { return SQLITE_IOERR_FSYNC; };
  EXPECT_TRUE(absl::IsUnavailable(catalog_->SaveHave(record_.id, Claim("more"))))
      << catalog_->SaveHave(record_.id, Claim("more"));
  SqliteFaults::on_sync = nullptr;
  EXPECT_TRUE(catalog_->SaveHave(record_.id, Claim("again")).ok());
  EXPECT_EQ(catalog_->LoadContent(record_.id)->have.chunks().ToBytes(), "again");
}

TEST_F(CatalogFaultTest, S03_AFullDiskAtTheStartIsToldAndTheCatalogIsNotSetAside) {
  catalog_.reset();
  TempDir fresh = TempDir::InMemory();
  SqliteFaults::on_write = [] { return SQLITE_FULL; };
  std::string recovered;
  const auto opened = Catalog::Open(fresh.path(), &recovered);
  EXPECT_TRUE(absl::IsResourceExhausted(opened.status())) << opened.status();
  SqliteFaults::on_write = [] { return SQLITE_IOERR_WRITE; };
  EXPECT_TRUE(absl::IsUnavailable(Catalog::Open(fresh.path(), &recovered).status()));
  SqliteFaults::on_write = nullptr;
  EXPECT_TRUE(Catalog::Open(fresh.path(), &recovered).ok());
  EXPECT_EQ(recovered, "");
}

}  // namespace
}  // namespace p2p::store

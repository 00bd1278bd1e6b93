// The catalog when SQLite gets no memory.
#include <sqlite3.h>

#include <filesystem>

#include "daemon/store/catalog.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/store/catalog_test_support.h"

namespace p2p::store {
namespace {

using testing_support::TempDir;

// While it lives, one allocation of SQLite fails when told to. Only while nothing is open.
class SqliteMemoryFault {
 public:
  SqliteMemoryFault() {
    sqlite3_shutdown();
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_);
    sqlite3_mem_methods failing = real_;
    failing.xMalloc = [](int size) { return Fails() ? nullptr : real_.xMalloc(size); };
    failing.xRealloc = [](void* old, int size) {
      return Fails() ? nullptr : real_.xRealloc(old, size);
    };
    sqlite3_config(SQLITE_CONFIG_MALLOC, &failing);
  }
  ~SqliteMemoryFault() {
    sqlite3_shutdown();
    sqlite3_config(SQLITE_CONFIG_MALLOC, &real_);
  }

  void FailNth(int nth) { left_ = nth; }
  // Nothing fails any more. Whether something had.
  bool Disarm() { return std::exchange(left_, 0) < 0; }

 private:
  static bool Fails() {
    if (left_ <= 0 || --left_ > 0) return false;
    left_ = -1;
    return true;
  }

  static inline sqlite3_mem_methods real_{};
  static inline int left_ = 0;  // until one fails; 0: none does; -1: one did
};

class CatalogMemoryTest : public testing::Test {
 protected:
  static constexpr int kTransfers = 3;

  CatalogMemoryTest() {
    const auto catalog = OpenCatalog(dir_.path());
    for (int i = 1; i <= kTransfers; ++i) {
      TransferRecord record = SampleRecord(i);
      record.id = *catalog->Add(record);
      EXPECT_TRUE(catalog->Save(record, OldContent()).ok());
      records_.push_back(record);
    }
  }

  static TransferContent OldContent() {
    TransferContent content;
    content.info = std::string(9'000, 'i');
    content.chunk_hashes = std::string(3'000, 'c');
    content.identities = SampleIdentities(3);
    content.have = Claim("old");
    return content;
  }

  void ExpectAllThere(Catalog& catalog) {
    const auto found = catalog.LoadTransfers();
    ASSERT_TRUE(found.ok()) << found.status();
    ASSERT_EQ(found->size(), records_.size());
    for (size_t i = 0; i < records_.size(); ++i) ExpectSame((*found)[i], records_[i]);
  }

  SqliteMemoryFault memory_;
  TempDir dir_ = TempDir::InMemory();
  std::vector<TransferRecord> records_;
};

TEST_F(CatalogMemoryTest, X10_AnAllocationThatFailsAtTheStartIsNoDamage) {
  int nth = 1;
  for (bool met = true; met; ++nth) {
    memory_.FailNth(nth);
    std::string recovered;
    auto catalog = Catalog::Open(dir_.path(), &recovered);
    if (catalog.ok()) {
      const auto unclean = (*catalog)->BeginRun();
      EXPECT_TRUE(unclean.ok() || absl::IsUnavailable(unclean.status())) << unclean.status();
      const auto found = (*catalog)->LoadTransfers();
      EXPECT_TRUE(found.ok() ? found->size() == kTransfers : absl::IsUnavailable(found.status()))
          << found.status();
      const auto content = (*catalog)->LoadContent(records_[0].id);
      if (content.ok()) {
        EXPECT_FALSE(content->damaged);
        EXPECT_EQ(content->info, OldContent().info);
        EXPECT_EQ(content->have.chunks().ToBytes(), "old");
      } else {
        EXPECT_TRUE(absl::IsUnavailable(content.status())) << content.status();
      }
    } else {
      EXPECT_TRUE(absl::IsUnavailable(catalog.status())) << catalog.status();
    }
    met = memory_.Disarm();
    EXPECT_EQ(recovered, "") << "allocation " << nth;
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path())) {
      ASSERT_EQ(entry.path().string().find("corrupt"), std::string::npos) << "allocation " << nth;
    }
    if (catalog.ok()) ExpectAllThere(**catalog);
    ASSERT_FALSE(HasFailure()) << "allocation " << nth;
  }
  EXPECT_GT(nth, 100);
}

TEST_F(CatalogMemoryTest, X10_AnAllocationThatFailsInASaveLeavesTheOldOrTheNew) {
  TransferContent fresh;
  fresh.info = std::string(10'000, 'I');
  fresh.chunk_hashes = std::string(2'000, 'C');
  fresh.have = Claim("new");
  const TransferContent old = OldContent();
  int nth = 1;
  for (bool met = true; met; ++nth) {
    TransferRecord& record = records_[1];
    std::string recovered;
    auto catalog = OpenCatalog(dir_.path(), &recovered);
    ASSERT_NE(catalog, nullptr);
    ASSERT_TRUE(catalog->Save(record, old).ok());
    TransferRecord renamed = record;
    renamed.error = "an error " + std::to_string(nth);
    memory_.FailNth(nth);
    const absl::Status saved = catalog->Save(renamed, fresh);
    met = memory_.Disarm();
    EXPECT_TRUE(saved.ok() || absl::IsUnavailable(saved)) << saved;
    if (saved.ok()) record = renamed;
    for (int looks = 0; looks < 2; ++looks) {
      ExpectAllThere(*catalog);
      const auto content = catalog->LoadContent(record.id);
      ASSERT_TRUE(content.ok()) << content.status();
      EXPECT_FALSE(content->damaged);
      EXPECT_EQ(content->info, saved.ok() ? fresh.info : old.info);
      EXPECT_EQ(content->chunk_hashes, saved.ok() ? fresh.chunk_hashes : old.chunk_hashes);
      EXPECT_EQ(content->have.chunks().ToBytes(), saved.ok() ? "new" : "old");
      EXPECT_EQ(content->identities.size(), old.identities.size());
      catalog.reset();
      catalog = OpenCatalog(dir_.path(), &recovered);
      EXPECT_EQ(recovered, "");
    }
    ASSERT_FALSE(HasFailure()) << "allocation " << nth;
  }
  EXPECT_GT(nth, 3);
}

}  // namespace
}  // namespace p2p::store

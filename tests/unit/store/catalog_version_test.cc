// Catalogs that earlier versions wrote are read by this one, and the tables of a version never
// change.
#include <sqlite3.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/content/manifest.h"
#include "daemon/store/catalog.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/store/catalog_test_support.h"

namespace p2p::store {
namespace {

using testing_support::IsThere;
using testing_support::TempDir;

std::string FileOfVersion(int version) {
  return absl::StrCat(P2P_CATALOG_FILES, "/version-", version, ".db");
}

// The first column of all rows, a line each. The database is not written to.
std::string Query(const std::string& path, const char* sql) {
  std::string rows;
  sqlite3* database = nullptr;
  const std::string uri = absl::StrCat("file:", path, "?immutable=1");
  EXPECT_EQ(
      sqlite3_open_v2(uri.c_str(), &database, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, nullptr),
      SQLITE_OK);
  const auto add = [](void* out, int, char** columns, char**) {
    absl::StrAppend(static_cast<std::string*>(out), columns[0] == nullptr ? "" : columns[0], "\n");
    return 0;
  };
  EXPECT_EQ(sqlite3_exec(database, sql, add, &rows, nullptr), SQLITE_OK)
      << sqlite3_errmsg(database);
  sqlite3_close(database);
  return rows;
}

int CurrentVersion() {
  TempDir dir = TempDir::InMemory();
  (void)OpenCatalog(dir.path());
  return std::stoi(Query(dir / "catalog.db", "PRAGMA user_version"));
}

void ExpectContent(Catalog* catalog, const TransferRecord& record, bool with_hashes,
                   const std::string& have, size_t identities) {
  const auto content = catalog->LoadContent(record.id);
  ASSERT_TRUE(content.ok()) << content.status();
  EXPECT_FALSE(content->damaged);
  EXPECT_EQ(content->have.chunks().ToBytes(), have);
  EXPECT_EQ(content->identities.size(), identities);
  auto manifest = content::Manifest::Parse(content->info);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->content_id(), record.content_id);
  EXPECT_EQ(manifest->layout().total_bytes().value(), record.size_bytes);
  const auto shared = std::make_shared<const content::Manifest>(*std::move(manifest));
  if (!with_hashes) return;
  const auto hashes = content::ChunkHashes::Decode(shared, content->chunk_hashes);
  ASSERT_TRUE(hashes.ok()) << hashes.status();
  EXPECT_TRUE(hashes->Complete());
}

void ExpectSample(Catalog* catalog, int version) {
  const auto loaded = catalog->LoadTransfers();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  ASSERT_EQ(loaded->size(), 3u);
  const TransferRecord& share = loaded->at(0);
  EXPECT_EQ(share.kind, TransferKind::kShare);
  EXPECT_EQ(share.name, "mine.bin");
  EXPECT_EQ(share.path, "/tmp/golden/mine.bin");
  EXPECT_EQ(share.content_id->Hex(),
            "8deb31f88693ecf3d1493df965a900c4544b96456feb16bcfb8d1e2a0907ccaa");
  ExpectContent(catalog, share, /*with_hashes=*/false, "", 1);
  EXPECT_EQ(catalog->LoadContent(share.id)->identities[0],
            (FileIdentity{0xfe00, 0xa8201d, 20000, 0x18eb00372c69edea, 0x18eb00372c69edea}));
  const TransferRecord& finished = loaded->at(1);
  EXPECT_EQ(finished.kind, TransferKind::kDownload);
  EXPECT_EQ(finished.name, "ein Baum");
  EXPECT_TRUE(finished.finished && finished.verified && !finished.paused);
  ExpectContent(catalog, finished, /*with_hashes=*/true, "\xc0", 2);
  const TransferRecord& paused = loaded->at(2);
  EXPECT_EQ(paused.id, TransferId(3));
  EXPECT_TRUE(paused.paused && !paused.finished);
  EXPECT_EQ(paused.trackers, std::vector<std::string>{"127.0.0.1:8080"});
  EXPECT_EQ(paused.added_unix_seconds, 1795529114);
  ExpectContent(catalog, paused, /*with_hashes=*/true, "\x70", 0);
  const auto part_files = catalog->LoadContent(paused.id)->part_files;
  // Version 1 did not know what the files of a .part were.
  ASSERT_EQ(part_files.size(), version == 1 ? 0u : 1u);
  if (version > 1) {
    EXPECT_EQ(part_files[0],
              (FileIdentity{0xfe00, 0xa82020, 20000, 0x18eb00372c69edea, 0x18eb00372c69edea}));
  }
}

TEST(CatalogVersion, R06_X15_EveryVersionThatWasWrittenIsRead) {
  const int current = CurrentVersion();
  ASSERT_GE(current, 1);
  for (int version = 1; version <= current; ++version) {
    SCOPED_TRACE(version);
    ASSERT_TRUE(IsThere(FileOfVersion(version))) << "a catalog of each version belongs there";
    TempDir dir = TempDir::InMemory();
    std::filesystem::copy_file(FileOfVersion(version), dir / "catalog.db");
    for (int life = 0; life < 2; ++life) {
      std::string recovered;
      const auto catalog = OpenCatalog(dir.path(), &recovered);
      ASSERT_NE(catalog, nullptr);
      EXPECT_EQ(recovered, "");
      EXPECT_FALSE(*catalog->BeginRun()) << "it was closed in good order";
      ExpectSample(catalog.get(), version);
      EXPECT_TRUE(catalog->MarkClean().ok());
    }
  }
}

TEST(CatalogVersion, R06_X15_TheTablesOfAVersionAreWhatTheyWere) {
  TempDir dir = TempDir::InMemory();
  (void)OpenCatalog(dir.path());
  constexpr char kTables[] = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
  EXPECT_EQ(Query(dir / "catalog.db", kTables), Query(FileOfVersion(CurrentVersion()), kTables));
}

}  // namespace
}  // namespace p2p::store

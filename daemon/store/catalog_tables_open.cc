// The catalog's tables of each version, and how older ones are brought forward.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/store/catalog_files.h"
#include "daemon/store/catalog_tables.h"

namespace p2p::store {
namespace {

// Raised with every change of the tables; the change adds a step that brings older catalogs
// forward.
constexpr int64_t kSchemaVersion = 2;

// No shared-memory file: the state directory's lock keeps others out. A small cache: an idle daemon
// is small.
constexpr char kSettings[] =
    "PRAGMA locking_mode=EXCLUSIVE;"
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=FULL;"
    "PRAGMA foreign_keys=ON;"
    "PRAGMA secure_delete=OFF;"
    "PRAGMA mmap_size=0;"
    "PRAGMA temp_store=MEMORY;"
    "PRAGMA cache_size=-1024;"             // KiB
    "PRAGMA journal_size_limit=4194304;";  // bytes

// The big parts have tables of their own, so that committing a have-set does not write a manifest
// again.
constexpr char kSchemaOne[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL);"
    "CREATE TABLE transfers(id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, name TEXT "
    "NOT NULL,"
    " path TEXT NOT NULL, content_id BLOB, source TEXT NOT NULL, paused INTEGER NOT NULL,"
    " finished INTEGER NOT NULL, verified INTEGER NOT NULL, size_bytes INTEGER NOT NULL, error "
    "TEXT NOT NULL,"
    " trackers TEXT NOT NULL, added INTEGER NOT NULL, checksum INTEGER NOT NULL);"
    "CREATE TABLE manifests(id INTEGER PRIMARY KEY REFERENCES transfers(id) ON DELETE CASCADE,"
    " info BLOB NOT NULL, chunk_hashes BLOB NOT NULL, checksum INTEGER NOT NULL);"
    "CREATE TABLE identities(id INTEGER PRIMARY KEY REFERENCES transfers(id) ON DELETE CASCADE,"
    " data BLOB NOT NULL, checksum INTEGER NOT NULL);"
    "CREATE TABLE have(id INTEGER PRIMARY KEY REFERENCES transfers(id) ON DELETE CASCADE,"
    " data BLOB NOT NULL, checksum INTEGER NOT NULL);"
    "INSERT INTO meta VALUES('schema',1),('clean',1);"
    "PRAGMA user_version=1;"
    "COMMIT;";

// From version 1 to 2: the files of unfinished downloads, a row for each, so that a commit writes
// those that changed.
constexpr char kSchemaTwo[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE part_files(id INTEGER NOT NULL REFERENCES transfers(id) ON DELETE CASCADE,"
    " file INTEGER NOT NULL, data BLOB NOT NULL, checksum INTEGER NOT NULL,"
    " PRIMARY KEY(id, file)) WITHOUT ROWID;"
    "UPDATE meta SET value=2 WHERE key='schema';"
    "PRAGMA user_version=2;"
    "COMMIT;";

}  // namespace

absl::StatusOr<std::unique_ptr<CatalogTables>> CatalogTables::Open(const std::string& path) {
  std::unique_ptr<CatalogTables> tables(new CatalogTables());
  P2P_RETURN_IF_ERROR(MakePrivateFile(path));
  // SQLite itself writes over what is too short to be a database_.
  P2P_ASSIGN_OR_RETURN(const bool plausible, IsEmptyOrDatabase(path));
  if (!plausible) return absl::DataLossError(absl::StrCat(Printable(path), " is no catalog"));
  P2P_ASSIGN_OR_RETURN(tables->database_, Database::Open(path));
  P2P_RETURN_IF_ERROR(tables->database_->Execute(kSettings));
  P2P_ASSIGN_OR_RETURN(const int64_t count,
                       tables->database_->QueryInteger("SELECT count(*) FROM sqlite_schema"));
  if (count == 0) P2P_RETURN_IF_ERROR(tables->database_->Execute(kSchemaOne));
  P2P_RETURN_IF_ERROR(tables->CheckVersion(path));
  P2P_RETURN_IF_ERROR(tables->Prepare());
  if (tables->version_ >= 2) P2P_RETURN_IF_ERROR(tables->PreparePartFiles());
  return tables;
}

absl::Status CatalogTables::CheckVersion(const std::string& path) {
  P2P_ASSIGN_OR_RETURN(const int64_t version, database_->QueryInteger("PRAGMA user_version"));
  // It stands there twice, so that damage does not pass for another version.
  const auto again = database_->QueryInteger("SELECT value FROM meta WHERE key='schema'");
  const bool is_read = again.ok() || absl::IsNotFound(again.status());
  if (!is_read) return again.status();
  if (!again.ok() || *again != version || version < 1) {
    return absl::DataLossError("the catalog does not tell its version");
  }
  version_ = version;
  if (version <= kSchemaVersion) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the catalog ", Printable(path), " was written by a newer p2pd (version ", version,
      ", this one knows ", kSchemaVersion, "); start that one, or choose another --state-dir"));
}

absl::Status CatalogTables::Upgrade() {
  if (version_ >= 2) return absl::OkStatus();
  const absl::Status status = database_->Execute(kSchemaTwo);
  if (!status.ok()) {
    (void)database_->Execute("ROLLBACK");
    return status;
  }
  version_ = 2;
  return PreparePartFiles();
}

absl::Status CatalogTables::Prepare() {
  return PrepareAll({
      {&list_,
       "SELECT "
       "id,kind,name,path,content_id,source,paused,finished,verified,size_bytes,error,trackers,"
       "added,"
       "checksum FROM transfers ORDER BY id"},
      {&insert_, "INSERT INTO transfers VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)"},
      {&update_,
       "UPDATE transfers SET "
       "kind=?,name=?,path=?,content_id=?,source=?,paused=?,finished=?,verified=?,"
       "size_bytes=?,error=?,trackers=?,added=?,checksum=? WHERE id=?"},
      {&remove_, "DELETE FROM transfers WHERE id=?"},
      {&load_manifest_, "SELECT info,chunk_hashes,checksum FROM manifests WHERE id=?"},
      {&load_identities_, "SELECT data,checksum FROM identities WHERE id=?"},
      {&load_have_, "SELECT data,checksum FROM have WHERE id=?"},
      {&save_manifest_,
       "INSERT INTO manifests VALUES(?1,?2,?3,?4) ON CONFLICT(id) DO UPDATE SET info=?2,"
       "chunk_hashes=?3,checksum=?4 WHERE info<>?2 OR chunk_hashes<>?3 OR checksum<>?4"},
      {&save_identities_,
       "INSERT INTO identities VALUES(?1,?2,?3) ON CONFLICT(id) DO UPDATE SET data=?2,checksum=?3"},
      {&save_have_,
       "INSERT INTO have VALUES(?1,?2,?3) ON CONFLICT(id) DO UPDATE SET data=?2,checksum=?3"},
  });
}

absl::Status CatalogTables::PreparePartFiles() {
  return PrepareAll({
      {&load_part_files_, "SELECT file,data,checksum FROM part_files WHERE id=? ORDER BY file"},
      {&save_part_file_,
       "INSERT INTO part_files VALUES(?1,?2,?3,?4) ON CONFLICT(id,file) DO UPDATE SET data=?3,"
       "checksum=?4"},
      {&forget_part_files_, "DELETE FROM part_files WHERE id=?"},
  });
}

absl::Status CatalogTables::PrepareAll(std::initializer_list<ToPrepare> all) {
  for (const ToPrepare& row : all) {
    P2P_ASSIGN_OR_RETURN(*row.statement, database_->Prepare(row.sql));
  }
  return absl::OkStatus();
}

}  // namespace p2p::store

#include "daemon/store/catalog_tables.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/store/catalog_encoding.h"
#include "daemon/store/catalog_files.h"

namespace p2p::store {
namespace {

// Raised with every change of the tables; the change adds a step that brings older catalogs
// forward.
constexpr int64_t kSchemaVersion = 1;

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
constexpr char kSchema[] =
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

// Ids beyond this are not believed of a damaged catalog.
constexpr int64_t kMostBelievableId = int64_t{1} << 48;

// The columns after the id, in the order of the table.
void BindRecord(const TransferRecord& record, Statement* statement) {
  statement->Bind(record.kind == TransferKind::kShare ? 0 : 1)
      .BindText(record.name)
      .BindText(record.path);
  if (record.content_id.has_value()) {
    statement->BindBlob(record.content_id->hash.AsView());
  } else {
    statement->BindNull();
  }
  statement->BindText(record.source)
      .Bind(record.paused ? 1 : 0)
      .Bind(record.finished ? 1 : 0)
      .Bind(EncodeTrust(record))
      .Bind(static_cast<int64_t>(record.size_bytes))
      .BindText(record.error)
      .BindText(EncodeTrackers(record.trackers))
      .Bind(record.added_unix_seconds)
      .Bind(RecordChecksum(record));
}

}  // namespace

TransferRecord RecordFromRow(const Statement& row) {
  TransferRecord record;
  record.id = TransferId(static_cast<uint64_t>(row.Integer(0)));
  record.kind = row.Integer(1) == 0 ? TransferKind::kShare : TransferKind::kDownload;
  record.name = row.Bytes(2);
  record.path = row.Bytes(3);
  const std::string content_id = row.Bytes(4);
  if (content_id.size() == sizeof(Hash256::bytes)) {
    record.content_id = ContentId{Hash256::FromBytes(absl::MakeConstSpan(
        reinterpret_cast<const uint8_t*>(content_id.data()), content_id.size()))};
  }
  record.source = row.Bytes(5);
  record.paused = row.Integer(6) != 0;
  record.finished = row.Integer(7) != 0;
  DecodeTrust(row.Integer(8), &record);
  record.size_bytes = static_cast<uint64_t>(row.Integer(9));
  record.error = row.Bytes(10);
  record.trackers = DecodeTrackers(row.Bytes(11));
  record.added_unix_seconds = row.Integer(12);
  return record;
}

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
  if (count == 0) P2P_RETURN_IF_ERROR(tables->database_->Execute(kSchema));
  P2P_RETURN_IF_ERROR(tables->CheckVersion(path));
  P2P_RETURN_IF_ERROR(tables->Prepare());
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
  if (version <= kSchemaVersion) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the catalog ", Printable(path), " was written by a newer p2pd (version ", version,
      ", this one knows ", kSchemaVersion, "); start that one, or choose another --state-dir"));
}

absl::Status CatalogTables::Prepare() {
  const struct {
    Statement* statement;
    const char* sql;
  } all[] = {
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
       "chunk_hashes=?3,checksum=?4"},
      {&save_identities_,
       "INSERT INTO identities VALUES(?1,?2,?3) ON CONFLICT(id) DO UPDATE SET data=?2,checksum=?3"},
      {&save_have_,
       "INSERT INTO have VALUES(?1,?2,?3) ON CONFLICT(id) DO UPDATE SET data=?2,checksum=?3"},
  };
  for (const auto& row : all) {
    P2P_ASSIGN_OR_RETURN(*row.statement, database_->Prepare(row.sql));
  }
  return absl::OkStatus();
}

// Reading it all is for after a crash only; the rows are few and always looked at.
absl::Status CatalogTables::CheckWhole() {
  // A damaged header can say that nothing may be written.
  if (database_->read_only())
    return absl::PermissionDeniedError("the catalog cannot be written to");
  const auto clean = IsClean();
  if (absl::IsNotFound(clean.status())) {
    return absl::DataLossError("the catalog is damaged: a row is missing");
  }
  P2P_RETURN_IF_ERROR(clean.status());
  if (!*clean) {
    P2P_ASSIGN_OR_RETURN(const std::string found, database_->QueryText("PRAGMA quick_check(1)"));
    if (found != "ok") return database_->Damaged(found);
  }
  std::vector<TransferRecord> records;
  size_t damaged = 0;
  P2P_RETURN_IF_ERROR(Load(&records, &damaged));
  if (damaged == 0) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(damaged, " transfers in the catalog are damaged"));
}

absl::Status CatalogTables::Load(std::vector<TransferRecord>* records, size_t* damaged) {
  list_.Start();
  while (true) {
    P2P_ASSIGN_OR_RETURN(const bool row, list_.Step());
    if (!row) return absl::OkStatus();
    TransferRecord record = RecordFromRow(list_);
    if (list_.Integer(13) == RecordChecksum(record)) {
      records->push_back(std::move(record));
    } else {
      ++*damaged;
    }
  }
}

absl::StatusOr<TransferContent> CatalogTables::LoadContent(TransferId id) {
  TransferContent content;
  const auto key = static_cast<int64_t>(id.value());
  P2P_ASSIGN_OR_RETURN(bool row, load_manifest_.Start().Bind(key).Step());
  if (row) {
    content.info = load_manifest_.Bytes(0);
    content.chunk_hashes = load_manifest_.Bytes(1);
    if (load_manifest_.Integer(2) != RowChecksum(id, {content.info, content.chunk_hashes})) {
      content.info.clear();
      content.chunk_hashes.clear();
      content.damaged = true;
    }
  }
  load_manifest_.Finish();
  P2P_ASSIGN_OR_RETURN(row, load_identities_.Start().Bind(key).Step());
  if (row) {
    const std::string bytes = load_identities_.Bytes(0);
    auto identities = DecodeIdentities(bytes);
    const bool intact = identities.ok() && load_identities_.Integer(1) == RowChecksum(id, {bytes});
    if (intact) content.identities = *std::move(identities);
    content.damaged |= !intact;
  }
  load_identities_.Finish();
  P2P_ASSIGN_OR_RETURN(row, load_have_.Start().Bind(key).Step());
  if (row) {
    content.have = load_have_.Bytes(0);
    if (load_have_.Integer(1) != RowChecksum(id, {content.have})) {
      content.have.clear();
      content.damaged = true;
    }
  }
  load_have_.Finish();
  return content;
}

absl::Status CatalogTables::Insert(const TransferRecord& record, bool with_id) {
  insert_.Start();
  if (with_id) {
    insert_.Bind(static_cast<int64_t>(record.id.value()));
  } else {
    insert_.BindNull();
  }
  BindRecord(record, &insert_);
  return insert_.Run();
}

absl::Status CatalogTables::SaveManifest(TransferId id, absl::string_view info,
                                         absl::string_view chunk_hashes) {
  return save_manifest_.Start()
      .Bind(static_cast<int64_t>(id.value()))
      .BindBlob(info)
      .BindBlob(chunk_hashes)
      .Bind(RowChecksum(id, {info, chunk_hashes}))
      .Run();
}

absl::Status CatalogTables::SaveBlob(Statement* statement, TransferId id, absl::string_view data) {
  return statement->Start()
      .Bind(static_cast<int64_t>(id.value()))
      .BindBlob(data)
      .Bind(RowChecksum(id, {data}))
      .Run();
}

absl::Status CatalogTables::Atomically(absl::FunctionRef<absl::Status()> write) {
  P2P_RETURN_IF_ERROR(database_->Execute("BEGIN IMMEDIATE"));
  absl::Status status = write();
  if (status.ok()) status = database_->Execute("COMMIT");
  // Fails when SQLite rolled back by itself.
  if (!status.ok()) (void)database_->Execute("ROLLBACK");
  return status;
}

absl::StatusOr<TransferId> CatalogTables::Add(const TransferRecord& record) {
  // The checksum covers the id, which is known only afterwards.
  TransferRecord with_id = record;
  const absl::Status added = Atomically([&]() -> absl::Status {
    P2P_RETURN_IF_ERROR(Insert(record, /*with_id=*/false));
    with_id.id = TransferId(static_cast<uint64_t>(database_->last_insert_id()));
    return Update(with_id);
  });
  if (!added.ok()) return added;
  return with_id.id;
}

absl::Status CatalogTables::Save(const TransferRecord& record, const TransferContent& content) {
  return Atomically([&]() -> absl::Status {
    P2P_RETURN_IF_ERROR(Update(record));
    if (!content.info.empty())
      P2P_RETURN_IF_ERROR(SaveManifest(record.id, content.info, content.chunk_hashes));
    if (!content.identities.empty())
      P2P_RETURN_IF_ERROR(SaveIdentities(record.id, content.identities));
    if (content.have.empty()) return absl::OkStatus();
    return SaveHave(record.id, content.have);
  });
}

absl::Status CatalogTables::Update(const TransferRecord& record) {
  BindRecord(record, &update_.Start());
  P2P_RETURN_IF_ERROR(update_.Bind(static_cast<int64_t>(record.id.value())).Run());
  if (database_->changed_rows() == 1) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("the catalog has no transfer ", record.id.value()));
}

absl::Status CatalogTables::Remove(TransferId id) {
  return remove_.Start().Bind(static_cast<int64_t>(id.value())).Run();
}

absl::Status CatalogTables::SaveIdentities(TransferId id,
                                           const std::vector<FileIdentity>& identities) {
  return SaveBlob(&save_identities_, id, EncodeIdentities(identities));
}

absl::Status CatalogTables::SaveHave(TransferId id, absl::string_view have) {
  return SaveBlob(&save_have_, id, have);
}

absl::StatusOr<bool> CatalogTables::IsClean() {
  P2P_ASSIGN_OR_RETURN(const int64_t clean,
                       database_->QueryInteger("SELECT value FROM meta WHERE key='clean'"));
  return clean == 1;
}

absl::Status CatalogTables::SetClean(bool clean) {
  if (clean) return database_->Execute("UPDATE meta SET value=1 WHERE key='clean'");
  // A killed process may have left a commit in the log that it did not sync. It is believed from
  // now on, so it is made durable, which only another commit does; and where nothing changes SQLite
  // commits nothing. Hence the counter.
  return database_->Execute(
      "INSERT INTO meta VALUES('clean',0),('runs',1) ON CONFLICT(key) DO UPDATE SET"
      " value=CASE key WHEN 'runs' THEN value+1 ELSE 0 END");
}

size_t CatalogTables::TakeOver(CatalogTables* damaged) {
  damaged->database_->KeepLogOnClose();
  std::vector<TransferRecord> records;
  size_t lost = 0;
  (void)damaged->Load(&records, &lost);
  size_t taken = 0;
  for (const TransferRecord& record : records) {
    if (TakeOverOne(damaged, record).ok()) ++taken;
  }
  SkipUsedIds(damaged);
  return taken;
}

absl::Status CatalogTables::TakeOverOne(CatalogTables* damaged, const TransferRecord& record) {
  P2P_RETURN_IF_ERROR(Insert(record, /*with_id=*/true));
  P2P_ASSIGN_OR_RETURN(const TransferContent content, damaged->LoadContent(record.id));
  if (!content.info.empty()) {
    P2P_RETURN_IF_ERROR(SaveManifest(record.id, content.info, content.chunk_hashes));
  }
  if (content.identities.empty()) return absl::OkStatus();
  return SaveIdentities(record.id, content.identities);
}

void CatalogTables::SkipUsedIds(CatalogTables* damaged) {
  const auto used =
      damaged->database_->QueryInteger("SELECT seq FROM sqlite_sequence WHERE name='transfers'");
  if (!used.ok() || *used <= 0 || *used > kMostBelievableId) return;
  TransferRecord placeholder;
  placeholder.id = TransferId(static_cast<uint64_t>(*used));
  // Fails when it was taken over, which does the same.
  if (!Insert(placeholder, /*with_id=*/true).ok()) return;
  (void)Remove(placeholder.id);
}

}  // namespace p2p::store

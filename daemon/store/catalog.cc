#include "daemon/store/catalog.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/store/catalog_database.h"
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
  record.verified = row.Integer(8) != 0;
  record.size_bytes = static_cast<uint64_t>(row.Integer(9));
  record.error = row.Bytes(10);
  record.trackers = DecodeTrackers(row.Bytes(11));
  record.added_unix_seconds = row.Integer(12);
  return record;
}

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
      .Bind(record.verified ? 1 : 0)
      .Bind(static_cast<int64_t>(record.size_bytes))
      .BindText(record.error)
      .BindText(EncodeTrackers(record.trackers))
      .Bind(record.added_unix_seconds)
      .Bind(RecordChecksum(record));
}

}  // namespace

struct Catalog::Impl {
  std::string state_dir;
  bool fresh_after_damage = false;
  std::unique_ptr<Database> database;
  // After the database: they go first.
  Statement list, insert, update, remove;
  Statement load_manifest, load_identities, load_have;
  Statement save_manifest, save_identities, save_have;

  // DataLoss when the catalog must be set aside.
  static absl::StatusOr<std::unique_ptr<Impl>> Open(const std::string& state_dir,
                                                    const std::string& path);
  absl::Status Prepare();
  absl::Status CheckVersion();
  absl::Status CheckWhole();
  // Rows that are not as they were saved are left out and counted; what was read before an error is
  // there.
  absl::Status Load(std::vector<TransferRecord>* records, size_t* damaged);
  absl::StatusOr<TransferContent> LoadContent(TransferId id);
  absl::Status Insert(const TransferRecord& record, bool with_id);
  absl::Status SaveManifest(TransferId id, absl::string_view info, absl::string_view chunk_hashes);
  absl::Status SaveBlob(Statement* statement, TransferId id, absl::string_view data);
  size_t TakeOver(Impl* damaged);
  absl::Status TakeOverOne(Impl* damaged, const TransferRecord& record);
  void SkipUsedIds(Impl* damaged);

  // Runs a write that must not fail for want of space.
  template <typename Write>
  absl::Status WithReserve(Write write) {
    absl::Status status = write();
    if (absl::IsResourceExhausted(status) && ReleaseReserve(state_dir)) status = write();
    return status;
  }
};

absl::StatusOr<std::unique_ptr<Catalog::Impl>> Catalog::Impl::Open(const std::string& state_dir,
                                                                   const std::string& path) {
  auto impl = std::make_unique<Impl>();
  impl->state_dir = state_dir;
  P2P_RETURN_IF_ERROR(MakePrivateFile(path));
  // SQLite itself writes over what is too short to be a database.
  P2P_ASSIGN_OR_RETURN(const bool plausible, IsEmptyOrDatabase(path));
  if (!plausible) return absl::DataLossError(absl::StrCat(Printable(path), " is no catalog"));
  P2P_ASSIGN_OR_RETURN(impl->database, Database::Open(path));
  P2P_RETURN_IF_ERROR(impl->database->Execute(kSettings));
  P2P_ASSIGN_OR_RETURN(const int64_t tables,
                       impl->database->QueryInteger("SELECT count(*) FROM sqlite_schema"));
  if (tables == 0) P2P_RETURN_IF_ERROR(impl->database->Execute(kSchema));
  P2P_RETURN_IF_ERROR(impl->CheckVersion());
  P2P_RETURN_IF_ERROR(impl->Prepare());
  return impl;
}

absl::Status Catalog::Impl::CheckVersion() {
  P2P_ASSIGN_OR_RETURN(const int64_t version, database->QueryInteger("PRAGMA user_version"));
  // It stands there twice, so that damage does not pass for another version.
  const auto again = database->QueryInteger("SELECT value FROM meta WHERE key='schema'");
  if (!again.ok() || *again != version || version < 1) {
    return absl::DataLossError("the catalog does not tell its version");
  }
  if (version <= kSchemaVersion) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the catalog in ", Printable(state_dir), " was written by a newer p2pd (version ", version,
      ", this one knows ", kSchemaVersion, "); start that one, or choose another --state-dir"));
}

absl::Status Catalog::Impl::Prepare() {
  const struct {
    Statement* statement;
    const char* sql;
  } all[] = {
      {&list,
       "SELECT "
       "id,kind,name,path,content_id,source,paused,finished,verified,size_bytes,error,trackers,"
       "added,"
       "checksum FROM transfers ORDER BY id"},
      {&insert, "INSERT INTO transfers VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)"},
      {&update,
       "UPDATE transfers SET "
       "kind=?,name=?,path=?,content_id=?,source=?,paused=?,finished=?,verified=?,"
       "size_bytes=?,error=?,trackers=?,added=?,checksum=? WHERE id=?"},
      {&remove, "DELETE FROM transfers WHERE id=?"},
      {&load_manifest, "SELECT info,chunk_hashes,checksum FROM manifests WHERE id=?"},
      {&load_identities, "SELECT data,checksum FROM identities WHERE id=?"},
      {&load_have, "SELECT data,checksum FROM have WHERE id=?"},
      {&save_manifest,
       "INSERT INTO manifests VALUES(?1,?2,?3,?4) ON CONFLICT(id) DO UPDATE SET info=?2,"
       "chunk_hashes=?3,checksum=?4"},
      {&save_identities,
       "INSERT INTO identities VALUES(?1,?2,?3) ON CONFLICT(id) DO UPDATE SET data=?2,checksum=?3"},
      {&save_have,
       "INSERT INTO have VALUES(?1,?2,?3) ON CONFLICT(id) DO UPDATE SET data=?2,checksum=?3"},
  };
  for (const auto& row : all) {
    P2P_ASSIGN_OR_RETURN(*row.statement, database->Prepare(row.sql));
  }
  return absl::OkStatus();
}

// Reading it all is for after a crash only; the rows are few and always looked at.
absl::Status Catalog::Impl::CheckWhole() {
  // A damaged header can say that nothing may be written.
  if (database->read_only()) return absl::PermissionDeniedError("the catalog cannot be written to");
  const auto clean = database->QueryInteger("SELECT value FROM meta WHERE key='clean'");
  if (absl::IsNotFound(clean.status()))
    return absl::DataLossError("the catalog is damaged: a row is missing");
  P2P_RETURN_IF_ERROR(clean.status());
  if (*clean != 1) {
    P2P_ASSIGN_OR_RETURN(const std::string found, database->QueryText("PRAGMA quick_check(1)"));
    if (found != "ok")
      return absl::DataLossError(absl::StrCat("the catalog is damaged: ", Printable(found)));
  }
  std::vector<TransferRecord> records;
  size_t damaged = 0;
  P2P_RETURN_IF_ERROR(Load(&records, &damaged));
  if (damaged == 0) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(damaged, " transfers in the catalog are damaged"));
}

absl::Status Catalog::Impl::Load(std::vector<TransferRecord>* records, size_t* damaged) {
  list.Start();
  while (true) {
    P2P_ASSIGN_OR_RETURN(const bool row, list.Step());
    if (!row) return absl::OkStatus();
    TransferRecord record = RecordFromRow(list);
    if (list.Integer(13) == RecordChecksum(record)) {
      records->push_back(std::move(record));
    } else {
      ++*damaged;
    }
  }
}

absl::StatusOr<TransferContent> Catalog::Impl::LoadContent(TransferId id) {
  TransferContent content;
  const auto key = static_cast<int64_t>(id.value());
  P2P_ASSIGN_OR_RETURN(bool row, load_manifest.Start().Bind(key).Step());
  if (row) {
    content.info = load_manifest.Bytes(0);
    content.chunk_hashes = load_manifest.Bytes(1);
    if (load_manifest.Integer(2) != RowChecksum(id, {content.info, content.chunk_hashes})) {
      content.info.clear();
      content.chunk_hashes.clear();
      content.damaged = true;
    }
  }
  load_manifest.Finish();
  P2P_ASSIGN_OR_RETURN(row, load_identities.Start().Bind(key).Step());
  if (row) {
    const std::string bytes = load_identities.Bytes(0);
    auto identities = DecodeIdentities(bytes);
    const bool intact = identities.ok() && load_identities.Integer(1) == RowChecksum(id, {bytes});
    if (intact) content.identities = *std::move(identities);
    content.damaged |= !intact;
  }
  load_identities.Finish();
  P2P_ASSIGN_OR_RETURN(row, load_have.Start().Bind(key).Step());
  if (row) {
    content.have = load_have.Bytes(0);
    if (load_have.Integer(1) != RowChecksum(id, {content.have})) {
      content.have.clear();
      content.damaged = true;
    }
  }
  load_have.Finish();
  return content;
}

absl::Status Catalog::Impl::Insert(const TransferRecord& record, bool with_id) {
  insert.Start();
  if (with_id) {
    insert.Bind(static_cast<int64_t>(record.id.value()));
  } else {
    insert.BindNull();
  }
  BindRecord(record, &insert);
  return insert.Run();
}

absl::Status Catalog::Impl::SaveManifest(TransferId id, absl::string_view info,
                                         absl::string_view chunk_hashes) {
  return save_manifest.Start()
      .Bind(static_cast<int64_t>(id.value()))
      .BindBlob(info)
      .BindBlob(chunk_hashes)
      .Bind(RowChecksum(id, {info, chunk_hashes}))
      .Run();
}

absl::Status Catalog::Impl::SaveBlob(Statement* statement, TransferId id, absl::string_view data) {
  return statement->Start()
      .Bind(static_cast<int64_t>(id.value()))
      .BindBlob(data)
      .Bind(RowChecksum(id, {data}))
      .Run();
}

// The number of transfers that were still whole.
size_t Catalog::Impl::TakeOver(Impl* damaged) {
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

absl::Status Catalog::Impl::TakeOverOne(Impl* damaged, const TransferRecord& record) {
  P2P_RETURN_IF_ERROR(Insert(record, /*with_id=*/true));
  P2P_ASSIGN_OR_RETURN(const TransferContent content, damaged->LoadContent(record.id));
  if (!content.info.empty()) {
    P2P_RETURN_IF_ERROR(SaveManifest(record.id, content.info, content.chunk_hashes));
  }
  if (content.identities.empty()) return absl::OkStatus();
  return SaveBlob(&save_identities, record.id, EncodeIdentities(content.identities));
}

void Catalog::Impl::SkipUsedIds(Impl* damaged) {
  const auto used =
      damaged->database->QueryInteger("SELECT seq FROM sqlite_sequence WHERE name='transfers'");
  if (!used.ok() || *used <= 0 || *used > kMostBelievableId) return;
  TransferRecord placeholder;
  placeholder.id = TransferId(static_cast<uint64_t>(*used));
  // Fails when it was taken over, which does the same.
  if (!Insert(placeholder, /*with_id=*/true).ok()) return;
  (void)remove.Start().Bind(*used).Run();
}

Catalog::Catalog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Catalog::~Catalog() = default;

absl::StatusOr<std::unique_ptr<Catalog>> Catalog::Open(const std::string& state_dir,
                                                       std::string* recovered) {
  recovered->clear();
  const std::string path = absl::StrCat(state_dir, "/catalog.db");
  auto impl = Impl::Open(state_dir, path);
  absl::Status status = impl.ok() ? (*impl)->CheckWhole() : impl.status();
  if (absl::IsPermissionDenied(status) && IsWritable(path)) {
    status = absl::DataLossError(status.message());  // its header says that it must not be written
  }
  if (absl::IsDataLoss(status)) {
    impl = absl::DataLossError("");  // closes it
    P2P_ASSIGN_OR_RETURN(const std::string aside, SetAside(path, absl::ToUnixSeconds(absl::Now())));
    impl = Impl::Open(state_dir, path);
    P2P_RETURN_IF_ERROR(impl.status());
    (*impl)->fresh_after_damage = true;
    auto damaged = Impl::Open(state_dir, aside);
    size_t taken = 0;
    if (damaged.ok()) {
      (*damaged)->database->KeepLogOnClose();
      taken = (*impl)->TakeOver(damaged->get());
    }
    *recovered = absl::StrCat(status.message(), "; it was set aside as ", Printable(aside),
                              ", and ", taken, " transfers were taken over from it");
    status = absl::OkStatus();
  }
  P2P_RETURN_IF_ERROR(status);
  MakeReserve(state_dir);
  return std::unique_ptr<Catalog>(new Catalog(*std::move(impl)));
}

absl::StatusOr<std::vector<TransferRecord>> Catalog::LoadTransfers() {
  std::vector<TransferRecord> records;
  size_t damaged = 0;
  P2P_RETURN_IF_ERROR(impl_->Load(&records, &damaged));
  return records;
}

absl::StatusOr<TransferContent> Catalog::LoadContent(TransferId id) {
  return impl_->LoadContent(id);
}

absl::StatusOr<TransferId> Catalog::Add(const TransferRecord& record) {
  MakeReserve(impl_->state_dir);
  // The checksum covers the id, which is known only afterwards: both in one commit.
  P2P_RETURN_IF_ERROR(impl_->database->Execute("BEGIN IMMEDIATE"));
  TransferRecord with_id = record;
  absl::Status status = impl_->Insert(record, /*with_id=*/false);
  if (status.ok()) {
    with_id.id = TransferId(static_cast<uint64_t>(impl_->database->last_insert_id()));
    BindRecord(with_id, &impl_->update.Start());
    status = impl_->update.Bind(static_cast<int64_t>(with_id.id.value())).Run();
  }
  if (status.ok()) status = impl_->database->Execute("COMMIT");
  if (status.ok()) return with_id.id;
  // Fails when SQLite rolled back by itself.
  (void)impl_->database->Execute("ROLLBACK");
  return status;
}

absl::Status Catalog::Update(const TransferRecord& record) {
  return impl_->WithReserve([&]() -> absl::Status {
    BindRecord(record, &impl_->update.Start());
    P2P_RETURN_IF_ERROR(impl_->update.Bind(static_cast<int64_t>(record.id.value())).Run());
    if (impl_->database->changed_rows() == 1) return absl::OkStatus();
    return absl::NotFoundError(absl::StrCat("the catalog has no transfer ", record.id.value()));
  });
}

absl::Status Catalog::Remove(TransferId id) {
  return impl_->WithReserve(
      [&] { return impl_->remove.Start().Bind(static_cast<int64_t>(id.value())).Run(); });
}

absl::Status Catalog::SaveManifest(TransferId id, absl::string_view info,
                                   absl::string_view chunk_hashes) {
  return impl_->SaveManifest(id, info, chunk_hashes);
}

absl::Status Catalog::SaveIdentities(TransferId id, const std::vector<FileIdentity>& identities) {
  return impl_->SaveBlob(&impl_->save_identities, id, EncodeIdentities(identities));
}

absl::Status Catalog::SaveHave(TransferId id, absl::string_view have) {
  return impl_->SaveBlob(&impl_->save_have, id, have);
}

absl::StatusOr<bool> Catalog::BeginRun() {
  P2P_ASSIGN_OR_RETURN(const int64_t clean,
                       impl_->database->QueryInteger("SELECT value FROM meta WHERE key='clean'"));
  P2P_RETURN_IF_ERROR(impl_->database->Execute("UPDATE meta SET value=0 WHERE key='clean'"));
  return clean != 1 || impl_->fresh_after_damage;
}

absl::Status Catalog::MarkClean() {
  return impl_->WithReserve(
      [&] { return impl_->database->Execute("UPDATE meta SET value=1 WHERE key='clean'"); });
}

}  // namespace p2p::store

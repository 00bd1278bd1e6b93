#include "daemon/store/catalog_tables.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/store/catalog_encoding.h"
#include "daemon/store/catalog_files.h"

namespace p2p::store {
namespace {

// Ids beyond this are not believed of a damaged catalog.
constexpr int64_t kMostBelievableId = int64_t{1} << 48;

int64_t PartFileChecksum(TransferId id, int64_t file, absl::string_view bytes) {
  return RowChecksum(id, {absl::StrCat(file), bytes});
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
  const absl::Status problem = LoadReadable(id, &content);
  found_damage_ |= absl::IsDataLoss(problem);
  if (!problem.ok() && !absl::IsDataLoss(problem)) return problem;
  return content;
}

absl::Status CatalogTables::LoadReadable(TransferId id, TransferContent* content) {
  absl::Status problem;
  int rows = 0;
  int unread = 0;
  for (const auto load : {&CatalogTables::LoadManifest, &CatalogTables::LoadIdentities,
                          &CatalogTables::LoadHave, &CatalogTables::LoadPartFiles}) {
    const absl::StatusOr<bool> row = (this->*load)(id, content);
    rows += row.ok() && *row ? 1 : 0;
    if (row.ok()) continue;
    ++unread;
    content->damaged = true;
    if (problem.ok() || absl::IsDataLoss(problem)) problem = row.status();
  }
  // Its have-set and its manifest are saved before anything is made at its path. Without a row of a
  // file there may still be one.
  content->placed = rows > 0 || unread >= 3;
  return problem;
}

absl::StatusOr<bool> CatalogTables::LoadManifest(TransferId id, TransferContent* content) {
  load_manifest_.Start().Bind(static_cast<int64_t>(id.value()));
  P2P_ASSIGN_OR_RETURN(const bool row, load_manifest_.Step());
  if (row) {
    content->info = load_manifest_.Bytes(0);
    content->chunk_hashes = load_manifest_.Bytes(1);
    if (load_manifest_.Integer(2) != RowChecksum(id, {content->info, content->chunk_hashes})) {
      content->info.clear();
      content->chunk_hashes.clear();
      content->damaged = true;
    }
  }
  load_manifest_.Finish();
  return row;
}

absl::StatusOr<bool> CatalogTables::LoadIdentities(TransferId id, TransferContent* content) {
  load_identities_.Start().Bind(static_cast<int64_t>(id.value()));
  P2P_ASSIGN_OR_RETURN(const bool row, load_identities_.Step());
  if (row) {
    const std::string bytes = load_identities_.Bytes(0);
    auto identities = DecodeIdentities(bytes);
    const bool intact = identities.ok() && load_identities_.Integer(1) == RowChecksum(id, {bytes});
    if (intact) content->identities = *std::move(identities);
    content->damaged |= !intact;
  }
  load_identities_.Finish();
  return row;
}

absl::StatusOr<bool> CatalogTables::LoadHave(TransferId id, TransferContent* content) {
  load_have_.Start().Bind(static_cast<int64_t>(id.value()));
  P2P_ASSIGN_OR_RETURN(const bool row, load_have_.Step());
  if (row) {
    const std::string bytes = load_have_.Bytes(0);
    // See TakeOverOne: what is there is not known.
    const bool intact = !bytes.empty() && load_have_.Integer(1) == RowChecksum(id, {bytes});
    if (intact) content->have = DurableChunks(ChunkSet::Decode(ChunkSet::SizeIn(bytes), bytes));
    content->damaged |= !intact;
  }
  load_have_.Finish();
  return row;
}

// A row that is damaged leaves its file unknown, which is then looked into.
absl::StatusOr<bool> CatalogTables::LoadPartFiles(TransferId id, TransferContent* content) {
  if (version_ < 2) return false;
  load_part_files_.Start().Bind(static_cast<int64_t>(id.value()));
  for (bool any = false;; any = true) {
    P2P_ASSIGN_OR_RETURN(const bool row, load_part_files_.Step());
    if (!row) return any;
    const int64_t file = load_part_files_.Integer(0);
    const std::string bytes = load_part_files_.Bytes(1);
    const auto identity = DecodeIdentities(bytes);
    const bool intact = identity.ok() && identity->size() == 1 && file >= 0 &&
                        file < static_cast<int64_t>(limits::kMaxFiles) &&
                        load_part_files_.Integer(2) == PartFileChecksum(id, file, bytes);
    if (!intact) continue;
    content->part_files.resize(std::max(content->part_files.size(), static_cast<size_t>(file) + 1));
    content->part_files[static_cast<size_t>(file)] = identity->front();
  }
}

absl::Status CatalogTables::ForgetPartFiles(TransferId id) {
  return forget_part_files_.Start().Bind(static_cast<int64_t>(id.value())).Run();
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
    if (record.finished || !content.have.empty()) P2P_RETURN_IF_ERROR(ForgetPartFiles(record.id));
    if (content.have.empty()) return absl::OkStatus();
    return SaveBlob(&save_have_, record.id, content.have.chunks().Encode());
  });
}

absl::Status CatalogTables::Update(const TransferRecord& record) {
  BindRecord(record, &update_.Start());
  P2P_RETURN_IF_ERROR(update_.Bind(static_cast<int64_t>(record.id.value())).Run());
  if (database_->changed_rows() == 1) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("the catalog has no transfer ", record.id.value()));
}

absl::Status CatalogTables::SaveAlone(const TransferRecord& record) {
  return Atomically([&]() -> absl::Status {
    P2P_RETURN_IF_ERROR(Remove(record.id));
    return Insert(record, /*with_id=*/true);
  });
}

absl::Status CatalogTables::Remove(TransferId id) {
  return remove_.Start().Bind(static_cast<int64_t>(id.value())).Run();
}

absl::Status CatalogTables::SaveIdentities(TransferId id,
                                           const std::vector<FileIdentity>& identities) {
  return SaveBlob(&save_identities_, id, EncodeIdentities(identities));
}

absl::Status CatalogTables::SaveHave(TransferId id, const DurableChunks& have) {
  return Atomically([&]() -> absl::Status {
    P2P_RETURN_IF_ERROR(SaveBlob(&save_have_, id, have.chunks().Encode()));
    for (const auto& [file, identity] : have.files()) {
      const std::string bytes = EncodeIdentities({identity});
      P2P_RETURN_IF_ERROR(save_part_file_.Start()
                              .Bind(static_cast<int64_t>(id.value()))
                              .Bind(static_cast<int64_t>(file.value()))
                              .BindBlob(bytes)
                              .Bind(PartFileChecksum(id, file.value(), bytes))
                              .Run());
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<bool> CatalogTables::IsClean() {
  P2P_ASSIGN_OR_RETURN(const int64_t clean,
                       database_->QueryInteger("SELECT value FROM meta WHERE key='clean'"));
  return clean == 1;
}

absl::Status CatalogTables::SetClean(bool clean) {
  if (clean && found_damage_) return absl::OkStatus();  // the next start reads all of it
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

// What cannot be read of it is got again. What there is of an unfinished download is its own, but
// not known before it was hashed, in whichever run that is: a have-set of no bytes says so.
absl::Status CatalogTables::TakeOverOne(CatalogTables* damaged, const TransferRecord& record) {
  P2P_RETURN_IF_ERROR(Insert(record, /*with_id=*/true));
  TransferContent content;
  (void)damaged->LoadReadable(record.id, &content);
  const bool unfinished = record.kind == TransferKind::kDownload && !record.finished;
  if (unfinished && content.placed) P2P_RETURN_IF_ERROR(SaveBlob(&save_have_, record.id, ""));
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

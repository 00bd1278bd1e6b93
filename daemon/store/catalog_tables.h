// The catalog's tables, and what is believed of them. Owned by the catalog; one thread at a time.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "daemon/store/catalog.h"
#include "daemon/store/catalog_database.h"

namespace p2p::store {

// What a row says, whose columns are those of the table of transfers. Its checksum is not judged.
TransferRecord RecordFromRow(const Statement& row);

class CatalogTables {
 public:
  // Makes the tables in an empty file. DataLoss when the file is damaged or something else,
  // FailedPrecondition when it is of a newer version.
  static absl::StatusOr<std::unique_ptr<CatalogTables>> Open(const std::string& path);

  // DataLoss when something is damaged, PermissionDenied when nothing can be written.
  absl::Status CheckWhole();
  // Brings the tables of an earlier version forward, after CheckWhole().
  absl::Status Upgrade();
  // Rows that are not as they were saved are left out and counted; what was read before an error is
  // there.
  absl::Status Load(std::vector<TransferRecord>* records, size_t* damaged);
  // Of what is damaged the rest is there, and the run does not end as a clean one.
  absl::StatusOr<TransferContent> LoadContent(TransferId id);

  // See Catalog; each is one commit.
  absl::StatusOr<TransferId> Add(const TransferRecord& record);
  absl::Status Update(const TransferRecord& record);
  absl::Status SaveAlone(const TransferRecord& record);
  absl::Status Remove(TransferId id);
  absl::Status SaveManifest(TransferId id, absl::string_view info, absl::string_view chunk_hashes);
  absl::Status SaveIdentities(TransferId id, const std::vector<FileIdentity>& identities);
  absl::Status SaveHave(TransferId id, const DurableChunks& have);
  absl::Status Save(const TransferRecord& record, const TransferContent& content);

  // Whether the last run ended with SetClean(true).
  absl::StatusOr<bool> IsClean();
  absl::Status SetClean(bool clean);

  // Takes over what another one, whose files are left as they are, still has whole, have-sets
  // excepted. The number of transfers.
  size_t TakeOver(CatalogTables* damaged);

 private:
  CatalogTables() = default;

  absl::Status CheckVersion(const std::string& path);
  absl::Status Prepare();
  // One commit for all that `write` does, or none of it.
  absl::Status Atomically(absl::FunctionRef<absl::Status()> write);
  absl::Status Insert(const TransferRecord& record, bool with_id);
  absl::Status PreparePartFiles();
  struct ToPrepare {
    Statement* statement;
    const char* sql;
  };
  absl::Status PrepareAll(std::initializer_list<ToPrepare> all);
  // What can be read, each table for itself. An error that is not damage, or else damage.
  absl::Status LoadReadable(TransferId id, TransferContent* content);
  // Whether there is a row.
  absl::StatusOr<bool> LoadManifest(TransferId id, TransferContent* content);
  absl::StatusOr<bool> LoadIdentities(TransferId id, TransferContent* content);
  absl::StatusOr<bool> LoadHave(TransferId id, TransferContent* content);
  absl::StatusOr<bool> LoadPartFiles(TransferId id, TransferContent* content);
  absl::Status ForgetPartFiles(TransferId id);
  absl::Status SaveBlob(Statement* statement, TransferId id, absl::string_view data);
  absl::Status TakeOverOne(CatalogTables* damaged, const TransferRecord& record);
  void SkipUsedIds(CatalogTables* damaged);

  std::unique_ptr<Database> database_;
  int64_t version_ = 0;
  bool found_damage_ = false;  // that the start did not see
  // After the database: they go first.
  Statement list_, insert_, update_, remove_;
  Statement load_manifest_, load_identities_, load_have_;
  Statement load_part_files_, save_part_file_, forget_part_files_;
  Statement save_manifest_, save_identities_, save_have_;
};

}  // namespace p2p::store

#include "daemon/store/catalog.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/store/catalog_files.h"
#include "daemon/store/catalog_tables.h"

namespace p2p::store {

struct Catalog::Impl {
  std::string state_dir;
  std::unique_ptr<CatalogTables> tables;

  // Begins anew with what can be taken over from a damaged catalog. What happened, as a sentence.
  absl::StatusOr<std::string> Recover(const std::string& path, absl::string_view problem);

  // Runs a write that must not fail for want of space.
  template <typename Write>
  absl::Status WithReserve(Write write) {
    absl::Status status = write();
    if (absl::IsResourceExhausted(status) && ReleaseReserve(state_dir)) status = write();
    return status;
  }
};

Catalog::Catalog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Catalog::~Catalog() = default;

absl::StatusOr<std::unique_ptr<Catalog>> Catalog::Open(const std::string& state_dir,
                                                       std::string* recovered) {
  recovered->clear();
  auto impl = std::make_unique<Impl>();
  impl->state_dir = state_dir;
  const std::string path = absl::StrCat(state_dir, "/catalog.db");
  auto tables = CatalogTables::Open(path);
  absl::Status status = tables.ok() ? (*tables)->CheckWhole() : tables.status();
  // A damaged header can say that nothing may be written.
  const bool claims_read_only = absl::IsPermissionDenied(status) && HeaderForbidsWriting(path);
  if (absl::IsDataLoss(status) || claims_read_only) {
    tables = absl::DataLossError("");  // closes it
    P2P_ASSIGN_OR_RETURN(*recovered, impl->Recover(path, status.message()));
  } else {
    P2P_RETURN_IF_ERROR(status);
    impl->tables = *std::move(tables);
    P2P_RETURN_IF_ERROR(impl->tables->Upgrade());
  }
  MakeReserve(state_dir);
  return std::unique_ptr<Catalog>(new Catalog(std::move(impl)));
}

absl::StatusOr<std::string> Catalog::Impl::Recover(const std::string& path,
                                                   absl::string_view problem) {
  P2P_ASSIGN_OR_RETURN(const std::string aside, SetAside(path, absl::ToUnixSeconds(absl::Now())));
  P2P_ASSIGN_OR_RETURN(tables, CatalogTables::Open(path));
  P2P_RETURN_IF_ERROR(tables->Upgrade());
  P2P_RETURN_IF_ERROR(tables->SetClean(false));
  const auto damaged = CatalogTables::Open(aside);
  const size_t taken = damaged.ok() ? tables->TakeOver(damaged->get()) : 0;
  return absl::StrCat(problem, "; it was set aside as ", Printable(aside), ", and ", taken,
                      " transfers were taken over from it");
}

absl::StatusOr<std::vector<TransferRecord>> Catalog::LoadTransfers() {
  std::vector<TransferRecord> records;
  size_t damaged = 0;
  P2P_RETURN_IF_ERROR(impl_->tables->Load(&records, &damaged));
  return records;
}

absl::StatusOr<TransferContent> Catalog::LoadContent(TransferId id) {
  return impl_->tables->LoadContent(id);
}

absl::StatusOr<TransferId> Catalog::Add(const TransferRecord& record) {
  MakeReserve(impl_->state_dir);
  return impl_->tables->Add(record);
}

absl::Status Catalog::Update(const TransferRecord& record) {
  return impl_->WithReserve([&] { return impl_->tables->Update(record); });
}

absl::Status Catalog::Save(const TransferRecord& record, const TransferContent& content) {
  return impl_->WithReserve([&] { return impl_->tables->Save(record, content); });
}

absl::Status Catalog::SaveAlone(const TransferRecord& record) {
  return impl_->tables->SaveAlone(record);
}

absl::Status Catalog::Remove(TransferId id) {
  return impl_->WithReserve([&] { return impl_->tables->Remove(id); });
}

absl::Status Catalog::SaveManifest(TransferId id, absl::string_view info,
                                   absl::string_view chunk_hashes) {
  return impl_->tables->SaveManifest(id, info, chunk_hashes);
}

absl::Status Catalog::SaveIdentities(TransferId id, const std::vector<FileIdentity>& identities) {
  return impl_->tables->SaveIdentities(id, identities);
}

absl::Status Catalog::SaveHave(TransferId id, const DurableChunks& have) {
  return impl_->tables->SaveHave(id, have);
}

absl::StatusOr<bool> Catalog::BeginRun() {
  P2P_ASSIGN_OR_RETURN(const bool clean, impl_->tables->IsClean());
  P2P_RETURN_IF_ERROR(impl_->WithReserve([&] { return impl_->tables->SetClean(false); }));
  return !clean;
}

absl::Status Catalog::MarkClean() {
  return impl_->WithReserve([&] { return impl_->tables->SetClean(true); });
}

}  // namespace p2p::store

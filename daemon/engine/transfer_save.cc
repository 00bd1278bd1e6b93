// What the catalog is told of a transfer, and what becomes of it when it refuses.
#include <utility>

#include "core/base/clock.h"
#include "daemon/engine/transfer.h"
#include "spdlog/spdlog.h"

namespace p2p::engine {
namespace {

constexpr absl::Duration kSaveRetry = absl::Seconds(5);

}  // namespace

void Transfer::SaveRecord(std::function<void()> then) {
  auto tried = [weak = weak_from_this(), then = std::move(then)](const absl::Status& saved) {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->OnRecordSaved(saved);
    then();
  };
  if (!finish_unsaved_) {
    return runtime_->RunOnCatalog(
        [record = record_](store::Catalog& catalog) { return catalog.Update(record); },
        std::move(tried));
  }
  // It is never finished there without what tells whether it is right.
  runtime_->RunOnCatalog(
      [record = record_, identities = identities_, manifest = content_.manifest,
       hashes = content_.hashes.WhenComplete()](store::Catalog& catalog) {
        store::TransferContent content;
        content.identities = identities;
        if (manifest != nullptr) content.info = manifest->info();
        if (hashes != nullptr) content.chunk_hashes = hashes->Encode();
        return catalog.Save(record, content);
      },
      std::move(tried));
}

void Transfer::OnRecordSaved(const absl::Status& saved) {
  record_saved_ = saved;
  if (saved.ok()) {
    if (std::exchange(finish_unsaved_, false) && state_ == TransferState::kComplete)
      SetState(state_);
    return;
  }
  spdlog::error("cannot save transfer {}: {}", record_.id.value(), std::string(saved.message()));
  if (finish_unsaved_) save_timer_.Arm(MonotonicNow() + kSaveRetry, [this] { SaveRecord(); });
}

std::function<void(absl::Status)> Transfer::LogUnsaved(std::string what) const {
  return [id = record_.id, what = std::move(what)](const absl::Status& saved) {
    if (saved.ok()) return;
    spdlog::warn("transfer {}: the catalog does not have {}: {}", id.value(), what,
                 std::string(saved.message()));
  };
}

void Transfer::AfterCatalog(std::function<void(absl::Status)> done) {
  if (!record_saved_.ok()) SaveRecord();  // it may go by now
  runtime_->RunOnCatalog([](store::Catalog&) { return absl::OkStatus(); },
                         [self = shared_from_this(), done = std::move(done)](const absl::Status&) {
                           done(self->record_saved_);
                         });
}

}  // namespace p2p::engine

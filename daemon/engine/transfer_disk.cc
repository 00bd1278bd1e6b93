// Downloads on disk: where they go, what an earlier run left, and what to do when the disk is full.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/engine/download_target.h"
#include "daemon/engine/transfer.h"
#include "spdlog/spdlog.h"

namespace p2p::engine {
namespace {

using Priority = store::WorkerPool::Priority;

constexpr absl::Duration kDiskRetry = absl::Seconds(5);
// With less room a download that waits for space would stop again at once.
constexpr uint64_t kSpaceToGoOn = 64 << 20;
constexpr char kIsItMounted[] =
    "; is its disk mounted? It goes on by itself when it is back; if it will not be, remove the "
    "transfer and get it again";

}  // namespace

struct Transfer::Place {
  std::string target;
  absl::Status status;
};

void Transfer::MakePlace() {
  runtime_->RunOnDisk(
      Priority::kUrgent, runtime_->DiskAt(record_.path),
      [files = runtime_->files, wanted = record_.path, source = record_.source,
       layout = content_.layout, others = host_->OtherDownloads(record_.id)] {
        absl::StatusOr<std::string> target = ResolveTarget(files, wanted, source, layout->name());
        if (!target.ok()) return Place{"", target.status()};
        const ByteCount reserved = store::FileChunkManager::ReservedBeside(files, *target, others);
        return Place{*target,
                     store::FileChunkManager::CheckPlace(files, *target, *layout, reserved)};
      },
      Guard([this](Place place) { OnPlaceFound(std::move(place)); }));
}

void Transfer::OnPlaceFound(Place place) {
  if (!place.target.empty()) record_.path = std::move(place.target);
  if (const auto other = host_->FindDownloadTo(record_.path, record_.id)) {
    return Fail(absl::AlreadyExistsError(
        absl::StrCat("transfer ", other->record().id.value(), " is for ", Printable(record_.path),
                     " as well; wait for it or remove it, or choose another place with -o")));
  }
  if (place.status.ok()) {
    if (fetch_ != nullptr) fetch_->OnPlaceFound();
    return SavePlace();
  }
  if (!absl::IsAlreadyExists(place.status) || content_.manifest == nullptr)
    return Fail(place.status);
  exists_at_target_ = true;
  if (content_.hashes->Complete()) CompareExisting();
}

// Before anything is made there: a .part that a crash leaves is then known as ours, and not yet as
// holding what an earlier one held.
void Transfer::SavePlace() {
  resting_have_ = store::DurableChunks::None(content_.layout->chunk_count());
  part_files_.clear();
  placed_ = true;
  const auto hashes = content_.hashes.WhenComplete();
  runtime_->RunOnCatalog(
      [record = record_, manifest = content_.manifest, hashes,
       none = resting_have_](store::Catalog& catalog) {
        store::TransferContent content;
        content.have = none;
        if (manifest != nullptr) content.info = manifest->info();
        if (hashes != nullptr) content.chunk_hashes = hashes->Encode();
        return catalog.Save(record, content);
      },
      Guard([this, hashes](absl::Status saved) {
        if (!saved.ok()) {
          placed_ = false;
          return Fail(Annotate(saved, "cannot save the download in the catalog"));
        }
        runtime_->changes.Changed();
        if (hashes == nullptr && content_.manifest != nullptr && content_.hashes->Complete())
          SaveHashes();
        CreatePart();
      }));
}

void Transfer::CreatePart() {
  placing_ = true;
  runtime_->RunOnDisk(
      Priority::kUrgent, runtime_->DiskAt(record_.path),
      [files = runtime_->files, target = record_.path, layout = content_.layout,
       others = host_->OtherDownloads(record_.id)] {
        return store::FileChunkManager::CreatePart(
            files, target, layout, store::FileChunkManager::ReservedBeside(files, target, others));
      },
      // Also when it was stopped meanwhile: whoever removes it has to know.
      [self = shared_from_this(),
       then = Guard([this](const absl::Status& created) { OnPartCreated(created); })](
          const absl::StatusOr<std::shared_ptr<store::FileChunkManager>>& created) mutable {
        self->EndPlacing(created.ok() ? *created : nullptr);
        then(created.status());
      });
}

void Transfer::OnPartCreated(const absl::Status& created) {
  if (absl::IsAlreadyExists(created)) {
    // Somebody else made it a moment before.
    placed_ = false;
    runtime_->RunOnCatalog(
        [record = record_](store::Catalog& catalog) { return catalog.SaveAlone(record); },
        LogUnsaved("that its place is not its own"));
  }
  if (!created.ok()) return Fail(created);
  RememberPlace();
  const std::shared_ptr<Transfer> sibling =
      content_.id.has_value() ? host_->FindSibling(*this) : nullptr;
  if (sibling != nullptr && sibling->content_.whole) return CopyFrom(*sibling);
  UseStore();
}

void Transfer::CopyFrom(const Transfer& sibling) {
  progress_ = std::make_shared<store::WorkProgress>();
  store::CopyChunks(
      runtime_->workers.get(), sibling.content_.store, content_.store, content_.manifest,
      sibling.content_.hashes.WhenComplete(), progress_,
      [runtime = runtime_, then = Guard([this] {
                             progress_.reset();
                             UseStore();
                           })]() mutable { runtime->engine_loop.Post(std::move(then)); });
}

void Transfer::CompareExisting() {
  exists_at_target_ = false;
  runtime_->RunOnDisk(
      Priority::kUrgent, runtime_->DiskAt(record_.path),
      [files = runtime_->files, target = record_.path, layout = content_.layout] {
        return store::FileChunkManager::AdoptFinished(files, target, layout);
      },
      Guard([this](absl::StatusOr<std::shared_ptr<store::FileChunkManager>> existing) {
        const auto refuse = [this] {
          Fail(absl::AlreadyExistsError(
              absl::StrCat(Printable(record_.path),
                           " already exists and is something else; move it away or choose "
                           "another place with -o")));
        };
        if (!existing.ok()) return refuse();
        content_.store = *std::move(existing);
        SetState(TransferState::kChecking, "comparing with what is there");
        ChunkSet all(content_.layout->chunk_count());
        all.AddAll();
        RunCheck(all, [this, refuse](store::VerifiedChunks result) {
          if (result.good.All()) return OnFinished(content_.store->identities());
          content_.store.reset();
          refuse();
        });
      }));
}

void Transfer::RememberPlace() {
  using Identities = std::vector<store::FileIdentity>;
  runtime_->RunOnDisk(
      Priority::kBulk, content_.store->disk(),
      [store = content_.store]() -> absl::StatusOr<Identities> {
        P2P_ASSIGN_OR_RETURN(const store::FileIdentity place, store->Place());
        P2P_ASSIGN_OR_RETURN(const store::FileIdentity part, store->PartRoot());
        return Identities{place, part};
      },
      // Also when it was stopped meanwhile: whoever removes it has to know.
      [self = shared_from_this()](const absl::StatusOr<Identities>& found) {
        if (!found.ok() || self->record_.finished || self->identities_ == *found) return;
        self->identities_ = *found;
        self->runtime_->RunOnCatalog(
            [id = self->record_.id, identities = *found](store::Catalog& catalog) {
              return catalog.SaveIdentities(id, identities);
            },
            self->LogUnsaved("where it is"));
      });
}

// A disk that is not mounted is not a download that was deleted: nothing of it is forgotten, and
// nothing is begun where the disk will be.
void Transfer::WaitForPlace(const absl::Status& status, absl::string_view hint) {
  StopWork([] {});
  SetState(TransferState::kPaused, absl::StrCat(status.message(), hint));
  disk_timer_.Arm(MonotonicNow() + kDiskRetry, [this] { LookForPlace(); });
}

void Transfer::WaitForMount(const absl::Status& status) { WaitForPlace(status, kIsItMounted); }

void Transfer::LookForPlace() {
  runtime_->RunOnDisk(
      Priority::kBulk, runtime_->DiskAt(record_.path),
      [files = runtime_->files, path = record_.path, place = identities_] {
        P2P_RETURN_IF_ERROR(store::FileChunkManager::CheckSameDirectory(
            files, path, place.empty() ? store::FileIdentity() : place.front()));
        return store::FileChunkManager::CheckWritable(files, path);
      },
      Guard([this](absl::Status there) {
        if (there.ok()) return Continue();
        disk_timer_.Arm(MonotonicNow() + kDiskRetry, [this] { LookForPlace(); });
      }));
}

void Transfer::OnStoreProblem(const absl::Status& status) {
  if (fetch_ == nullptr) return;
  if (store::FileChunkManager::IsDiskFull(status)) return WaitForDisk(status);
  if (absl::IsNotFound(status)) return WaitForMount(status);
  if (absl::IsPermissionDenied(status) || absl::IsUnavailable(status)) {
    return WaitForPlace(status, "; it goes on by itself when that is possible again");
  }
  Fail(status);
}

void Transfer::WaitForDisk(const absl::Status& status) {
  StopWork([] {});
  SetState(TransferState::kPaused, absl::StrCat("disk full: ", status.message(),
                                                "; it goes on by itself when there is space"));
  LookForSpace(std::string(status.message()), /*may_go_on=*/false);
}

void Transfer::LookForSpace(std::string reason, bool may_go_on) {
  struct Space {
    absl::StatusOr<uint64_t> free = absl::UnknownError("");
    uint64_t to_allocate = 0;
  };
  runtime_->RunOnDisk(
      Priority::kBulk, content_.store->disk(),
      [store = content_.store] {
        return Space{store->FreeBytes(), store->BytesToAllocate().value()};
      },
      Guard([this, reason = std::move(reason), may_go_on](const Space& space) {
        const uint64_t missing =
            std::min(content_.layout->total_bytes().value() - RestingBytes(), space.to_allocate);
        if (may_go_on && space.free.ok() && *space.free >= std::min(missing, kSpaceToGoOn)) {
          return Continue();
        }
        const std::string free =
            space.free.ok() ? absl::StrCat(", ", HumanBytes(*space.free), " are free") : "";
        SetState(TransferState::kPaused,
                 absl::StrCat("disk full: ", HumanBytes(missing), " more are needed", free, " (",
                              reason, "); it goes on by itself when there is space"));
        disk_timer_.Arm(MonotonicNow() + kDiskRetry,
                        [this, reason] { LookForSpace(reason, /*may_go_on=*/true); });
      }));
}

}  // namespace p2p::engine

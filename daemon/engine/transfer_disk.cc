// Downloads on disk: where they go, what an earlier run left, and what to do when the disk is full.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "core/content/merkle.h"
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
  runtime_->RunOnWorker(
      Priority::kUrgent,
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
  if (place.status.ok()) return SavePlace();
  if (!absl::IsAlreadyExists(place.status) || content_.manifest == nullptr)
    return Fail(place.status);
  exists_at_target_ = true;
  if (content_.hashes->Complete()) CompareExisting();
}

// Before anything is made there: a .part that a crash leaves is then known as ours, and not yet as
// holding what an earlier one held.
void Transfer::SavePlace() {
  resting_have_ = ChunkSet(content_.layout->chunk_count());
  const auto hashes =
      content_.manifest != nullptr && content_.hashes->Complete() ? content_.hashes : nullptr;
  runtime_->RunOnCatalog(
      [record = record_, manifest = content_.manifest, hashes,
       none = resting_have_.ToBytes()](store::Catalog& catalog) {
        store::TransferContent content;
        content.have = none;
        if (manifest != nullptr) content.info = manifest->info();
        if (hashes != nullptr) content.chunk_hashes = hashes->Encode();
        return catalog.Save(record, content);
      },
      Guard([this, hashes](absl::Status saved) {
        if (!saved.ok()) return Fail(Annotate(saved, "cannot save the download in the catalog"));
        placed_ = true;
        runtime_->changes.Changed();
        if (hashes == nullptr && content_.manifest != nullptr && content_.hashes->Complete())
          SaveHashes();
        CreatePart();
      }));
}

void Transfer::CreatePart() {
  runtime_->RunOnWorker(
      Priority::kUrgent,
      [files = runtime_->files, target = record_.path, layout = content_.layout,
       others = host_->OtherDownloads(record_.id)] {
        return store::FileChunkManager::CreatePart(
            files, target, layout, store::FileChunkManager::ReservedBeside(files, target, others));
      },
      Guard([this](const absl::StatusOr<std::shared_ptr<store::FileChunkManager>>& created) {
        if (!created.ok()) return Fail(created.status());
        content_.store = *created;
        RememberPlace();
        const std::shared_ptr<Transfer> sibling =
            content_.id.has_value() ? host_->FindSibling(*this) : nullptr;
        if (sibling != nullptr && sibling->content_.whole) return CopyFrom(*sibling);
        UseStore(ChunkSet(content_.layout->chunk_count()));
      }));
}

void Transfer::CopyFrom(const Transfer& sibling) {
  progress_ = std::make_shared<store::WorkProgress>();
  runtime_->RunOnWorker(
      Priority::kBulk,
      [from = sibling.content_.store, to = content_.store, manifest = content_.manifest,
       hashes = sibling.content_.hashes, progress = progress_] {
        const content::Layout& layout = manifest->layout();
        ChunkSet copied(layout.chunk_count());
        std::vector<uint8_t> buffer(limits::kChunkBytes);
        for (uint32_t i = 0; i < layout.chunk_count() && !progress->cancelled; ++i) {
          const ChunkIndex chunk(i);
          const content::ChunkPlace place = layout.Locate(chunk);
          const absl::Span<uint8_t> data = absl::MakeSpan(buffer).subspan(0, place.length);
          // What cannot be read, or is not what it was, is fetched from others.
          if (!from->ReadChunk(chunk, data).ok()) continue;
          if (content::ChunkHash(data, layout.file(place.file).length) != hashes->Get(chunk))
            continue;
          if (!to->WriteChunk(chunk, data).ok()) break;  // the fetch that follows says why
          copied.Add(chunk);
          progress->bytes_done += place.length;
        }
        if (!to->Sync().ok()) copied.Clear();
        return copied;
      },
      Guard([this](ChunkSet copied) {
        progress_.reset();
        UseStore(std::move(copied));
      }));
}

void Transfer::CompareExisting() {
  exists_at_target_ = false;
  runtime_->RunOnWorker(
      Priority::kUrgent,
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
          if (result.good.All()) {
            SaveHashes();
            return OnFinished(content_.store->identities());
          }
          content_.store.reset();
          refuse();
        });
      }));
}

void Transfer::ReopenPart() {
  struct Reopened {
    absl::StatusOr<std::shared_ptr<store::FileChunkManager>> store = absl::UnknownError("");
    ChunkSet have;
    ChunkSet uncertain;
    bool adopted = false;
    absl::Status place;
  };
  SetState(TransferState::kChecking);
  const bool recheck = (host_->last_run_was_unclean() || was_damaged_) &&
                       content_.hashes != nullptr && content_.hashes->Complete();
  runtime_->RunOnWorker(
      Priority::kUrgent,
      [files = runtime_->files, path = record_.path, layout = content_.layout, have = resting_have_,
       place = identities_, recheck, adopt = content_.manifest != nullptr] {
        Reopened result;
        result.have = have;
        result.uncertain = ChunkSet(have.size());
        // Cut off before the place was chosen.
        if (absl::EndsWith(path, "/")) {
          result.store = absl::NotFoundError("no place chosen yet");
          return result;
        }
        if (!have.None() &&
            store::FileChunkManager::LookAtPart(files, path, layout, &result.have).ok() &&
            !(result.have == have)) {
          result.store = absl::AbortedError("less is there than the catalog claims");
          return result;
        }
        result.store = store::FileChunkManager::ReopenPart(files, path, layout, &result.have);
        if (result.store.ok() && recheck) {
          // Written but not committed when the last run was cut off: worth hashing, not worth
          // fetching again.
          result.uncertain = (*result.store)->PossiblyWritten();
          result.uncertain.Remove(result.have);
        } else if (absl::IsNotFound(result.store.status()) && adopt) {
          // Cut off between the final name and the catalog.
          auto adopted = store::FileChunkManager::AdoptFinished(files, path, layout);
          result.adopted = adopted.ok();
          if (adopted.ok()) result.store = *std::move(adopted);
        }
        if (absl::IsNotFound(result.store.status())) {
          result.place = store::FileChunkManager::CheckSameDirectory(
              files, path, place.empty() ? store::FileIdentity() : place.front());
        }
        return result;
      },
      Guard([this](Reopened result) {
        if (absl::IsAborted(result.store.status())) {
          return CommitLess(std::move(result.have), [this] { ReopenPart(); });
        }
        if (!result.place.ok()) return WaitForPlace(result.place, kIsItMounted);
        if (absl::IsNotFound(result.store.status())) {
          if (!resting_have_.None()) {
            spdlog::warn("transfer {}: {}.part is gone with {} of {}; it is fetched anew",
                         record_.id.value(), Printable(record_.path), HumanBytes(RestingBytes()),
                         HumanBytes(content_.layout->total_bytes().value()));
          }
          if (fetch_ == nullptr) StartFetch({});
          return MakePlace();
        }
        if (!result.store.ok()) return Fail(result.store.status());
        content_.store = *std::move(result.store);
        if (result.adopted) {
          result.uncertain.AddAll();
          return RunCheck(result.uncertain, [this](store::VerifiedChunks checked) {
            if (checked.good.All()) return OnFinished(content_.store->identities());
            content_.store.reset();
            Fail(absl::AlreadyExistsError(
                absl::StrCat(Printable(record_.path), " already exists and is something else")));
          });
        }
        // It may have been moved to another disk while the daemon was stopped.
        RememberPlace();
        if (!result.uncertain.None()) return CheckUncommitted(result.uncertain);
        UseStore(resting_have_);
      }));
}

// Before anything is made anew: then it looks as if all of it were there.
void Transfer::CommitLess(ChunkSet have, std::function<void()> then) {
  if (have == resting_have_) return then();
  resting_have_ = std::move(have);
  runtime_->RunOnCatalog([id = record_.id, bytes = resting_have_.ToBytes()](
                             store::Catalog& catalog) { return catalog.SaveHave(id, bytes); },
                         Guard([this, then = std::move(then)](absl::Status saved) {
                           if (!saved.ok())
                             return Fail(Annotate(saved, "cannot save what is left of it"));
                           then();
                         }));
}

void Transfer::RememberPlace() {
  runtime_->RunOnWorker(
      Priority::kBulk, [store = content_.store] { return store->Place(); },
      Guard([this](absl::StatusOr<store::FileIdentity> place) {
        if (!place.ok() || record_.finished) return;
        if (identities_.size() == 1 && identities_.front() == *place) return;
        identities_ = {*place};
        runtime_->RunOnCatalog(
            [id = record_.id, identities = identities_](store::Catalog& catalog) {
              return catalog.SaveIdentities(id, identities);
            },
            [](absl::Status) {});
      }));
}

// A disk that is not mounted is not a download that was deleted: nothing of it is forgotten, and
// nothing is begun where the disk will be.
void Transfer::WaitForPlace(const absl::Status& status, absl::string_view hint) {
  StopWork([] {});
  SetState(TransferState::kPaused, absl::StrCat(status.message(), hint));
  disk_timer_.Arm(MonotonicNow() + kDiskRetry, [this] { LookForPlace(); });
}

void Transfer::LookForPlace() {
  runtime_->RunOnWorker(
      Priority::kBulk,
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

void Transfer::CheckUncommitted(ChunkSet uncertain) {
  RunCheck(std::move(uncertain), [this](store::VerifiedChunks checked) {
    ChunkSet have = resting_have_;
    have.Add(checked.good);
    UseStore(std::move(have));
  });
}

void Transfer::UseStore(ChunkSet have) {
  SetState(TransferState::kDownloading);
  if (fetch_ == nullptr) StartFetch({});
  const bool has_something = !have.None();
  const std::shared_ptr<Fetch> fetch = fetch_;  // may be gone at the end of the call
  fetch->OnStoreReady(std::move(have), resting_have_);
  if (has_something && fetch_ != nullptr) Announce(/*partial=*/true);
}

void Transfer::VerifyPart() {
  SetState(TransferState::kChecking);
  const ChunkSet have = *fetch_->have();
  RunCheck(have, [this, have](store::VerifiedChunks checked) {
    ChunkSet lost = have;
    lost.Remove(checked.good);
    SetState(TransferState::kDownloading);
    // Also with nothing lost: the last chunk may have come while this ran.
    if (fetch_ != nullptr) fetch_->OnLostHere(lost);
  });
}

void Transfer::OnStoreProblem(const absl::Status& status) {
  if (fetch_ == nullptr) return;
  if (store::FileChunkManager::IsDiskFull(status)) return WaitForDisk(status);
  if (absl::IsNotFound(status)) return WaitForPlace(status, kIsItMounted);
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
  runtime_->RunOnWorker(
      Priority::kBulk,
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

// What an earlier run, or an earlier fetch, left of a download: what of it may be had.
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/engine/transfer.h"
#include "spdlog/spdlog.h"

namespace p2p::engine {

namespace {

using Priority = store::WorkerPool::Priority;

// What is changed as often while it is looked through may never come to its end.
constexpr int kMostPartChanges = 3;

}  // namespace

struct Transfer::Reopened {
  absl::StatusOr<std::shared_ptr<store::FileChunkManager>> store = absl::UnknownError("");
  store::DurableChunks have;
  ChunkSet uncertain;  // to be hashed before it is had
  bool changed = false;
  bool adopted = false;
  absl::Status place;
};

void Transfer::ReopenPart() {
  SetState(TransferState::kChecking);
  store::PartClaim claim;
  claim.have = resting_have_;
  claim.files = part_files_;
  // Without hashes nothing can be looked at again, and a run that was cut off leaves other times.
  claim.times_tell = record_.verified || !cut_off_;
  const bool recheck = may_have_more_ && content_.hashes.WhenComplete() != nullptr;
  placing_ = true;
  runtime_->RunOnDisk(
      Priority::kUrgent, runtime_->DiskAt(record_.path),
      [files = runtime_->files, path = record_.path, layout = content_.layout,
       claim = std::move(claim), place = identities_, recheck,
       adopt = content_.manifest != nullptr]() mutable {
        Reopened result;
        const store::DurableChunks claimed = claim.have;
        // Cut off before the place was chosen.
        if (absl::EndsWith(path, "/")) {
          result.store = absl::NotFoundError("no place chosen yet");
          return result;
        }
        if (!claimed.chunks().None() &&
            store::FileChunkManager::LookAtPart(files, path, layout, &claim).ok() &&
            !(claim.have.chunks() == claimed.chunks())) {
          result.have = std::move(claim.have);
          result.store = absl::AbortedError("less is there than the catalog claims");
          return result;
        }
        result.store = store::FileChunkManager::ReopenPart(files, path, layout, &claim);
        if (result.store.ok()) {
          result.uncertain = claim.doubtful;
          result.changed = !claim.doubtful.None();
          if (recheck) {
            // Written but not committed when the last run was cut off: worth hashing, not worth
            // fetching again.
            ChunkSet more = (*result.store)->PossiblyWritten();
            more.Remove(claim.have.chunks());
            result.uncertain.Add(more);
          }
          // What is not on the disk is fetched again, whatever the page cache says.
          if (!result.uncertain.None() && !(*result.store)->ForgetCached().ok())
            result.uncertain.Clear();
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
      [self = shared_from_this(), then = Guard([this](Reopened result) {
                                    OnPartReopened(std::move(result));
                                  })](Reopened result) mutable {
        self->EndPlacing(result.store.ok() ? *result.store : nullptr);
        then(std::move(result));
      });
}

void Transfer::OnPartReopened(Reopened result) {
  if (absl::IsAborted(result.store.status()))
    return CommitLess(std::move(result.have), [this] { ReopenPart(); });
  if (!result.place.ok()) return WaitForMount(result.place);
  if (absl::IsNotFound(result.store.status())) {
    if (!resting_have_.chunks().None()) {
      spdlog::warn("transfer {}: {}.part is gone with {} of {}; it is fetched anew",
                   record_.id.value(), Printable(record_.path), HumanBytes(RestingBytes()),
                   HumanBytes(content_.layout->total_bytes().value()));
    }
    if (fetch_ == nullptr) StartFetch({});
    return MakePlace();
  }
  if (!result.store.ok()) return Fail(result.store.status());
  if (result.adopted) return AdoptReopened();
  if (result.changed && content_.manifest != nullptr && content_.hashes.WhenComplete() == nullptr) {
    // The hashes tell what of it is right, once they are all here.
    part_waits_for_hashes_ = true;
    if (fetch_ == nullptr) StartFetch({});
    return;
  }
  may_have_more_ = cut_off_ = false;
  // It may have been moved to another disk while the daemon was stopped.
  RememberPlace();
  if (result.changed) {
    spdlog::warn("transfer {}: {}.part is not as it was left; what it should hold is checked",
                 record_.id.value(), Printable(record_.path));
  }
  if (result.uncertain.None() || content_.hashes == nullptr) return UseStore();
  CheckFound(std::move(result.uncertain));
}

// At its end it is not what was written, as after a start.
void Transfer::OnPartChanged(const absl::Status& how) {
  spdlog::warn("transfer {}: {}", record_.id.value(), std::string(how.message()));
  if (++part_changes_ > kMostPartChanges) {
    part_changes_ = 0;
    return Fail(absl::FailedPreconditionError(
        absl::StrCat(how.message(), ", again and again; find out who does that, and resume")));
  }
  StopWork([] {});
  // What the catalog knows of its files is of this run.
  cut_off_ = false;
  Continue();
}

void Transfer::AdoptReopened() {
  if (!content_.AllKnown()) {
    content_.store.reset();
    exists_at_target_ = true;
    if (fetch_ == nullptr) StartFetch({});
    return fetch_->OnPlaceFound();
  }
  ChunkSet all(content_.layout->chunk_count());
  all.AddAll();
  RunCheck(all, [this](store::VerifiedChunks checked) {
    if (checked.good.All()) return OnFinished(content_.store->identities());
    content_.store.reset();
    Fail(absl::AlreadyExistsError(
        absl::StrCat(Printable(record_.path), " already exists and is something else")));
  });
}

// Before anything is made anew: then it looks as if all of it were there.
void Transfer::CommitLess(store::DurableChunks have, std::function<void()> then) {
  if (have.chunks() == resting_have_.chunks()) return then();
  resting_have_ = std::move(have);
  runtime_->RunOnCatalog([id = record_.id, have = resting_have_](
                             store::Catalog& catalog) { return catalog.SaveHave(id, have); },
                         Guard([this, then = std::move(then)](absl::Status saved) {
                           if (!saved.ok())
                             return Fail(Annotate(saved, "cannot save what is left of it"));
                           then();
                         }));
}

void Transfer::CheckFound(ChunkSet uncertain) {
  RunCheck(std::move(uncertain), [this](store::VerifiedChunks checked) {
    content_.store->ledger()->KeepFound(checked.good);
    UseStore();
  });
}

void Transfer::UseStore() {
  SetState(TransferState::kDownloading);
  if (fetch_ == nullptr) StartFetch({});
  const std::shared_ptr<Fetch> fetch = fetch_;  // may be gone at the end of the call
  fetch->OnStoreReady(resting_have_);
  const bool has_something = fetch->have() != nullptr && !fetch->have()->None();
  if (has_something && fetch_ != nullptr) Announce(/*partial=*/true);
  if (verification_ == Verification::kWanted && fetch_ != nullptr && !finishing_) VerifyPart();
}

void Transfer::VerifyPart() {
  verification_ = Verification::kRuns;
  SetState(TransferState::kChecking);
  const ChunkSet have = *fetch_->have();
  RunCheck(have, [this, have](store::VerifiedChunks checked) {
    ChunkSet bad = have;
    bad.Remove(checked.good);
    verification_ = Verification::kNone;
    SetState(TransferState::kDownloading);
    // Also with nothing bad: the last chunk may have come while this ran.
    if (fetch_ != nullptr) fetch_->OnBadHere(bad);
  });
}

}  // namespace p2p::engine

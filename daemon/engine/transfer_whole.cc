// Shares and finished downloads: hashing, opening, checking, offering.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/engine/transfer.h"
#include "spdlog/spdlog.h"

namespace p2p::engine {
namespace {

using Priority = store::WorkerPool::Priority;

constexpr size_t kFilesNamed = 3;
constexpr absl::Duration kGoneRetry = absl::Seconds(5);
constexpr absl::Duration kMeansRetry = absl::Seconds(2);

std::string NameFiles(const content::Layout& layout, const std::vector<FileIndex>& files) {
  std::vector<std::string> names;
  for (FileIndex file : files) {
    if (names.size() == kFilesNamed) {
      names.push_back(absl::StrCat("and ", files.size() - kFilesNamed, " more"));
      break;
    }
    names.push_back(Printable(layout.file(file).path));
  }
  return absl::StrJoin(names, ", ");
}

}  // namespace

void Transfer::HashShare() {
  SetState(TransferState::kHashing);
  progress_ = std::make_shared<store::WorkProgress>();
  store::HashShare(
      runtime_->files, runtime_->workers.get(), runtime_->DiskAt(record_.path), record_.path,
      record_.name, progress_,
      [runtime = runtime_, weak = weak_from_this()](ByteCount total) {
        runtime->engine_loop.Post([weak, total] {
          if (const auto self = weak.lock()) self->hashing_total_ = total.value();
        });
      },
      [runtime = runtime_, guarded = Guard([this](absl::StatusOr<store::HashedShare> hashed) {
                             progress_.reset();
                             if (hashed.ok()) {
                               OnHashed(*std::move(hashed));
                             } else {
                               Fail(hashed.status());
                             }
                           })](absl::StatusOr<store::HashedShare> hashed) mutable {
        auto shared = std::make_shared<absl::StatusOr<store::HashedShare>>(std::move(hashed));
        runtime->engine_loop.Post([guarded, shared]() mutable { guarded(std::move(*shared)); });
      });
}

void Transfer::OnHashed(store::HashedShare hashed) {
  content_.manifest = hashed.manifest;
  content_.layout =
      std::shared_ptr<const content::Layout>(hashed.manifest, &hashed.manifest->layout());
  content_.hashes = KnownHashes(*hashed.hashes);
  content_.id = hashed.manifest->content_id();
  identities_ = std::move(hashed.identities);
  record_.content_id = content_.id;
  record_.size_bytes = content_.layout->total_bytes().value();
  SetState(TransferState::kChecking);
  // Offered once it is safe: a restart then finds it as it is announced.
  runtime_->RunOnCatalog(
      [record = record_, manifest = content_.manifest, hashes = content_.hashes.WhenComplete(),
       identities = identities_](store::Catalog& catalog) {
        store::TransferContent content;
        content.info = manifest->info();
        content.chunk_hashes = hashes->Encode();
        content.identities = identities;
        return catalog.Save(record, content);
      },
      Guard([this](absl::Status saved) {
        if (!saved.ok()) {
          // Only what the catalog has is offered: resuming hashes again.
          content_.manifest = nullptr;
          return Fail(Annotate(saved, "cannot save the share in the catalog"));
        }
        host_->OnContentKnown(this);
        OpenWhole();
      }));
}

void Transfer::OpenWhole() {
  using Opened = absl::StatusOr<std::shared_ptr<store::FileChunkManager>>;
  struct Result {
    Opened store;
    std::vector<FileIndex> changed;
    bool gone = false;
  };
  runtime_->RunOnDisk(
      Priority::kUrgent, runtime_->DiskAt(record_.path),
      [files = runtime_->files, path = record_.path, layout = content_.layout,
       identities = identities_] {
        Result result{
            store::FileChunkManager::OpenWhole(files, path, layout, identities), {}, false};
        if (result.store.ok()) result.changed = (*result.store)->ChangedFiles();
        const bool all = result.changed.size() == layout->files().size();
        result.gone = (!result.store.ok() || all) && store::FileChunkManager::IsGone(files, path);
        return result;
      },
      Guard([this](Result result) {
        progress_.reset();
        if (result.gone) return Gone();
        if (absl::IsUnavailable(result.store.status()))
          return TryAgainSoon(result.store.status(), [this] { OpenWhole(); });
        if (!result.store.ok()) {
          return Damaged(absl::StrCat(Printable(record_.path),
                                      " is not there: ", result.store.status().message()));
        }
        content_.store = *std::move(result.store);
        if (result.changed.empty()) return Offer();
        CheckFiles(std::move(result.changed));
      }));
}

void Transfer::Offer() {
  content_.whole = true;
  if (!record_.error.empty()) {
    record_.error.clear();
    SaveRecord();
  }
  const bool verify = std::exchange(verification_, Verification::kNone) == Verification::kWanted;
  if (record_.paused) {
    SetState(TransferState::kPaused);
  } else {
    serving_->Allow();
    SetState(record_.kind == store::TransferKind::kShare ? TransferState::kSeeding
                                                         : TransferState::kComplete);
    Announce(/*partial=*/false);
    LookForChanges();
  }
  if (verify) CheckAll();
}

// Its files are left alone meanwhile, and nothing of them is offered.
void Transfer::FetchWhatTells() {
  if (!content_.id.has_value()) {
    return Fail(absl::DataLossError(
        "the catalog does not know any more what it is; remove the transfer and get it again"));
  }
  StartFetch({});
  if (content_.manifest != nullptr) fetch_->OnPlaceFound();
  SetState(TransferState::kQueued,
           "the catalog lost its chunk hashes; they are fetched again and it is checked with them");
}

void Transfer::OnWhatTells() {
  StopWork([] {});
  identities_.clear();  // all of it is hashed before any of it is offered
  OpenWhole();
}

void Transfer::RunCheck(ChunkSet which, std::function<void(store::VerifiedChunks)> done) {
  if (!content_.AllKnown()) {
    store::VerifiedChunks unknown;
    unknown.good = ChunkSet(which.size());
    unknown.problem = absl::UnavailableError("its chunk hashes are not known");
    return done(std::move(unknown));
  }
  progress_ = std::make_shared<store::WorkProgress>();
  store::VerifyChunks(
      content_.store, runtime_->workers.get(), content_.manifest, content_.hashes.WhenComplete(),
      std::move(which), progress_,
      [runtime = runtime_,
       guarded = Guard([this, done = std::move(done)](store::VerifiedChunks result) {
         progress_.reset();
         done(std::move(result));
       })](store::VerifiedChunks result) mutable {
        runtime->engine_loop.Post([guarded, result]() mutable { guarded(std::move(result)); });
      });
}

void Transfer::CheckFiles(std::vector<FileIndex> files) {
  SetState(TransferState::kChecking,
           absl::StrCat("checking what changed: ", NameFiles(*content_.layout, files)));
  CheckChunksOf(std::move(files));
}

void Transfer::CheckChunksOf(std::vector<FileIndex> files) {
  ChunkSet which(content_.layout->chunk_count());
  for (FileIndex file : files) {
    const content::LayoutFile& entry = content_.layout->file(file);
    for (uint32_t i = 0; i < entry.chunk_count; ++i) which.Add(entry.first_chunk + ChunkIndex(i));
  }
  RunCheck(which,
           [this, files](store::VerifiedChunks result) { OnChecked(files, std::move(result)); });
}

void Transfer::CheckAll() {
  std::vector<FileIndex> all;
  for (uint32_t i = 0; i < content_.layout->files().size(); ++i) all.push_back(FileIndex(i));
  verification_ = Verification::kRuns;
  CheckFiles(std::move(all));
  SetState(TransferState::kChecking);
}

void Transfer::OnChecked(std::vector<FileIndex> files, store::VerifiedChunks result) {
  std::vector<FileIndex> bad;
  for (FileIndex file : files) {
    const content::LayoutFile& entry = content_.layout->file(file);
    for (uint32_t i = 0; i < entry.chunk_count; ++i) {
      if (result.good.Has(entry.first_chunk + ChunkIndex(i))) continue;
      bad.push_back(file);
      break;
    }
  }
  if (!bad.empty() && absl::IsUnavailable(result.problem))
    return TryAgainSoon(result.problem, [this, files] { CheckChunksOf(files); });
  if (!bad.empty()) {
    std::string what = absl::StrCat(
        NameFiles(*content_.layout, bad), bad.size() == 1 ? " is" : " are", " not what was ",
        record_.kind == store::TransferKind::kShare ? "shared" : "fetched");
    if (!result.problem.ok()) absl::StrAppend(&what, " (", result.problem.message(), ")");
    return GoneOrDamaged(what);
  }
  // Also empty files, which have no chunk to be wrong: their refreshed identity fails when they
  // grew or are gone.
  runtime_->RunOnDisk(
      Priority::kUrgent, content_.store->disk(),
      [store = content_.store, files] {
        for (FileIndex file : files) P2P_RETURN_IF_ERROR(store->RefreshIdentity(file));
        return absl::OkStatus();
      },
      Guard([this, files](absl::Status refreshed) {
        if (absl::IsUnavailable(refreshed))
          return TryAgainSoon(refreshed, [this, files] { CheckChunksOf(files); });
        if (!refreshed.ok()) return GoneOrDamaged(std::string(refreshed.message()));
        identities_ = content_.store->identities();
        runtime_->RunOnCatalog(
            [id = record_.id, identities = identities_](store::Catalog& catalog) {
              return catalog.SaveIdentities(id, identities);
            },
            LogUnsaved("that its files were checked"));
        Offer();
        for (FileIndex file : files) serving_->ResumeFile(file);
        for (FileIndex file : files) suspects_.erase(file);
        CheckSuspects();
      }));
}

void Transfer::TryAgainSoon(const absl::Status& why, std::function<void()> what) {
  progress_ = std::make_shared<store::WorkProgress>();  // no other check begins meanwhile
  SetState(TransferState::kChecking, absl::StrCat(why.message(), "; it is tried again by itself"));
  disk_timer_.Arm(MonotonicNow() + kMeansRetry, [this, what = std::move(what)] {
    progress_.reset();
    what();
  });
}

void Transfer::LookForChanges() {
  if (progress_ != nullptr || !content_.whole || !IsActive()) return;
  const absl::Time now = MonotonicNow();
  if (look_.due() > now) return look_timer_.Arm(look_.due(), [this] { LookForChanges(); });
  runtime_->RunOnDisk(
      Priority::kBulk, content_.store->disk(),
      [store = content_.store, files = look_.Begin(now)] { return store->ChangedAmong(files); },
      [weak = weak_from_this()](std::vector<FileIndex> changed) {
        const auto self = weak.lock();
        if (self == nullptr) return;
        self->look_.OnEnd();
        if (changed.empty() || self->progress_ != nullptr || !self->IsActive()) {
          self->look_.Want(changed);  // what a check does not cover: its end looks again
          return self->LookForChanges();
        }
        self->CheckFiles(std::move(changed));
      });
}

void Transfer::OnFileSuspect(FileIndex file) {
  suspects_.insert(file);
  CheckSuspects();
}

// Also at the end of a check that began before they were suspected.
void Transfer::CheckSuspects() {
  if (progress_ != nullptr || suspects_.empty()) return;
  std::vector<FileIndex> files(suspects_.begin(), suspects_.end());
  std::sort(files.begin(), files.end());
  suspects_.clear();
  CheckFiles(std::move(files));
}

// It may stand on a disk that is not mounted yet.
void Transfer::Gone() {
  serving_->RefuseAll();
  content_.whole = false;
  Fail(absl::NotFoundError(
      absl::StrCat(Printable(record_.path),
                   " is gone; is its disk mounted? It is offered again by itself when it is back",
                   record_.kind == store::TransferKind::kDownload
                       ? "; if it was deleted, remove the transfer and get it again"
                       : "")));
  disk_timer_.Arm(MonotonicNow() + kGoneRetry, [this] { LookForFiles(); });
}

void Transfer::LookForFiles() {
  runtime_->RunOnDisk(
      Priority::kBulk, runtime_->DiskAt(record_.path),
      [files = runtime_->files, path = record_.path] {
        return store::FileChunkManager::IsGone(files, path);
      },
      Guard([this](bool gone) {
        if (!gone) return Continue();
        disk_timer_.Arm(MonotonicNow() + kGoneRetry, [this] { LookForFiles(); });
      }));
}

void Transfer::GoneOrDamaged(const std::string& what) {
  runtime_->RunOnDisk(
      Priority::kUrgent, runtime_->DiskAt(record_.path),
      [files = runtime_->files, path = record_.path] {
        return store::FileChunkManager::IsGone(files, path);
      },
      Guard([this, what](bool gone) { return gone ? Gone() : Damaged(what); }));
}

void Transfer::Damaged(const std::string& what) {
  serving_->RefuseAll();
  content_.whole = false;
  if (record_.kind == store::TransferKind::kShare) {
    Fail(absl::DataLossError(absl::StrCat(what, "; share it again, or put it back and resume")));
  } else {
    Fail(absl::DataLossError(
        absl::StrCat(what, "; remove the transfer and get it again, or put it back and resume")));
  }
}

}  // namespace p2p::engine

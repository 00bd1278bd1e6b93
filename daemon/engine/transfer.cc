// The transfer's life: start, pause, resume, stop; and what comes from links.
#include "daemon/engine/transfer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "spdlog/spdlog.h"

namespace p2p::engine {

Transfer::Transfer(Runtime* runtime, Links* links, Trackers* trackers, TransferHost* host,
                   store::TransferRecord record)
    : runtime_(runtime),
      links_(links),
      trackers_(trackers),
      host_(host),
      record_(std::move(record)),
      disk_timer_(&runtime->engine_loop),
      look_timer_(&runtime->engine_loop),
      save_timer_(&runtime->engine_loop) {
  content_.id = record_.content_id;
  serving_ = std::make_shared<Serving>(runtime_, links_, &content_, this);
}

Transfer::~Transfer() = default;

struct Transfer::Loaded {
  absl::Status status;
  std::shared_ptr<const content::Manifest> manifest;
  KnownHashes hashes;
  std::vector<store::FileIdentity> identities;
  store::DurableChunks have;
  std::vector<store::FileIdentity> part_files;
  bool damaged = false;
  bool placed = false;

  // What is not as it should be is as if it were not there.
  void Take(const absl::optional<ContentId>& id, std::string info, const std::string& chunk_hashes);
};

void Transfer::Loaded::Take(const absl::optional<ContentId>& id, std::string info,
                            const std::string& chunk_hashes) {
  if (info.empty()) return;
  absl::StatusOr<content::Manifest> parsed = content::Manifest::Parse(std::move(info));
  if (!parsed.ok() || (id.has_value() && parsed->content_id() != *id)) {
    damaged = true;
    return;
  }
  manifest = std::make_shared<const content::Manifest>(*std::move(parsed));
  hashes = KnownHashes(content::ChunkHashes(manifest));
  if (chunk_hashes.empty()) return;
  absl::StatusOr<content::ChunkHashes> decoded =
      content::ChunkHashes::Decode(manifest, chunk_hashes);
  damaged |= !decoded.ok();
  if (decoded.ok()) hashes = KnownHashes(*std::move(decoded));
}

void Transfer::StartNew() {
  loaded_ = true;
  trackers_->Use(record_.id, record_.trackers);
  Continue();
}

void Transfer::Load() {
  if (!record_.paused) trackers_->Use(record_.id, record_.trackers);
  state_ = record_.paused ? TransferState::kPaused : TransferState::kQueued;
  LoadContent();
}

void Transfer::LoadContent() {
  runtime_->RunOnCatalog(
      [id = record_.id, content_id = record_.content_id](store::Catalog& catalog) {
        Loaded loaded;
        absl::StatusOr<store::TransferContent> raw = catalog.LoadContent(id);
        if (!raw.ok()) {
          loaded.status = raw.status();
          return loaded;
        }
        loaded.identities = std::move(raw->identities);
        loaded.have = std::move(raw->have);
        loaded.part_files = std::move(raw->part_files);
        loaded.damaged = raw->damaged;
        loaded.placed = raw->placed;
        loaded.Take(content_id, std::move(raw->info), raw->chunk_hashes);
        return loaded;
      },
      Guard([this](Loaded loaded) {
        if (!loaded.status.ok()) {
          return Fail(Annotate(loaded.status, "its entry in the catalog cannot be read"));
        }
        loaded_ = true;
        content_.manifest = loaded.manifest;
        content_.hashes = std::move(loaded.hashes);
        identities_ = std::move(loaded.identities);
        part_files_ = std::move(loaded.part_files);
        cut_off_ = host_->last_run_was_unclean();
        may_have_more_ = cut_off_ || loaded.damaged;
        placed_ = loaded.placed;
        if (loaded.damaged) {
          spdlog::warn("transfer {}: not all of it is in the catalog as it was saved",
                       record_.id.value());
        }
        part_waits_for_hashes_ = placed_ && loaded.manifest == nullptr;
        resting_have_ = std::move(loaded.have);
        if (content_.manifest != nullptr) {
          content_.layout = std::shared_ptr<const content::Layout>(content_.manifest,
                                                                   &content_.manifest->layout());
          resting_have_.Fit(content_.layout->chunk_count());
        } else if (record_.verified) {
          resting_have_ = store::DurableChunks();
        }
        // A share may be well again; a download's reason stands until the user resumes it.
        if (!record_.error.empty() && record_.kind == store::TransferKind::kDownload &&
            !record_.finished) {
          return SetState(TransferState::kError, record_.error);
        }
        Continue();
      }));
}

void Transfer::Continue() {
  if (record_.paused) return SetState(TransferState::kPaused);
  // It could not be read, and was resumed.
  if (!loaded_) return LoadContent();
  // A have-set that is still being committed would replace that of the next fetch.
  if (stopping_ != nullptr) return AfterStopping(Guard([this] { Continue(); }));
  if (placing_) return AfterPlacing(Guard([this] { Continue(); }));
  if (record_.kind == store::TransferKind::kShare) {
    return content_.AllKnown() ? OpenWhole() : HashShare();
  }
  if (record_.finished && !record_.verified) return SetState(TransferState::kComplete);
  if (record_.finished) return content_.AllKnown() ? OpenWhole() : FetchWhatTells();
  if (!record_.verified) return StartOriginalFetch(record_.size_bytes, {});
  if (!content_.id.has_value()) return LookUpName();
  if (content_.manifest != nullptr && placed_) return ReopenPart();
  // Where a sibling brings the manifest, OnManifest makes the place.
  const bool had_manifest = content_.manifest != nullptr;
  StartFetch({});
  if (had_manifest) MakePlace();
}

void Transfer::SetState(TransferState state, std::string note) {
  if (state_ != state || note_ != note) {
    spdlog::info("transfer {} ({}): {}{}{}", record_.id.value(),
                 Printable(record_.name.empty() ? record_.source : record_.name), StateName(state),
                 note.empty() ? "" : ": ", Printable(note, 1'000));
  }
  state_ = state;
  unverified_refused_ = false;
  note_ = std::move(note);
  host_->OnNamed(*this);  // whoever is asked for is in a state that follows its name
  runtime_->changes.Changed();
}

void Transfer::Fail(const absl::Status& status) {
  record_.error = std::string(status.message());
  SaveRecord();
  StopWork([] {});
  SetState(TransferState::kError, record_.error);
}

uint64_t Transfer::RestingBytes() const { return resting_have_.Bytes(*content_.layout); }

void Transfer::StopWork(std::function<void()> done) {
  ++epoch_;
  finishing_ = false;
  verification_ = Verification::kNone;
  suspects_.clear();
  disk_timer_.Disarm();
  if (progress_ != nullptr) progress_->cancelled = true;
  progress_.reset();
  lookup_.reset();
  trackers_->Withdraw(record_.id);
  links_->ForEachOf(this, [](Link& link) {
    // An original client is still told why.
    if (link.original && !link.dialled) {
      link.io->Finish("the transfer stopped");
    } else {
      link.io->Close("the transfer stopped");
    }
  });
  if (fetch_ == nullptr) return AfterStopping(std::move(done));
  const auto fetch = std::exchange(fetch_, nullptr);
  stopping_ = fetch;
  fetch->Stop([self = shared_from_this(), fetch, done = std::move(done)] {
    if (self->stopping_ == fetch) self->stopping_ = nullptr;
    self->uncommitted_ = fetch->uncommitted();
    // What was written without being made durable may be lost: only the committed part stands.
    if (const HaveJournal* journal = fetch->journal()) self->TakeCommitted(*journal);
    done();
  });
}

void Transfer::TakeCommitted(const HaveJournal& journal) {
  resting_have_ = journal.committed();
  part_files_.resize(content_.layout->files().size());
  for (const auto& [file, identity] : journal.committed_files())
    part_files_[file.value()] = identity;
}

void Transfer::AfterStopping(std::function<void()> done) {
  if (stopping_ == nullptr) return done();
  stopping_->Stop(std::move(done));
}

void Transfer::AfterPlacing(std::function<void()> done) {
  if (!placing_) return done();
  after_placing_.push_back(std::move(done));
}

void Transfer::EndPlacing(std::shared_ptr<store::FileChunkManager> store) {
  placing_ = false;
  if (store != nullptr) content_.store = std::move(store);
  for (const auto& next : std::exchange(after_placing_, {})) next();
}

void Transfer::Pause(std::function<void(absl::Status)> committed) {
  if (stopping_ == nullptr) uncommitted_ = absl::OkStatus();
  const auto when_stopped = [self = shared_from_this(), committed = std::move(committed)] {
    self->AfterCatalog([kept = std::exchange(self->uncommitted_, absl::OkStatus()),
                        committed](const absl::Status& saved) {
      if (saved.ok()) {
        return committed(Annotate(
            kept, "it is paused, but what came last cannot be saved and may be fetched again"));
      }
      committed(Annotate(
          saved,
          "it is paused, but the catalog cannot save that, so it may go on after a restart"));
    });
  };
  if (record_.paused) return AfterStopping(when_stopped);
  record_.paused = true;
  SaveRecord();
  StopWork(when_stopped);
  trackers_->Release(record_.id);
  SetState(TransferState::kPaused);
}

void Transfer::Resume(std::function<void(absl::Status)> committed) {
  GoOn();
  AfterCatalog([committed = std::move(committed)](const absl::Status& saved) {
    committed(Annotate(
        saved, "it goes on, but the catalog cannot save that, so a restart may find it as it was"));
  });
}

void Transfer::GoOn() {
  if (fetch_ != nullptr) return fetch_->HuntNow();
  if (record_.paused && state_ == TransferState::kChecking) {
    // The end of the check offers it.
    record_.paused = false;
    trackers_->Use(record_.id, record_.trackers);
    return SaveRecord();
  }
  if (state_ == TransferState::kComplete && content_.whole && progress_ == nullptr) {
    // Whoever gets it again is told whether it is still what was fetched.
    progress_ = std::make_shared<store::WorkProgress>();  // no check begins meanwhile
    SetState(TransferState::kChecking);
    return OpenWhole();
  }
  const bool at_rest = state_ == TransferState::kPaused || state_ == TransferState::kError;
  if (!at_rest) return;
  const bool was_damaged = state_ == TransferState::kError && content_.manifest != nullptr &&
                           (record_.kind == store::TransferKind::kShare || record_.finished);
  ++epoch_;
  record_.paused = false;
  trackers_->Use(record_.id, record_.trackers);
  record_.error.clear();
  SaveRecord();
  SetState(TransferState::kQueued);
  if (was_damaged && content_.store != nullptr) return CheckAll();
  Continue();
}

absl::Status Transfer::Verify() {
  if (state_ == TransferState::kHashing) return absl::OkStatus();
  if (progress_ != nullptr || (finishing_ && record_.verified)) {
    if (verification_ == Verification::kNone) verification_ = Verification::kWanted;
    SetState(TransferState::kChecking, note_);
    return absl::OkStatus();
  }
  if (fetch_ != nullptr && fetch_->have() != nullptr && content_.store != nullptr &&
      content_.hashes != nullptr) {
    if (content_.hashes.WhenComplete() == nullptr) {
      return absl::UnavailableError(
          "its chunk hashes are not all here yet, which would tell; try again in a moment");
    }
    VerifyPart();
    return absl::OkStatus();
  }
  if (content_.manifest != nullptr && content_.store != nullptr && !content_.store->is_part()) {
    CheckAll();
    return absl::OkStatus();
  }
  if (!record_.verified) {
    return absl::FailedPreconditionError(
        "it came from peers of the original protocol, which give no hashes to verify it with");
  }
  return absl::FailedPreconditionError(absl::StrCat("there is nothing to verify while it is ",
                                                    StateName(state_),
                                                    record_.paused ? "; resume it first" : ""));
}

void Transfer::Stop(std::function<void()> done) { StopWork(std::move(done)); }

bool Transfer::IsActive() const {
  if (!content_.id.has_value() || !record_.verified) return false;
  if (fetch_ != nullptr) return true;
  return content_.whole && !record_.paused &&
         (state_ == TransferState::kSeeding || state_ == TransferState::kComplete ||
          state_ == TransferState::kChecking);
}

bool Transfer::IsComing() const {
  return !record_.paused && record_.verified && !IsActive() && !IsDamaged() &&
         state_ != TransferState::kError && state_ != TransferState::kPaused;
}

uint64_t Transfer::bytes_to_write() const {
  if (fetch_ == nullptr || content_.layout == nullptr || record_.finished) return 0;
  return content_.layout->total_bytes().value() - fetch_->bytes_have();
}

void Transfer::OnPeerHello(Link& link) {
  if (fetch_ != nullptr) fetch_->OnPeerHello(link);
}

void Transfer::OnLinkEvent(Link& link, session::PeerEvent& event) {
  if (lookup_ != nullptr && lookup_->OnLinkEvent(link, event)) return;
  if (fetch_ != nullptr && fetch_->OnLinkEvent(link, event)) return;
  serving_->OnEvent(link, event);
}

void Transfer::OnLinkClosed(Link& link, const std::string& reason) {
  if (lookup_ != nullptr) lookup_->OnLinkClosed(link);
  if (fetch_ != nullptr) fetch_->OnLinkClosed(link, reason);
  // A peer that got bytes which changed on their way out of the socket drops us and asks no more.
  if (!content_.whole) return;
  look_.Want(link.served.files());
  LookForChanges();
}

void Transfer::OnSelfDialled(const std::string& address) {
  if (fetch_ != nullptr) fetch_->OnSelfDialled(address);
}

void Transfer::ServeOriginal(Link& link, FileIndex file, uint64_t chunk_id) {
  serving_->ServeOriginal(link, file, chunk_id);
}

}  // namespace p2p::engine

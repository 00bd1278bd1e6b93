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
#include "daemon/engine/transfer.h"
#include "spdlog/spdlog.h"

namespace p2p::engine {
namespace {

using Priority = store::WorkerPool::Priority;

constexpr uint32_t kDownloadDirMode = 0755;
constexpr absl::Duration kDiskRetry = absl::Seconds(5);
// With less room a download that waits for space would stop again at once.
constexpr uint64_t kSpaceToGoOn = 64 << 20;

// Where a download named `name` goes when the user said `wanted`: into it when it is a directory,
// and when it ends with a slash, which also makes it where it is missing.
absl::StatusOr<std::string> ResolveTarget(store::FileSystem* files, const std::string& wanted,
                                          const std::string& name) {
  if (absl::EndsWith(wanted, "/")) {
    P2P_RETURN_IF_ERROR(
        store::MakeDirectories(wanted.substr(0, wanted.size() - 1), kDownloadDirMode));
    return absl::StrCat(wanted, name);
  }
  const size_t slash = wanted.rfind('/');
  absl::StatusOr<std::unique_ptr<store::Directory>> parent =
      files->OpenRoot(wanted.substr(0, std::max<size_t>(slash, 1)));
  if (!parent.ok()) return parent.status();
  const absl::StatusOr<store::FileInfo> info = (*parent)->Info(wanted.substr(slash + 1));
  const bool is_directory = info.ok() && info->kind == store::FileKind::kDirectory;
  return is_directory ? absl::StrCat(wanted, "/", name) : wanted;
}

}  // namespace

struct Transfer::Place {
  std::string target;
  absl::StatusOr<std::shared_ptr<store::FileChunkManager>> store = absl::UnknownError("");
};

void Transfer::MakePlace() {
  const ByteCount reserved = host_->ReservedBytes(record_.id);
  runtime_->RunOnWorker(
      Priority::kUrgent,
      [files = runtime_->files, wanted = record_.path, layout = content_.layout, reserved] {
        Place place;
        absl::StatusOr<std::string> target = ResolveTarget(files, wanted, layout->name());
        if (!target.ok()) {
          place.store = Annotate(target.status(), "the directory for the download");
          return place;
        }
        place.target = *target;
        place.store = store::FileChunkManager::CreatePart(files, *target, layout, reserved);
        return place;
      },
      Guard([this](Place place) { OnPlace(std::move(place)); }));
}

void Transfer::OnPlace(Place place) {
  if (!place.target.empty()) record_.path = place.target;
  if (place.store.ok()) {
    content_.store = *std::move(place.store);
    SaveRecord();
    const std::shared_ptr<Transfer> sibling =
        content_.id.has_value() ? host_->FindSibling(*this) : nullptr;
    if (sibling != nullptr && sibling->content_.whole) return CopyFrom(*sibling);
    return UseStore(ChunkSet(content_.layout->chunk_count()));
  }
  if (!absl::IsAlreadyExists(place.store.status()) || content_.manifest == nullptr) {
    return Fail(place.store.status());
  }
  exists_at_target_ = true;
  if (content_.hashes->Complete()) CompareExisting();
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
          if (result.good.All()) return OnFinished(content_.store->identities());
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
  };
  SetState(TransferState::kChecking);
  const bool recheck =
      host_->last_run_was_unclean() && content_.hashes != nullptr && content_.hashes->Complete();
  runtime_->RunOnWorker(
      Priority::kUrgent,
      [files = runtime_->files, path = record_.path, layout = content_.layout, have = resting_have_,
       recheck, adopt = content_.manifest != nullptr] {
        Reopened result;
        result.have = have;
        result.uncertain = ChunkSet(have.size());
        // Cut off before the place was chosen.
        if (absl::EndsWith(path, "/")) {
          result.store = absl::NotFoundError("no place chosen yet");
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
        return result;
      },
      Guard([this](Reopened result) {
        if (absl::IsNotFound(result.store.status())) {
          if (!resting_have_.None()) {
            spdlog::warn("transfer {}: {}.part is gone with {} of {}; it is fetched anew",
                         record_.id.value(), Printable(record_.path), HumanBytes(RestingBytes()),
                         HumanBytes(content_.layout->total_bytes().value()));
          }
          resting_have_.Clear();
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
        if (!result.uncertain.None()) return CheckUncommitted(result.have, result.uncertain);
        UseStore(result.have);
      }));
}

void Transfer::CheckUncommitted(ChunkSet have, ChunkSet uncertain) {
  RunCheck(std::move(uncertain), [this, have](store::VerifiedChunks checked) mutable {
    have.Add(checked.good);
    UseStore(std::move(have));
  });
}

void Transfer::UseStore(ChunkSet have) {
  SetState(TransferState::kDownloading);
  if (fetch_ == nullptr) StartFetch({});
  const bool has_something = !have.None();
  const std::shared_ptr<Fetch> fetch = fetch_;  // may be gone at the end of the call
  fetch->OnStoreReady(std::move(have));
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

void Transfer::WaitForDisk(const absl::Status& status) {
  SetState(TransferState::kPaused,
           absl::StrCat("disk full: ", HumanBytes(bytes_to_write()), " more are needed (",
                        status.message(), "); it goes on by itself when there is space"));
  const std::shared_ptr<Fetch> fetch = fetch_;
  // What was written without being made durable may be lost: only the committed part stands.
  StopWork([this, keep = shared_from_this(), fetch] {
    if (fetch->committed() != nullptr) resting_have_ = *fetch->committed();
  });
  disk_timer_.Arm(MonotonicNow() + kDiskRetry, [this] { LookForSpace(); });
}

void Transfer::LookForSpace() {
  runtime_->RunOnWorker(
      Priority::kBulk, [store = content_.store] { return store->FreeBytes(); },
      Guard([this](absl::StatusOr<uint64_t> free) {
        const uint64_t missing = content_.layout->total_bytes().value() - RestingBytes();
        if (free.ok() && *free >= std::min(missing, kSpaceToGoOn)) return Continue();
        disk_timer_.Arm(MonotonicNow() + kDiskRetry, [this] { LookForSpace(); });
      }));
}

}  // namespace p2p::engine

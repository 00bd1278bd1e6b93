// Downloads: from what the user named to the finished file.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/engine/transfer.h"
#include "spdlog/spdlog.h"

namespace p2p::engine {
namespace {

using Priority = store::WorkerPool::Priority;

constexpr uint32_t kDownloadDirMode = 0755;
constexpr absl::Duration kDiskRetry = absl::Seconds(5);
// With less room a download that waits for space would stop again at once.
constexpr uint64_t kSpaceToGoOn = 64 << 20;

std::string LastComponent(const std::string& name) { return name.substr(name.rfind('/') + 1); }

std::string DescribeVersions(const std::vector<session::NameFound::Version>& versions) {
  std::vector<std::string> lines;
  for (const auto& version : versions) {
    lines.push_back(absl::StrCat(version.content_id.Hex(), " (", HumanBytes(version.total_bytes.value()), ", ",
                                 version.peers.size(), version.peers.size() == 1 ? " peer)" : " peers)"));
  }
  return absl::StrJoin(lines, ", ");
}

// Where a download named `name` goes when the user said `wanted`: into it when it is a directory, and when it ends with
// a slash, which also makes it where it is missing.
absl::StatusOr<std::string> ResolveTarget(store::FileSystem* files, const std::string& wanted,
                                          const std::string& name) {
  if (absl::EndsWith(wanted, "/")) {
    P2P_RETURN_IF_ERROR(store::MakeDirectories(wanted.substr(0, wanted.size() - 1), kDownloadDirMode));
    return absl::StrCat(wanted, name);
  }
  const size_t slash = wanted.rfind('/');
  absl::StatusOr<std::unique_ptr<store::Directory>> parent = files->OpenRoot(wanted.substr(0, std::max<size_t>(slash, 1)));
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

void Transfer::LookUpName() {
  SetState(TransferState::kQueued, "");
  if (!trackers_->HasAny()) {
    return Fail(absl::FailedPreconditionError(
        "no tracker is configured, so a name cannot be looked up; give a magnet link, or start p2pd with --tracker HOST:PORT"));
  }
  lookup_ = std::make_shared<NameLookup>(runtime_, links_, trackers_, record_.source, shared_from_this(),
                                         Guard([this](NameLookup::Result result) { OnNameFound(std::move(result)); }));
  lookup_->Start();
}

void Transfer::OnNameFound(NameLookup::Result result) {
  lookup_.reset();
  if (result.versions.size() > 1) {
    return Fail(absl::FailedPreconditionError(
        absl::StrCat("there are ", result.versions.size(), " contents of that name; get one of them by its content id: ",
                     DescribeVersions(result.versions))));
  }
  if (result.versions.size() == 1) {
    content_.id = result.versions[0].content_id;
    record_.content_id = content_.id;
    record_.size_bytes = result.versions[0].total_bytes.value();
    SaveRecord();
    host_->OnContentKnown(this);
    return StartFetch(result.versions[0].peers);
  }
  if (result.originals.has_value()) {
    record_.verified = false;
    record_.size_bytes = result.originals->total_bytes.value();
    SaveRecord();
    return StartOriginalFetch(record_.size_bytes, result.originals->peers);
  }
  Fail(absl::NotFoundError(absl::StrCat("no peer shares \"", Printable(record_.source),
                                        "\"; check the name with p2pctl list on the machine that shares it")));
}

void Transfer::StartFetch(std::vector<std::string> peers) {
  SetState(content_.manifest == nullptr ? TransferState::kQueued : TransferState::kDownloading);
  FetchSource source;
  source.peers = std::move(peers);
  if (const auto magnet = content::ParseMagnet(record_.source); magnet.ok()) {
    source.peers.insert(source.peers.end(), magnet->peers.begin(), magnet->peers.end());
  }
  fetch_ = std::make_shared<Fetch>(runtime_, links_, trackers_, record_.id, &content_, this, std::move(source));
  fetch_->Start();
}

void Transfer::StartOriginalFetch(uint64_t size_bytes, std::vector<std::string> peers) {
  if (content_.layout == nullptr) {
    const std::string name = LastComponent(record_.source);
    absl::StatusOr<content::Layout> layout =
        content::Layout::Make(name, /*is_directory=*/false, {{name, ByteCount(size_bytes), false, {}, 0}});
    if (!layout.ok()) return Fail(layout.status());
    record_.name = name;
    content_.layout = std::make_shared<const content::Layout>(*std::move(layout));
  }
  if (resting_have_.size() != content_.layout->chunk_count()) {
    ChunkSet have(content_.layout->chunk_count());
    have.AddBytes(ChunkIndex(0), resting_have_.ToBytes());
    resting_have_ = std::move(have);
  }
  SetState(TransferState::kDownloading);
  FetchSource source;
  source.original_name = record_.source;
  source.peers = std::move(peers);
  fetch_ = std::make_shared<Fetch>(runtime_, links_, trackers_, record_.id, &content_, this, std::move(source));
  if (content_.store != nullptr || !resting_have_.None()) {
    ReopenPart();
  } else {
    MakePlace();
  }
  fetch_->Start();
}

void Transfer::OnManifest() {
  record_.name = content_.manifest->layout().name();
  record_.size_bytes = content_.layout->total_bytes().value();
  resting_have_ = ChunkSet(content_.layout->chunk_count());
  SetState(TransferState::kDownloading);
  runtime_->RunOnCatalog(
      [id = record_.id, manifest = content_.manifest](store::Catalog& catalog) {
        return catalog.SaveManifest(id, manifest->info(), "");
      },
      [](absl::Status) {});
  MakePlace();
}

void Transfer::OnHashesComplete() {
  runtime_->RunOnCatalog(
      [id = record_.id, manifest = content_.manifest, hashes = content_.hashes](store::Catalog& catalog) {
        return catalog.SaveManifest(id, manifest->info(), hashes->Encode());
      },
      [](absl::Status) {});
  if (exists_at_target_) CompareExisting();
}

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
    return UseStore(ChunkSet(content_.layout->chunk_count()));
  }
  if (!absl::IsAlreadyExists(place.store.status()) || content_.manifest == nullptr) {
    return Fail(place.store.status());
  }
  exists_at_target_ = true;
  if (content_.hashes->Complete()) CompareExisting();
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
          Fail(absl::AlreadyExistsError(absl::StrCat(Printable(record_.path),
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
  const bool recheck = host_->last_run_was_unclean() && content_.hashes != nullptr && content_.hashes->Complete();
  runtime_->RunOnWorker(
      Priority::kUrgent,
      [files = runtime_->files, path = record_.path, layout = content_.layout, have = resting_have_, recheck,
       adopt = content_.manifest != nullptr] {
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
          // Written but not committed when the last run was cut off: worth hashing, not worth fetching again.
          result.uncertain = (*result.store)->PossiblyWritten();
          for (uint32_t i = result.have.NextMember(0); i < result.have.size(); i = result.have.NextMember(i + 1)) {
            result.uncertain.Remove(ChunkIndex(i));
          }
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
            spdlog::warn("transfer {}: {}.part is gone with {} of {}; it is fetched anew", record_.id.value(),
                         Printable(record_.path), HumanBytes(RestingBytes()),
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
            Fail(absl::AlreadyExistsError(absl::StrCat(Printable(record_.path), " already exists and is something else")));
          });
        }
        if (!result.uncertain.None()) return CheckUncommitted(result.have, result.uncertain);
        UseStore(result.have);
      }));
}

void Transfer::CheckUncommitted(ChunkSet have, ChunkSet uncertain) {
  RunCheck(std::move(uncertain), [this, have](store::VerifiedChunks checked) mutable {
    for (uint32_t i = checked.good.NextMember(0); i < checked.good.size(); i = checked.good.NextMember(i + 1)) {
      have.Add(ChunkIndex(i));
    }
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
    for (uint32_t i = checked.good.NextMember(0); i < checked.good.size(); i = checked.good.NextMember(i + 1)) {
      lost.Remove(ChunkIndex(i));
    }
    SetState(TransferState::kDownloading);
    if (fetch_ != nullptr && !lost.None()) fetch_->OnLostHere(lost);
  });
}

void Transfer::OnFirstChunk() { Announce(/*partial=*/true); }

void Transfer::Announce(bool partial) {
  if (!record_.verified || !content_.id.has_value()) return;
  session::Announcement announcement;
  announcement.name = record_.name;
  announcement.total_bytes = content_.layout->total_bytes();
  announcement.content_id = content_.id;
  announcement.partial = partial;
  trackers_->Announce(record_.id, std::move(announcement));
}

void Transfer::OnFetched() { FinishDownload(); }

void Transfer::FinishDownload() {
  if (progress_ != nullptr) return;  // a verification runs: its end decides
  using Identities = std::vector<store::FileIdentity>;
  runtime_->RunOnWorker(
      Priority::kUrgent,
      [store = content_.store]() -> absl::StatusOr<Identities> {
        P2P_RETURN_IF_ERROR(store->Finish());
        return store->identities();
      },
      Guard([this](absl::StatusOr<Identities> finished) {
        if (finished.ok()) return OnFinished(*std::move(finished));
        if (store::FileChunkManager::IsDiskFull(finished.status())) return OnStoreProblem(finished.status());
        Fail(finished.status());
      }));
}

void Transfer::OnFinished(std::vector<store::FileIdentity> identities) {
  identities_ = std::move(identities);
  record_.finished = true;
  record_.error.clear();
  runtime_->RunOnCatalog(
      [record = record_, identities = identities_](store::Catalog& catalog) {
        P2P_RETURN_IF_ERROR(catalog.SaveIdentities(record.id, identities));
        return catalog.Update(record);
      },
      Guard([this](absl::Status saved) {
        if (!saved.ok()) {
          spdlog::error("transfer {} is complete, but the catalog cannot say so: {}", record_.id.value(),
                        std::string(saved.message()));
        }
        content_.whole = record_.verified;
        if (fetch_ != nullptr) {
          const auto fetch = std::exchange(fetch_, nullptr);
          fetch->Stop([] {});
        }
        host_->OnFinished(this);
        // Peers that never asked for anything are whole themselves.
        links_->ForEachOf(this, [](Link& link) {
          if (!link.subscribed) link.io->Close("both sides have everything");
        });
        if (record_.verified) {
          Offer();
        } else {
          SetState(TransferState::kComplete);
        }
      }));
}

void Transfer::OnStoreProblem(const absl::Status& status) {
  if (fetch_ == nullptr) return;
  if (store::FileChunkManager::IsDiskFull(status)) return WaitForDisk(status);
  Fail(status);
}

void Transfer::WaitForDisk(const absl::Status& status) {
  SetState(TransferState::kPaused,
           absl::StrCat("disk full: ", HumanBytes(bytes_to_write()), " more are needed (", status.message(),
                        "); it goes on by itself when there is space"));
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

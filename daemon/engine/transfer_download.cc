// Downloads: what the user named, who has it, and the end.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
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

std::string DescribeVersions(const std::vector<session::NameFound::Version>& versions) {
  std::vector<std::string> lines;
  for (const auto& version : versions) {
    lines.push_back(
        absl::StrCat(version.content_id.Hex(), " (", HumanBytes(version.total_bytes.value()), ", ",
                     version.peers.size(), version.peers.size() == 1 ? " peer)" : " peers)"));
  }
  return absl::StrJoin(lines, ", ");
}

}  // namespace

void Transfer::LookUpName() {
  SetState(TransferState::kQueued, "");
  if (!trackers_->HasAny()) {
    return Fail(absl::FailedPreconditionError(
        "no tracker is configured, so a name cannot be looked up; give a magnet link, or start "
        "p2pd with --tracker HOST:PORT"));
  }
  lookup_ = std::make_shared<NameLookup>(
      runtime_, links_, trackers_, record_.source, shared_from_this(),
      Guard([this](NameLookup::Result result) { OnNameFound(std::move(result)); }));
  lookup_->Start();
}

void Transfer::OnNameFound(NameLookup::Result result) {
  lookup_.reset();
  if (result.versions.size() > 1) {
    return Fail(absl::FailedPreconditionError(
        absl::StrCat("there are ", result.versions.size(),
                     " contents of that name; get one of them by its content id: ",
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
    if (!record_.allow_unverified && !runtime_->options.allow_unverified) return RefuseUnverified();
    record_.verified = false;
    record_.size_bytes = result.originals->total_bytes.value();
    SaveRecord();
    return StartOriginalFetch(record_.size_bytes, result.originals->peers);
  }
  if (result.disbelieved) {
    return Fail(absl::FailedPreconditionError(
        absl::StrCat("those who share \"", Printable(record_.source),
                     "\" spoke the extension before and now only the original protocol, which is "
                     "not believed; try again later")));
  }
  Fail(absl::NotFoundError(
      absl::StrCat("no peer shares \"", Printable(record_.source),
                   "\"; check the name with p2pctl list on the machine that shares it")));
}

void Transfer::RefuseUnverified() {
  Fail(absl::FailedPreconditionError(absl::StrCat(
      "only peers of the original protocol are known to have \"", Printable(record_.source),
      "\", and nothing would prove that they give the right bytes; get it with "
      "--allow-unverified if that is good enough")));
  unverified_refused_ = true;
}

void Transfer::AllowUnverified() {
  if (std::exchange(record_.allow_unverified, true)) return;
  SaveRecord();
}

void Transfer::StartFetch(std::vector<std::string> peers) {
  SetState(content_.manifest == nullptr ? TransferState::kQueued : TransferState::kDownloading);
  FetchSource source;
  source.peers = std::move(peers);
  if (const auto magnet = content::ParseMagnet(record_.source); magnet.ok()) {
    source.user_peers = magnet->peers;
  }
  fetch_ = std::make_shared<Fetch>(runtime_, links_, trackers_, record_.id, &content_, this,
                                   std::move(source));
  if (content_.manifest == nullptr) {
    if (const std::shared_ptr<Transfer> sibling = host_->FindSibling(*this)) {
      fetch_->UseManifest(sibling->content_.manifest, *sibling->content_.hashes);
    }
  }
  fetch_->Start();
}

void Transfer::StartOriginalFetch(uint64_t size_bytes, std::vector<std::string> peers) {
  if (content_.layout == nullptr) {
    const std::string name = TargetName(record_.source, "");
    absl::StatusOr<content::Layout> layout = content::Layout::Make(
        name, /*is_directory=*/false, {{name, ByteCount(size_bytes), false, {}, 0}});
    if (!layout.ok()) return Fail(layout.status());
    record_.name = name;
    content_.layout = std::make_shared<const content::Layout>(*std::move(layout));
  }
  resting_have_.Fit(content_.layout->chunk_count());
  SetState(TransferState::kDownloading);
  FetchSource source;
  source.original_name = record_.source;
  source.peers = std::move(peers);
  fetch_ = std::make_shared<Fetch>(runtime_, links_, trackers_, record_.id, &content_, this,
                                   std::move(source));
  if (placed_) {
    ReopenPart();
  } else {
    MakePlace();
  }
  fetch_->Start();
}

void Transfer::OnManifest() {
  record_.name = TargetName(record_.source, content_.manifest->layout().name());
  record_.size_bytes = content_.layout->total_bytes().value();
  resting_have_ = store::DurableChunks::None(content_.layout->chunk_count());
  SetState(TransferState::kDownloading);
  // With a place its manifest was lost: the hashes will tell what is there.
  if (!placed_) MakePlace();
}

void Transfer::OnHashesComplete() {
  if (placed_) SaveHashes();
  if (exists_at_target_) CompareExisting();
  if (std::exchange(part_waits_for_hashes_, false)) ReopenPart();
}

void Transfer::SaveHashes() {
  runtime_->RunOnCatalog(
      [id = record_.id, manifest = content_.manifest,
       hashes = content_.hashes.WhenComplete()](store::Catalog& catalog) {
        return catalog.SaveManifest(id, manifest->info(), hashes->Encode());
      },
      [](absl::Status) {});
}

void Transfer::OnFirstChunk() { Announce(/*partial=*/true); }

void Transfer::Announce(bool partial) {
  if (!record_.verified || !content_.id.has_value()) return;
  session::Announcement announcement;
  // What the content itself says: under the asked name it may be somebody's lie.
  announcement.name = content_.layout->name();
  announcement.total_bytes = content_.layout->total_bytes();
  announcement.content_id = content_.id;
  announcement.partial = partial;
  trackers_->Announce(record_.id, std::move(announcement));
}

void Transfer::OnFetched() {
  if (progress_ != nullptr) return;  // a verification runs: its end decides
  if (std::exchange(finishing_, true)) return;
  using Identities = std::vector<store::FileIdentity>;
  runtime_->RunOnDisk(
      Priority::kUrgent, content_.store->disk(),
      [store = content_.store]() -> absl::StatusOr<Identities> {
        P2P_RETURN_IF_ERROR(store->Finish());
        return store->identities();
      },
      Guard([this](absl::StatusOr<Identities> finished) {
        if (finished.ok()) return OnFinished(*std::move(finished));
        finishing_ = false;
        OnStoreProblem(finished.status());
      }));
}

void Transfer::OnFinished(std::vector<store::FileIdentity> identities) {
  finishing_ = true;
  identities_ = std::move(identities);
  record_.finished = true;
  record_.error.clear();
  runtime_->RunOnCatalog(
      [record = record_, identities = identities_](store::Catalog& catalog) {
        store::TransferContent content;
        content.identities = identities;
        return catalog.Save(record, content);
      },
      Guard([this](absl::Status saved) {
        if (!saved.ok()) {
          spdlog::error("transfer {} is complete, but the catalog cannot say so: {}",
                        record_.id.value(), std::string(saved.message()));
        }
        finishing_ = false;
        content_.whole = record_.verified;
        if (fetch_ != nullptr) {
          exchange_.Remember(Contacts(), MonotonicNow());
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
          if (std::exchange(verify_when_finished_, false)) CheckAll();
        } else {
          SetState(TransferState::kComplete);
        }
      }));
}

}  // namespace p2p::engine

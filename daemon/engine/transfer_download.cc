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

std::string CountedPeers(size_t count) {
  return absl::StrCat(count, count == 1 ? " peer" : " peers");
}

std::string DescribeAnswers(const NameLookup::Result& result) {
  std::vector<std::string> lines;
  for (const auto& version : result.versions) {
    lines.push_back(absl::StrCat(version.content_id.Hex(), " (",
                                 HumanBytes(version.total_bytes.value()), ", ",
                                 CountedPeers(version.CountPeers()), ")"));
  }
  for (const auto& original : result.originals) {
    lines.push_back(absl::StrCat(HumanBytes(original.total_bytes.value()), " that ",
                                 CountedPeers(original.peers.addresses.size()),
                                 " of the original protocol share without a content id"));
  }
  return absl::StrJoin(lines, ", ");
}

// Whether what was answered for a name may be more than one content. Of those that share a name
// without a content id only the size tells that; and one peer's word for an id is not enough beside
// as many that share the name and give none.
bool AnswersDiffer(const NameLookup::Result& result) {
  if (result.versions.size() > 1) return true;
  if (result.by_peers && !result.versions.empty() && result.votes <= result.silent_votes) {
    return true;
  }
  const ByteCount size = !result.versions.empty()    ? result.versions[0].total_bytes
                         : !result.originals.empty() ? result.originals[0].total_bytes
                                                     : ByteCount(0);
  return std::any_of(result.originals.begin(), result.originals.end(),
                     [size](const auto& original) { return original.total_bytes != size; });
}

}  // namespace

void Transfer::LookUpName() {
  SetState(TransferState::kQueued, "");
  if (!trackers_->HasAnyFor(record_.id)) {
    return Fail(absl::FailedPreconditionError(
        "no tracker is configured, so a name cannot be looked up; give a magnet link, or start "
        "p2pd with --tracker HOST:PORT"));
  }
  lookup_ = std::make_shared<NameLookup>(
      runtime_, links_, trackers_, record_.id, record_.source, shared_from_this(),
      Guard([this](NameLookup::Result result) { OnNameFound(std::move(result)); }));
  lookup_->Start();
}

void Transfer::OnNameFound(NameLookup::Result result) {
  lookup_.reset();
  if (AnswersDiffer(result)) {
    const size_t count = result.versions.size() + result.originals.size();
    return Fail(absl::FailedPreconditionError(absl::StrCat(
        "there are ", count,
        " contents of that name; get one of them by its content id: ", DescribeAnswers(result))));
  }
  if (result.versions.size() == 1) {
    if (result.by_peers) named_bytes_ = result.versions[0].total_bytes;
    content_.id = result.versions[0].content_id;
    record_.content_id = content_.id;
    record_.size_bytes = result.versions[0].total_bytes.value();
    SaveRecord();
    host_->OnContentKnown(this);
    return StartFetch(result.versions[0].peers);
  }
  if (!result.originals.empty()) {
    if (!record_.allow_unverified && !runtime_->options.allow_unverified) return RefuseUnverified();
    record_.verified = false;
    record_.size_bytes = result.originals[0].total_bytes.value();
    SaveRecord();
    std::vector<ToldPeers> peers;
    for (NameAnswer::Original& original : result.originals) {
      peers.push_back(std::move(original.peers));
    }
    return StartOriginalFetch(record_.size_bytes, std::move(peers));
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

void Transfer::StartFetch(std::vector<ToldPeers> peers) {
  SetState(content_.manifest == nullptr ? TransferState::kQueued : TransferState::kDownloading);
  FetchSource source;
  source.peers = std::move(peers);
  if (const auto magnet = content::ParseMagnet(record_.source); magnet.ok()) {
    source.peers.push_back({Teller::User(), magnet->peers});
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

void Transfer::StartOriginalFetch(uint64_t size_bytes, std::vector<ToldPeers> peers) {
  if (content_.layout == nullptr) {
    absl::StatusOr<content::Layout> layout = OriginalLayout(record_.source, size_bytes);
    if (!layout.ok()) return Fail(layout.status());
    record_.name = layout->name();
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
  if (record_.finished) return fetch_->OnPlaceFound();
  if (named_bytes_.has_value() && content_.layout->total_bytes() != *named_bytes_) {
    const std::string why = absl::StrCat(
        "there are 2 contents of that name: peers give ", content_.id->Hex(), " (",
        HumanBytes(content_.layout->total_bytes().value()), "), and the tracker tells of ",
        HumanBytes(named_bytes_->value()), "; get it by its content id if that is what you want");
    runtime_->engine_loop.Post(Guard([this, why] { Fail(absl::FailedPreconditionError(why)); }));
    return;
  }
  record_.name = TargetName(record_.source, content_.manifest->layout().name());
  record_.size_bytes = content_.layout->total_bytes().value();
  resting_have_ = store::DurableChunks::None(content_.layout->chunk_count());
  SetState(TransferState::kDownloading);
  // With a place its manifest was lost: the hashes will tell what is there.
  if (!placed_) return MakePlace();
  if (fetch_ != nullptr) fetch_->OnPlaceFound();
}

void Transfer::OnHashesComplete() {
  if (placed_ || record_.finished) SaveHashes();
  if (record_.finished) return runtime_->engine_loop.Post(Guard([this] { OnWhatTells(); }));
  if (exists_at_target_) CompareExisting();
  if (std::exchange(part_waits_for_hashes_, false)) ReopenPart();
}

void Transfer::SaveHashes() {
  runtime_->RunOnCatalog(
      [id = record_.id, manifest = content_.manifest,
       hashes = content_.hashes.WhenComplete()](store::Catalog& catalog) {
        return catalog.SaveManifest(id, manifest->info(), hashes->Encode());
      },
      LogUnsaved("its chunk hashes, which are saved again when it is complete"));
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
  placing_ = true;
  using Identities = std::vector<store::FileIdentity>;
  runtime_->RunOnDisk(
      Priority::kUrgent, content_.store->disk(),
      [store = content_.store]() -> absl::StatusOr<Identities> {
        P2P_RETURN_IF_ERROR(store->Finish());
        return store->identities();
      },
      // Also when it was stopped meanwhile: whoever removes it waits for that.
      [self = shared_from_this(), then = Guard([this](absl::StatusOr<Identities> finished) {
                                    if (finished.ok()) return OnFinished(*std::move(finished));
                                    finishing_ = false;
                                    if (absl::IsAborted(finished.status()))
                                      return OnPartChanged(finished.status());
                                    OnStoreProblem(finished.status());
                                  })](absl::StatusOr<Identities> finished) mutable {
        self->EndPlacing(nullptr);
        then(std::move(finished));
      });
}

void Transfer::OnFinished(std::vector<store::FileIdentity> identities) {
  finishing_ = true;
  identities_ = std::move(identities);
  record_.finished = true;
  record_.error.clear();
  part_changes_ = 0;
  finish_unsaved_ = true;
  SaveRecord(Guard([this] {
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
    record_.verified ? Offer() : SetState(TransferState::kComplete);
    if (finish_unsaved_) {
      SetState(TransferState::kComplete,
               absl::StrCat("the catalog cannot say so yet, which is tried again by itself: ",
                            record_saved_.message()));
    }
  }));
}

}  // namespace p2p::engine

// Getting the manifest and the chunk hashes, and proving them.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/content/sha256.h"
#include "daemon/engine/fetch.h"
#include "spdlog/spdlog.h"

namespace p2p::engine {
namespace {

// A peer that is asked for chunk hashes and sends none is not waited for any longer. The session
// closes links that owe them, or a manifest, for much longer.
constexpr absl::Duration kHashesPatience = absl::Seconds(5);
constexpr size_t kHashRunsAhead = 16;

// `held`: what it has of the budget for manifests, until then.
absl::StatusOr<std::shared_ptr<const content::Manifest>> ParseChecked(
    const ContentId& id, std::string info, const std::shared_ptr<ByteBudget::Share>& /*held*/) {
  if (content::Sha256(info) != id.hash) {
    return absl::InvalidArgumentError("its manifest is not the one of this content id");
  }
  absl::StatusOr<content::Manifest> manifest = content::Manifest::Parse(std::move(info));
  if (!manifest.ok()) return manifest.status();
  return std::make_shared<const content::Manifest>(*std::move(manifest));
}

}  // namespace

void Fetch::AskForManifest() {
  if (stopped_ || by_original() || content_->manifest != nullptr || manifest_in_check_) return;
  absl::erase_if(manifest_asked_, [this](LinkId id) { return links_->Find(id) == nullptr; });
  while (manifest_asked_.size() < manifest_askable_) {
    Link* link = ChooseForManifest();
    if (link == nullptr) break;
    manifest_asked_.insert(link->id());
    manifest_asked_at_ = MonotonicNow();
    link->io->Do([](session::PeerSession& s) {
      s.AskManifest(limits::kMaxHashesPerMessage);
      // Its have-set comes right behind the manifest: no round trip is waited for.
      s.Subscribe();
    });
  }
  if (manifest_asked_.empty()) {
    manifest_refused_.clear();  // they may have it by the next time
    manifest_askable_ = 1;
  }
  const absl::Time when = MonotonicNow() + (manifest_asked_.empty() ? limits::kManifestPatience
                                                                    : limits::kNextManifestAfter);
  if (manifest_timer_.due() > when) manifest_timer_.Arm(when, [this] { OnManifestLate(); });
}

// One that owes it holds up nobody but itself.
void Fetch::OnManifestLate() {
  const absl::Time now = MonotonicNow();
  const bool comes = now - manifest_progress_ <= limits::kNextManifestAfter;
  const bool late = now - manifest_asked_at_ >= limits::kManifestPatience;
  if (late || (!comes && manifest_asked_.size() < limits::kMaxQuickManifests)) {
    manifest_askable_ = manifest_asked_.size() + 1;
  }
  AskForManifest();
}

Link* Fetch::ChooseForManifest() {
  // Whoever dials us can be many at no cost, and those that we dial were named by somebody: of two
  // that are asked, one is of each kind.
  int dialled = 0;
  for (const LinkId id : manifest_asked_) dialled += links_->Find(id)->dialled ? 1 : -1;
  Link* best = nullptr;
  const auto rank = [dialled](const Link& link) {
    const bool is_rarer = link.dialled ? dialled < 0 : dialled > 0;
    return 2 * (is_rarer ? 1 : 0) + (link.opened ? 1 : 0);
  };
  links_->ForEachOf(host_->SelfAsTransfer().get(), [&](Link& link) {
    if (link.original || Avoids(link) || manifest_refused_.contains(link.id()) ||
        manifest_asked_.contains(link.id())) {
      return;
    }
    if (best == nullptr || rank(link) > rank(*best)) best = &link;
  });
  return best;
}

void Fetch::OnManifestReceived(Link& link, session::ManifestReceived& received) {
  if (content_->manifest != nullptr) return;
  if (manifest_in_check_) {
    manifest_asked_.erase(link.id());  // asked again if the one in check is wrong
    return;
  }
  manifest_in_check_ = true;
  runtime_->RunComputation(
      ParseChecked,
      Guard([this,
             from = link.id()](absl::StatusOr<std::shared_ptr<const content::Manifest>> manifest) {
        manifest_in_check_ = false;
        manifest_timer_.Disarm();
        if (manifest.ok()) return UseManifest(*manifest, content::ChunkHashes(*manifest));
        early_hashes_.clear();
        manifest_asked_.erase(from);
        if (Link* sender = links_->Find(from)) {
          manifest_refused_.insert(from);
          Ban(*sender, std::string(manifest.status().message()));
        }
        AskForManifest();
      }),
      *content_->id, std::move(received.info), std::move(received.held));
}

void Fetch::UseManifest(std::shared_ptr<const content::Manifest> manifest,
                        content::ChunkHashes hashes) {
  content_->manifest = manifest;
  content_->layout = std::shared_ptr<const content::Layout>(manifest, &manifest->layout());
  content_->hashes = KnownHashes(std::move(hashes));
  for (const LinkId asked : std::exchange(manifest_asked_, {})) {
    Link* link = links_->Find(asked);
    if (link != nullptr) link->io->Do([](session::PeerSession& s) { s.SkipManifest(); });
  }
  links_->ForEachOf(host_->SelfAsTransfer().get(), [this](Link& link) {
    if (!link.original) Join(link);
  });
  // What the manifest states costs nothing before the disk has room for it: see OnPlaceFound.
  host_->OnManifest();
  for (const auto& [file, range] : std::exchange(early_hashes_, {}))
    TakeHashes(nullptr, file, range);
  if (content_->hashes->Complete()) {
    host_->OnHashesComplete();
  } else {
    AskForHashes();
  }
}

void Fetch::OnHashes(Link& link, FileIndex file, const content::HashRange& range) {
  if (by_original()) return;
  if (content_->manifest == nullptr) {
    // They follow the manifest, which is still being checked.
    if (manifest_in_check_ && early_hashes_.size() < limits::kMaxHashesPerMessage) {
      early_hashes_.emplace_back(file, range);
    }
    return;
  }
  const bool was_complete = content_->hashes->Complete();
  TakeHashes(&link, file, range);
  if (!was_complete && content_->hashes->Complete()) host_->OnHashesComplete();
  AskForHashes();
}

void Fetch::TakeHashes(Link* link, FileIndex file, const content::HashRange& range) {
  if (content_->hashes->Complete()) return;
  hashes_asked_.erase({file, range.first});
  hashes_timer_.Disarm();  // something comes
  const absl::Status added = file.value() < content_->layout->files().size()
                                 ? content_->hashes.Add(file, range)
                                 : absl::InvalidArgumentError("no such file");
  if (!added.ok()) {
    if (link != nullptr) Ban(*link, absl::StrCat("it sent wrong chunk hashes: ", added.message()));
    return;
  }
  const ChunkIndex first = content_->layout->file(file).first_chunk + ChunkIndex(range.first);
  if (swarm_ != nullptr) swarm_->SetKnown(first, static_cast<uint32_t>(range.hashes.size()), true);
  SchedulePump();
}

void Fetch::AskForHashes() {
  if (stopped_ || content_->manifest == nullptr || content_->hashes->Complete()) return;
  std::vector<Link*> quick;
  std::vector<Link*> complete;  // of these
  links_->ForEachOf(host_->SelfAsTransfer().get(), [&](Link& link) {
    if (!link.opened || link.original || Avoids(link)) return;
    if (slow_with_hashes_.contains(link.id())) return;
    quick.push_back(&link);
    if (swarm_ != nullptr && swarm_->IsComplete(link.id())) complete.push_back(&link);
  });
  // Who has everything has all hashes; others may have none yet.
  if (!complete.empty()) quick = std::move(complete);
  if (quick.empty()) return AskForHashesLater();
  for (const auto& wanted : content_->hashes->Missing(kHashRunsAhead)) {
    const auto key = std::make_pair(wanted.file, wanted.first);
    if (hashes_asked_.contains(key)) continue;
    Link* link = quick[random_() % quick.size()];
    hashes_asked_[key] = link->id();
    link->io->Do([wanted](session::PeerSession& s) { s.AskHashes(wanted.file, wanted.first); });
  }
  if (!hashes_asked_.empty()) AskForHashesLater();
}

void Fetch::AskForHashesLater() {
  if (hashes_timer_.due() != absl::InfiniteFuture()) return;
  hashes_timer_.Arm(MonotonicNow() + kHashesPatience, [this] { OnHashesLate(); });
}

void Fetch::OnHashesLate() {
  hashes_timer_.Disarm();
  // Those that were slow before may be quick by now.
  slow_with_hashes_.clear();
  for (const auto& [range, link] : std::exchange(hashes_asked_, {})) slow_with_hashes_.insert(link);
  AskForHashes();
}

void Fetch::OnPlaceFound() {
  if (stopped_ || swarm_ != nullptr || by_original()) return;
  MakeSwarm(ChunkSet(content_->layout->chunk_count()));
}

// It is fetching, too: it may have them later, and is of use meanwhile.
void Fetch::OnNoHashes(const Link& link, FileIndex file, uint32_t first) {
  const auto asked = hashes_asked_.find({file, first});
  if (asked == hashes_asked_.end() || asked->second != link.id()) return;
  hashes_asked_.erase(asked);
  slow_with_hashes_.insert(link.id());
  AskForHashes();
}

void Fetch::MakeSwarm(ChunkSet have) {
  // What comes from original peers can not be checked before it is whole.
  const uint32_t unit_leaves = by_original()
                                   ? limits::kLeavesPerChunk
                                   : swarm::Swarm::UnitLeavesFor(content_->layout->total_bytes());
  using Hashes = swarm::Swarm::Hashes;
  const bool all_known = content_->hashes == nullptr || content_->hashes->Complete();
  swarm_ = std::make_unique<swarm::Swarm>(content_->layout, std::move(have), random_(), unit_leaves,
                                          all_known ? Hashes::kKnown : Hashes::kUnknown);
  content_->swarm = swarm_.get();
  if (!all_known) {
    for (const auto& [first, count] : content_->hashes->KnownRuns()) {
      swarm_->SetKnown(first, count, true);
    }
  }
  links_->ForEachOf(host_->SelfAsTransfer().get(), [&](Link& link) {
    if (!link.original && !Avoids(link)) Join(link);
    AddToSwarm(link);
  });
  TakeEarlyHaves();
  search_->DialMore();  // how much there is to fetch is known now
}

}  // namespace p2p::engine

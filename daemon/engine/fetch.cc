// What is said on links, and joining them to the swarm.
#include "daemon/engine/fetch.h"

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/net/address.h"
#include "daemon/engine/transfer.h"

namespace p2p::engine {
namespace {

// Whose links share how often what they have may change: one address that we dial, or one host that
// dials us.
uint64_t OriginOf(const Link& link) {
  if (link.dialled) return absl::HashOf(absl::string_view(link.address)) | 1;
  return net::HostOf(net::BytesOf(link.remote.address()));
}

// Behind the last chunk that an event about a peer's have-set names; 0: it is no such event.
uint64_t EndOfHave(const session::PeerEvent& event) {
  if (const auto* have = absl::get_if<session::HaveReceived>(&event)) {
    return uint64_t{have->first.value()} + have->count;
  }
  if (const auto* lost = absl::get_if<session::LostReceived>(&event)) {
    return uint64_t{lost->first.value()} + lost->count;
  }
  if (const auto* bits = absl::get_if<session::HaveBitsReceived>(&event)) {
    // The last byte may have bits beyond the last chunk; they mean nothing.
    return uint64_t{bits->first.value()} + 8 * (bits->bits.size() - 1) + 1;
  }
  if (const auto* leaves = absl::get_if<session::HaveLeavesReceived>(&event)) {
    return uint64_t{leaves->part.chunk.value()} + 1;
  }
  return 0;
}

}  // namespace

Fetch::Fetch(Runtime* runtime, Links* links, Trackers* trackers, TransferId id,
             ContentState* content, FetchHost* host, FetchSource source)
    : runtime_(runtime),
      links_(links),
      trackers_(trackers),
      id_(id),
      content_(content),
      host_(host),
      source_(std::move(source)),
      random_(std::random_device{}()),
      search_(std::make_shared<PeerSearch>(runtime, links, trackers, id, content,
                                           source_.original_name, this)),
      pump_timer_(&runtime->engine_loop),
      manifest_timer_(&runtime->engine_loop),
      hashes_timer_(&runtime->engine_loop) {}

Fetch::~Fetch() { search_->Stop(); }

void Fetch::Start() {
  for (const ToldPeers& told : source_.peers) search_->Add(told);
  if (content_->manifest != nullptr && !content_->hashes->Complete()) AskForHashes();
  search_->Start();
}

int Fetch::useful_links() const { return swarm_ == nullptr ? 0 : swarm_->useful_links(); }

ByteCount Fetch::bytes_left() const {
  if (swarm_ == nullptr) return ByteCount(0);
  return content_->layout->total_bytes() - swarm_->bytes_have();
}

void Fetch::OnDialled(Link& link) {
  if (link.original) {
    link.opened = true;
    AddToSwarm(link);
  } else {
    Greet(link);
  }
}

void Fetch::Greet(Link& link) {
  link.io->Do([id = *content_->id](session::PeerSession& s) {
    s.Open(id);
    s.AskPeers();
  });
  // Sent along with OPEN: no round trip is waited for.
  if (content_->manifest == nullptr) {
    AskForManifest();
  } else {
    Join(link);
  }
}

void Fetch::OnPeerHello(Link& link) {
  if (link.dialled && Avoids(link)) return link.io->Close("it did wrong before");
  search_->OnHello(link);
}

void Fetch::OnAccepted(Link& link) {
  search_->OnOpened(link);
  if (Avoids(link)) return LeaveAlone(link);
  if (content_->manifest == nullptr) {
    AskForManifest();
  } else {
    Join(link);
    AddToSwarm(link);
  }
}

void Fetch::Join(Link& link) {
  if (std::exchange(link.asked_subscription, true)) return;
  const uint32_t count = content_->layout->chunk_count();
  link.io->Do([count, tally = content_->Tally()](session::PeerSession& s) {
    s.SetChunkCount(count);
    s.UseSendTally(tally);
    s.Subscribe();
  });
}

void Fetch::AddToSwarm(Link& link) {
  if (swarm_ == nullptr || !link.opened || Avoids(link)) return;
  swarm::LinkTraits traits;
  traits.original = link.original;
  traits.leaves = link.hello.has_value() && link.hello->leaves;
  traits.accepted = !link.dialled;
  traits.peer = absl::HashOf(link.BlameName());
  traits.network = link.origin().network;
  traits.origin = OriginOf(link);
  swarm_->AddLink(link.id(), traits, MonotonicNow());
  SchedulePump();
}

void Fetch::OnHave(Link& link, session::PeerEvent& event) {
  if (Avoids(link)) return;
  // It may have come before the session was told how many chunks there are.
  if (content_->layout != nullptr && EndOfHave(event) > content_->layout->chunk_count()) {
    return Ban(link, "its have-set goes beyond the last chunk");
  }
  if (swarm_ == nullptr) {
    // It follows the manifest, which is being checked, as is the disk.
    EarlyHaves& early = early_haves_[link.id()];
    const auto* bits = absl::get_if<session::HaveBitsReceived>(&event);
    early.bytes += sizeof event + (bits == nullptr ? 0 : bits->bits.size());
    if (early.bytes <= limits::kMaxEarlyHaveBytes) {
      early.events.push_back(std::move(event));
    } else if (content_->manifest == nullptr) {
      Ban(link, "it tells what it has again and again, before the manifest is known");
    } else {
      link.io->Close("it has more to tell than is kept before there is a place on disk");
    }
    return;
  }
  if (const auto* have = absl::get_if<session::HaveReceived>(&event)) {
    swarm_->OnHave(link.id(), have->first, have->count);
  } else if (const auto* lost = absl::get_if<session::LostReceived>(&event)) {
    swarm_->OnLost(link.id(), lost->first, lost->count);
  } else if (const auto* bits = absl::get_if<session::HaveBitsReceived>(&event)) {
    swarm_->OnHaveBits(link.id(), bits->first, bits->bits);
  } else if (const auto* leaves = absl::get_if<session::HaveLeavesReceived>(&event)) {
    swarm_->OnHaveLeaves(link.id(), leaves->part);
  }
  SchedulePump();
}

void Fetch::TakeEarlyHaves() {
  for (auto& [id, early] : std::exchange(early_haves_, {})) {
    Link* link = links_->Find(id);
    if (link == nullptr) continue;
    for (session::PeerEvent& event : early.events) OnHave(*link, event);
  }
}

bool Fetch::OnLinkEvent(Link& link, session::PeerEvent& event) {
  if (stopped_) return false;
  const absl::Time now = MonotonicNow();
  if (auto* chunk = absl::get_if<session::ChunkReceived>(&event)) {
    OnChunk(link, *chunk);
  } else if (const auto* progress = absl::get_if<session::ProgressMade>(&event)) {
    down_.Add(progress->bytes, now);
    link.down.Add(progress->bytes, now);
    runtime_->down.Add(progress->bytes, now);
    if (swarm_ != nullptr) swarm_->OnProgress(link.id(), ByteCount(progress->bytes), now);
  } else if (const auto* rejected = absl::get_if<session::ChunkRejected>(&event)) {
    if (swarm_ != nullptr) swarm_->OnRejected(link.id(), rejected->part, now);
    SchedulePump();
  } else if (EndOfHave(event) > 0) {
    OnHave(link, event);
  } else if (auto* manifest = absl::get_if<session::ManifestReceived>(&event)) {
    OnManifestReceived(link, *manifest);
  } else if (absl::holds_alternative<session::ManifestProgress>(event)) {
    manifest_progress_ = now;
  } else if (absl::holds_alternative<session::ManifestRefused>(event)) {
    manifest_refused_.insert(link.id());
    manifest_asked_.erase(link.id());
    AskForManifest();
  } else if (auto* hashes = absl::get_if<session::HashesReceived>(&event)) {
    OnHashes(link, hashes->file, hashes->range);
  } else if (const auto* no_hashes = absl::get_if<session::HashesRefused>(&event)) {
    OnNoHashes(link, no_hashes->file, no_hashes->first);
  } else if (const auto* opened = absl::get_if<session::OpenAnswered>(&event)) {
    if (opened->accepted) {
      link.opened = true;
      AddToSwarm(link);
      AskForHashes();
      search_->OnOpened(link);
    } else {
      search_->OnRefused(link, *opened);
    }
  } else if (const auto* peers = absl::get_if<session::PeersReceived>(&event)) {
    search_->OnPeersTold(link, peers->addresses);
  } else if (absl::holds_alternative<session::PeerIsOriginal>(event)) {
    search_->OnOriginal(link);
  } else {
    return false;
  }
  return true;
}

void Fetch::OnLinkClosed(Link& link, const std::string& reason) {
  const absl::Time now = MonotonicNow();
  if (swarm_ != nullptr) swarm_->RemoveLink(link.id(), now);
  early_haves_.erase(link.id());
  for (auto it = hashes_asked_.begin(); it != hashes_asked_.end();) {
    if (it->second == link.id()) {
      hashes_asked_.erase(it++);
    } else {
      ++it;
    }
  }
  manifest_asked_.erase(link.id());
  manifest_refused_.erase(link.id());
  slow_with_hashes_.erase(link.id());
  search_->OnLinkClosed(link, reason);
  if (stopped_) return;
  AskForManifest();
  AskForHashes();
  SchedulePump();
}

bool Fetch::Dismiss(Link& link, const std::string& reason) {
  // One fault is told once, whatever else was on its way.
  if (std::exchange(link.banned, true)) return false;
  if (search_->OnBanned(link, reason)) {
    runtime_->LogPeerFault(absl::StrCat("peer ", link.address, ": dropped: ", reason));
  }
  link.io->Close(reason);
  return true;
}

void Fetch::Ban(Link& link, const std::string& reason) {
  if (!Dismiss(link, reason)) return;
  blamed_.insert(link.BlameName());
  links_->ForEachOf(host_->SelfAsTransfer().get(), [&](Link& other) {
    if (other.banned || other.BlameName() != link.BlameName()) return;
    if (other.dialled) {
      other.banned = true;
      other.io->Close(reason);
    } else if (Avoids(other)) {
      LeaveAlone(other);
    }
  });
}

bool Fetch::Avoids(const Link& link) const {
  // What it brought itself speaks for it: others may be behind its host.
  return blamed_.contains(link.BlameName()) && (link.dialled || link.chunks_down == 0);
}

void Fetch::LeaveAlone(const Link& link) {
  if (swarm_ != nullptr) swarm_->RemoveLink(link.id(), MonotonicNow());
  search_->OnLeftAlone(link);
}

uint64_t Fetch::bytes_have() const { return swarm_ == nullptr ? 0 : swarm_->bytes_have().value(); }

double Fetch::rate_down() const { return down_.Rate(MonotonicNow()); }

std::string Fetch::Waiting() const {
  if (swarm_ != nullptr && (swarm_->useful_links() > 0 || swarm_->Complete())) return "";
  std::string problem;
  int connected = 0;
  bool any = false;
  for (const auto& [address, candidate] : peers().all()) {
    if (candidate.self) continue;
    any = true;
    connected += candidate.links;
    if (!candidate.problem.empty()) problem = absl::StrCat(address, ": ", candidate.problem);
  }
  if (!any) {
    if (!trackers_->HasAnyFor(id_))
      return "no peer known: no tracker is configured and the link names none";
    return "no peer found yet; asking the tracker again and again";
  }
  if (connected == 0 && !problem.empty()) return absl::StrCat("no peer can be used: ", problem);
  if (!by_original() && content_->manifest == nullptr)
    return "waiting for a peer that has the manifest";
  return "waiting for a peer that has what is missing";
}

}  // namespace p2p::engine

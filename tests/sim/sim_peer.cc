#include "tests/sim/sim_peer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/limits.h"

namespace p2p::sim {
namespace {

using session::PeerSession;

constexpr absl::Duration kHuntInterval = absl::Seconds(20);
constexpr absl::Duration kDialPause = absl::Milliseconds(50);
// Peers have addresses only to tell each other: the port is the peer's number and this.
constexpr uint32_t kFirstPort = 1'000;

}  // namespace

SimPeer::SimPeer(uint32_t peer, PeerWorld* world, EventQueue* events, const Host& its_host,
                 std::shared_ptr<const content::Layout> layout, const PeerTraits& traits,
                 uint64_t random_seed)
    : number(peer),
      host(its_host),
      world_(world),
      events_(events),
      layout_(std::move(layout)),
      traits_(traits),
      tally_(std::make_shared<SendTally>(layout_->chunk_count())),
      random_(random_seed) {
  if (traits_.seed) {
    everything_ = ChunkSet(layout_->chunk_count());
    everything_.AddAll();
  } else {
    swarm_ = std::make_unique<swarm::Swarm>(layout_, ChunkSet(layout_->chunk_count()), random_(),
                                            traits_.unit_leaves);
  }
}

void SimPeer::Start() {
  online_ = true;
  if (!traits_.seed) Hunt();
}

void SimPeer::Vanish() {
  online_ = false;
  while (!links_.empty()) links_.begin()->second->Close();
}

void SimPeer::OnEvent(uint32_t what) {
  if (what == kDial) dial_scheduled_ = false;
  if (!online_) return;
  switch (what) {
    case kPump:
      pump_scheduled_ = false;
      return Pump();
    case kWake:
      wake_ = absl::InfiniteFuture();
      return SchedulePump();
    case kDial:
      return DialMore();
    case kHunt:
      return Hunt();
  }
}

// --- Peers

void SimPeer::Hunt() {
  if (!fetching()) return;
  for (const uint32_t other : world_->AskTracker(number)) AddToBook(other);
  DialMore();
  events_->In(kHuntInterval, this, kHunt);
}

void SimPeer::AddToBook(uint32_t other) {
  if (other != number) book_.try_emplace(other);
}

void SimPeer::DialMore() {
  if (!fetching()) return;
  auto standing = static_cast<int>(links_.size());
  absl::Time next = absl::InfiniteFuture();
  std::vector<std::pair<uint32_t, Candidate*>> due;
  for (auto& [other, candidate] : book_) {
    if (candidate.links > 0 || candidate.banned) continue;
    if (candidate.next_try <= events_->now()) due.emplace_back(other, &candidate);
    next = std::min(next, candidate.next_try);
  }
  std::shuffle(due.begin(), due.end(), random_);
  for (const auto& [other, candidate] : due) {
    if (standing >= traits_.wanted_links) return;
    SimLink* link = world_->Dial(this, other);
    if (link == nullptr) {
      candidate->next_try = events_->now() + candidate->backoff.Next(&random_);
      next = std::min(next, candidate->next_try);
      continue;
    }
    ++candidate->links;
    ++standing;
    link->Do([this](PeerSession& s) {
      s.UseSendTally(tally_);
      s.Open(ContentId());
      s.AskPeers();
    });
    Join(link);
  }
  if (standing >= traits_.wanted_links || next == absl::InfiniteFuture()) return;
  if (std::exchange(dial_scheduled_, true)) return;
  events_->At(std::max(next, events_->now() + kDialPause), this, kDial);
}

void SimPeer::Join(SimLink* link) {
  if (!fetching() || std::exchange(link->asked_subscription, true)) return;
  link->Do([count = layout_->chunk_count()](PeerSession& s) {
    s.SetChunkCount(count);
    s.Subscribe();
  });
}

void SimPeer::AddToSwarm(SimLink* link) {
  if (!fetching()) return;
  swarm::LinkTraits traits;
  traits.peer = link->remote;
  traits.leaves = link->leaves;
  swarm_->AddLink(link->id, traits, events_->now());
  SchedulePump();
}

void SimPeer::OnLinkClosed(SimLink* link) {
  links_.erase(link->id);
  if (swarm_ != nullptr) swarm_->RemoveLink(link->id, events_->now());
  if (!online_ || !fetching()) return;
  const auto candidate = book_.find(link->remote);
  if (link->dialled && candidate != book_.end()) {
    --candidate->second.links;
    candidate->second.next_try = events_->now() + candidate->second.backoff.Next(&random_);
  }
  SchedulePump();
  DialMore();
}

void SimPeer::Ban(SimLink* link) {
  book_[link->remote].banned = true;
  link->Close();
}

// --- What others say

void SimPeer::OnLinkEvent(SimLink* link, session::PeerEvent& event) {
  if (!OnAnswer(link, event)) OnQuestion(link, event);
}

bool SimPeer::OnAnswer(SimLink* link, session::PeerEvent& event) {
  const absl::Time now = events_->now();
  if (const auto* chunk = absl::get_if<session::ChunkReceived>(&event)) {
    if (fetching() && swarm_->OnReceived(link->id, chunk->part, now)) {
      arrived_.push_back({link->id, link->remote, chunk->part});
    } else {
      ++counters.chunks_unwanted;
    }
  } else if (const auto* progress = absl::get_if<session::ProgressMade>(&event)) {
    if (fetching()) swarm_->OnProgress(link->id, ByteCount(progress->bytes), now);
    return true;
  } else if (const auto* rejected = absl::get_if<session::ChunkRejected>(&event)) {
    if (fetching()) swarm_->OnRejected(link->id, rejected->part, now);
  } else if (const auto* have = absl::get_if<session::HaveReceived>(&event)) {
    if (fetching()) swarm_->OnHave(link->id, have->first, have->count);
  } else if (const auto* bits = absl::get_if<session::HaveBitsReceived>(&event)) {
    if (fetching()) swarm_->OnHaveBits(link->id, bits->first, bits->bits);
  } else if (const auto* leaves = absl::get_if<session::HaveLeavesReceived>(&event)) {
    if (fetching()) swarm_->OnHaveLeaves(link->id, leaves->part);
  } else if (const auto* hello = absl::get_if<session::PeerHello>(&event)) {
    link->leaves = hello->leaves;
    return true;
  } else if (const auto* opened = absl::get_if<session::OpenAnswered>(&event)) {
    if (opened->accepted) AddToSwarm(link);
  } else if (const auto* peers = absl::get_if<session::PeersReceived>(&event)) {
    for (const std::string& address : peers->addresses) {
      uint32_t other = 0;
      if (absl::SimpleAtoi(absl::string_view(address).substr(address.rfind(':') + 1), &other)) {
        AddToBook(other - kFirstPort);
      }
    }
    DialMore();
  } else {
    return false;
  }
  SchedulePump();
  return true;
}

void SimPeer::OnQuestion(SimLink* link, const session::PeerEvent& event) {
  if (absl::holds_alternative<session::OpenAsked>(event)) {
    if (static_cast<int>(links_.size()) > traits_.most_links) ShedOne();
    link->Do([&](PeerSession& s) {
      s.UseSendTally(tally_);
      s.AcceptOpen(layout_->chunk_count());
    });
    Join(link);
    AddToSwarm(link);
  } else if (absl::holds_alternative<session::SubscribeAsked>(event)) {
    link->subscribed = true;
    SendHaveSet(link);
  } else if (absl::holds_alternative<session::PeersAsked>(event)) {
    SendPeers(link);
  } else if (const auto* chunk = absl::get_if<session::ServeChunk>(&event)) {
    ServeChunk(link, chunk->part);
  }
}

// One that this peer dialled, at random: who dials later is linked with those that came early, and
// all have about as many links.
void SimPeer::ShedOne() {
  std::vector<SimLink*> dialled;
  for (const auto& [id, link] : links_) {
    if (link->dialled) dialled.push_back(link);
  }
  if (!dialled.empty()) dialled[random_() % dialled.size()]->Close();
}

// --- Asking

void SimPeer::SchedulePump() {
  if (!fetching() || std::exchange(pump_scheduled_, true)) return;
  events_->In(traits_.turn, this, kPump);
}

void SimPeer::Pump() {
  if (!fetching()) return;
  CheckArrived();
  if (swarm_->Complete()) {
    finished = events_->now();
    return;
  }
  const swarm::Commands commands = swarm_->Decide(events_->now());
  for (const swarm::CancelPart& cancel : commands.cancels) {
    if (SimLink* link = world_->FindLink(cancel.link)) {
      link->Do([&](PeerSession& s) { s.Cancel(cancel.part); });
    }
  }
  for (const swarm::RequestChunks& request : commands.requests) Request(request);
  for (const swarm::RequestLeaves& request : commands.leaf_requests) {
    if (SimLink* link = world_->FindLink(request.link)) {
      link->Do([&](PeerSession& s) {
        s.RequestLeaves(request.part, layout_->PartLength(request.part), events_->now());
      });
    }
  }
  for (const swarm::DropLink& drop : commands.drops) {
    if (SimLink* link = world_->FindLink(drop.link)) Ban(link);
  }
  const absl::Time wake = swarm_->NextWake();
  if (wake >= wake_) return;
  wake_ = wake;
  events_->At(wake, this, kWake);
}

void SimPeer::Request(const swarm::RequestChunks& request) {
  SimLink* link = world_->FindLink(request.link);
  if (link == nullptr) return;
  std::vector<uint32_t> lengths(request.count);
  for (uint32_t i = 0; i < request.count; ++i) {
    lengths[i] = layout_->ChunkLength(request.first + ChunkIndex(i));
  }
  link->Do([&](PeerSession& s) { s.RequestChunks(request.first, lengths, events_->now()); });
}

void SimPeer::CheckArrived() {
  std::vector<ChunkPart> fresh;
  for (const Arrived& arrived : std::exchange(arrived_, {})) {
    const ChunkIndex chunk = arrived.part.chunk;
    if (world_->IsLiar(arrived.from)) {
      ++counters.chunks_bad;
      swarm_->OnFailed(arrived.link, arrived.part);
      if (swarm_->have().Has(chunk)) ++counters.wrong_chunks_kept;
      if (SimLink* link = world_->FindLink(arrived.link)) Ban(link);
      continue;
    }
    swarm_->OnVerified(arrived.link, arrived.part);
    if (!swarm_->have().Has(chunk)) {
      fresh.push_back(arrived.part);
      continue;
    }
    fresh.emplace_back(chunk);
    world_->OnChunk(this, chunk);
    if (!online_) return;
  }
  if (!fresh.empty()) TellHaves(fresh);
}

void SimPeer::TellHaves(const std::vector<ChunkPart>& fresh) {
  // A link that ends while it is told leaves `links_`.
  std::vector<SimLink*> subscribers;
  for (const auto& [id, link] : links_) {
    if (link->subscribed) subscribers.push_back(link);
  }
  for (SimLink* link : subscribers) {
    link->Do([&](PeerSession& s) {
      for (const ChunkPart& part : fresh) {
        if (swarm_->LinkHas(link->id, part)) continue;
        if (part.whole()) {
          s.SendHave(part.chunk, 1);
        } else if (!swarm_->have().Has(part.chunk) && !swarm_->IsCommon(part)) {
          s.SendHaveLeaves(part);
        }
      }
    });
  }
}

// --- Serving

void SimPeer::SendHaveSet(SimLink* link) {
  if (have().None() && (traits_.seed || swarm_->PartialChunks().empty())) return;
  link->Do([&](PeerSession& s) {
    if (have().All()) {
      s.SendHave(ChunkIndex(0), layout_->chunk_count());
    } else {
      s.SendHaveBits(ChunkIndex(0), have().ToBytes());
      for (const ChunkIndex chunk : swarm_->PartialChunks()) {
        for (const ChunkPart& part : swarm_->PartsOf(chunk)) s.SendHaveLeaves(part);
      }
    }
  });
}

void SimPeer::ServeChunk(SimLink* link, const ChunkPart& part) {
  link->Do([&](PeerSession& s) {
    const bool here = traits_.seed || swarm_->Has(part);
    if (!here) return s.Refuse(part, 409, "not available here yet");
    FileSlice slice;
    slice.length = layout_->PartLength(part);
    if (part.whole()) {
      s.SendChunk(part.chunk, std::move(slice));
    } else {
      s.SendLeaves(part, {}, std::move(slice));
    }
  });
}

void SimPeer::SendPeers(SimLink* asking) {
  std::vector<std::string> addresses;
  for (const auto& [id, link] : links_) {
    if (link->remote == asking->remote) continue;
    if (addresses.size() == limits::kMaxPeersPerAnswer) break;
    addresses.push_back(absl::StrCat("10.0.0.1:", kFirstPort + link->remote));
  }
  asking->Do([&](PeerSession& s) { s.SendPeers(addresses); });
}

}  // namespace p2p::sim

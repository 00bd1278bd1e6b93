#include "daemon/engine/peer_search.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/text.h"
#include "core/net/address.h"
#include "daemon/engine/crossed_links.h"
#include "daemon/engine/transfer.h"

namespace p2p::engine {
namespace {

// While fewer links than this have something of use, more peers are dialled, so many at a time.
constexpr int kFewUsefulLinks = 4;
constexpr int kMorePeersStep = 4;
// With fewer peers than this or than I/O loops, several connections to each keep every loop busy.
constexpr size_t kEnoughLinks = 4;
constexpr uint64_t kSeveralLinksBytes = 32 << 20;
// An original peer takes one request at a time on a connection: two keep it busy.
constexpr int kOriginalLinksEach = 2;
// Between one question to a tracker or a peer and the next, while nothing is missing.
constexpr absl::Duration kCalmWait = absl::Seconds(20);
// However many peers go at once, trackers are asked no more often than this.
constexpr absl::Duration kShortestHuntWait = absl::Seconds(1);
// The code of REFUSED by a peer that has as many connections as it may.
constexpr int kNoRoom = 503;
constexpr uint16_t kLastPrivilegedPort = 1'023;
// Where this daemon has no descriptor for another connection.
constexpr absl::Duration kNoRoomWait = absl::Seconds(5);
// A connection that stood for so long was of use, whatever it brought.
constexpr absl::Duration kLongLife = absl::Minutes(1);

bool HasPrivilegedPort(const std::string& address) {
  const absl::StatusOr<net::Endpoint> endpoint = net::ParseEndpoint(address);
  return endpoint.ok() && endpoint->port() <= kLastPrivilegedPort;
}

PeerBook::End EndOf(const Link& link, absl::Time now) {
  if (!link.dialled) return PeerBook::End::kAccepted;
  if (link.surplus) return PeerBook::End::kSurplus;
  if (!link.refusal.empty()) return PeerBook::End::kBusy;
  if (link.chunks_down > 0 || (link.opened && now - link.since > kLongLife)) {
    return PeerBook::End::kUseful;
  }
  return link.hello.has_value() ? PeerBook::End::kUseless : PeerBook::End::kUnanswered;
}

}  // namespace

PeerSearch::PeerSearch(Runtime* runtime, Links* links, Trackers* trackers,
                       const ContentState* content, std::string original_name, PeerSearchHost* host)
    : runtime_(runtime),
      links_(links),
      trackers_(trackers),
      content_(content),
      original_name_(std::move(original_name)),
      host_(host),
      random_(std::random_device{}()),
      book_(random_()),
      hunt_timer_(&runtime->engine_loop),
      exchange_timer_(&runtime->engine_loop),
      dial_timer_(&runtime->engine_loop),
      hunt_backoff_(absl::Seconds(1), absl::Seconds(15)),
      exchange_backoff_(absl::Seconds(1), kCalmWait),
      most_peers_(limits::kWantedPeers) {}

void PeerSearch::Stop() {
  stopped_ = true;
  hunt_timer_.Disarm();
  exchange_timer_.Disarm();
  dial_timer_.Disarm();
}

void PeerSearch::ForEachLink(const std::function<void(Link&)>& visit) {
  links_->ForEachOf(host_->SelfAsTransfer().get(), visit);
}

size_t PeerSearch::CountOpenPeers() {
  absl::flat_hash_set<std::string> peers;
  ForEachLink([&peers](Link& link) {
    if (link.opened)
      peers.insert(link.hello.has_value() ? link.hello->peer_id.Hex() : link.address);
  });
  return peers.size();
}

bool PeerSearch::IsShortOfPeers() {
  return 2 * CountOpenPeers() < std::min<size_t>(limits::kWantedPeers, book_.usable_size());
}

absl::Duration PeerSearch::AboutTwentySeconds() {
  return kCalmWait * std::uniform_real_distribution<>(0.75, 1.25)(random_);
}

// --- Asking who is there

void PeerSearch::HuntNow() {
  book_.ForgetWaits();
  hunt_backoff_.Reset();
  Hunt();
}

void PeerSearch::Hunt() {
  if (stopped_) return;
  last_hunt_ = MonotonicNow();
  AskTrackers();
  const bool supplied = host_->useful_links() > 0 && !IsShortOfPeers();
  if (supplied) {
    hunt_backoff_.Reset();
  } else {
    AskAPeer();
  }
  AdjustMostPeers();
  DialMore();
  hunt_timer_.Arm(MonotonicNow() + (supplied ? AboutTwentySeconds() : hunt_backoff_.Next(&random_)),
                  [this] { Hunt(); });
}

void PeerSearch::HuntSoon() {
  const absl::Time when = last_hunt_ + kShortestHuntWait;
  if (MonotonicNow() >= when) return Hunt();
  if (hunt_timer_.due() > when) hunt_timer_.Arm(when, [this] { Hunt(); });
}

void PeerSearch::AskTrackers() {
  if (!by_original()) {
    return trackers_->FindPeers(*content_->id,
                                [weak = weak_from_this()](const session::PeersFound& answer) {
                                  const auto self = weak.lock();
                                  if (self != nullptr) self->OnFound(answer.peers);
                                });
  }
  trackers_->FindName(original_name_, [weak = weak_from_this()](const NameAnswer& answer) {
    const auto self = weak.lock();
    if (self != nullptr && answer.originals.has_value()) self->OnFound(answer.originals->peers);
  });
}

void PeerSearch::OnFound(const std::vector<std::string>& addresses) {
  if (stopped_) return;
  Add(addresses, /*keep=*/false);
  DialMore();
}

// One at random each time: what one of them does not know, another does.
void PeerSearch::AskAPeer() {
  if (stopped_ || by_original()) return;
  std::vector<Link*> open;
  ForEachLink([&open](Link& link) {
    if (link.opened && link.hello.has_value() && !link.surplus) open.push_back(&link);
  });
  exchange_timer_.Disarm();
  if (open.empty()) return;  // whoever comes is asked
  open[random_() % open.size()]->io->Do([](session::PeerSession& s) { s.AskPeers(); });
  ArmExchangeTimer();
}

void PeerSearch::ArmExchangeTimer() {
  const bool enough = CountOpenPeers() >= static_cast<size_t>(limits::kWantedPeers);
  const absl::Time when =
      MonotonicNow() + (enough ? AboutTwentySeconds() : exchange_backoff_.Next(&random_));
  if (when < exchange_timer_.due()) exchange_timer_.Arm(when, [this] { AskAPeer(); });
}

void PeerSearch::Add(const std::vector<std::string>& addresses, bool keep) {
  for (const std::string& address : addresses) {
    if (runtime_->own_addresses.contains(address)) continue;
    // Others' word alone does not make this daemon knock at mail or web servers.
    if (!keep && HasPrivilegedPort(address)) continue;
    // Where there is one more, there may be others.
    if (book_.Add(address, keep)) exchange_backoff_.Reset();
  }
}

void PeerSearch::OnPeersTold(Link& link, const std::vector<std::string>& addresses) {
  if (!link.refusal.empty()) link.io->Close(link.refusal);
  Add(addresses, /*keep=*/false);
  DialMore();
}

// --- Connections

int PeerSearch::LinksEach() const {
  if (by_original()) return kOriginalLinksEach;
  if (host_->bytes_left().value() <= kSeveralLinksBytes) return 1;
  const size_t wanted = std::min(runtime_->io_loops.size(), kEnoughLinks);
  const size_t peers = std::max<size_t>(book_.usable_size(), 1);
  return static_cast<int>((wanted + peers - 1) / peers);
}

void PeerSearch::AdjustMostPeers() {
  if (host_->useful_links() >= kFewUsefulLinks) {
    most_peers_ = limits::kWantedPeers;
  } else if (book_.connected_peers() >= most_peers_) {
    most_peers_ = std::min(most_peers_ + kMorePeersStep, limits::kMostPeers);
  }
}

void PeerSearch::DialMore() {
  if (stopped_) return;
  for (PeerBook::Candidate* candidate : book_.Due(MonotonicNow(), LinksEach(), most_peers_)) {
    Dial(candidate);
  }
  const absl::Time next = book_.NextDue(LinksEach(), most_peers_);
  dial_timer_.Arm(std::max(next, MonotonicNow() + absl::Milliseconds(50)), [this] { DialMore(); });
}

void PeerSearch::Dial(PeerBook::Candidate* candidate) {
  const bool original = candidate->original || by_original();
  if (original && runtime_->extension_peers.Has(candidate->address)) {
    candidate->problem = "it speaks the extension, so what it has is asked for by content id only";
    candidate->next_try = absl::InfiniteFuture();
    return;
  }
  Link* const link = links_->Dial(candidate->address, original, host_->SelfAsTransfer());
  if (link == nullptr) {
    candidate->next_try = MonotonicNow() + kNoRoomWait;
    return;
  }
  ++candidate->links;
  ++candidate->dialled;
  counted_[link->id()] = candidate->address;
  host_->OnDialled(*link);
}

void PeerSearch::OnHello(Link& link) { CloseSurplus(link.hello->peer_id); }

void PeerSearch::OnOpened(Link& link) {
  if (!link.dialled && !link.listen_address.empty()) {
    // It is connected: not to be dialled, too.
    Add({link.listen_address}, /*keep=*/false);
    if (PeerBook::Candidate* candidate = book_.Find(link.listen_address)) {
      ++candidate->links;
      counted_[link.id()] = candidate->address;
    }
  }
  if (!link.dialled && link.hello.has_value()) CloseSurplus(link.hello->peer_id);
  if (!link.dialled) ShedOne();
  exchange_backoff_.Reset();
  ArmExchangeTimer();
}

void PeerSearch::CloseSurplus(const PeerId& peer) {
  std::vector<PairLink> pair;
  ForEachLink([&](Link& link) {
    if (!link.hello.has_value() || link.hello->peer_id != peer) return;
    if (link.surplus) return;
    pair.push_back({link.id(), link.dialled, link.since, link.chunks_down});
  });
  for (LinkId id :
       SurplusLinks(runtime_->self, peer, std::move(pair), LinksEach(), MonotonicNow())) {
    Link* link = links_->Find(id);
    link->surplus = true;
    link->io->Close("there is another connection to this peer");
  }
}

void PeerSearch::ShedOne() {
  if (CountOpenPeers() <= static_cast<size_t>(limits::kMostPeers)) return;
  std::vector<Link*> dialled;
  ForEachLink([&dialled](Link& link) {
    if (link.dialled && link.opened && !link.surplus) dialled.push_back(&link);
  });
  if (dialled.empty()) return;
  Link* const one = dialled[random_() % dialled.size()];
  one->surplus = true;
  one->io->Close("this daemon has peers enough");
}

void PeerSearch::OnRefused(Link& link, const session::OpenAnswered& refusal) {
  const std::string why = absl::StrCat("it refused: ", Printable(refusal.reason));
  if (refusal.code != kNoRoom) return link.io->Close(why);
  // It still tells whom it knows: GET-PEERS went along with OPEN.
  link.refusal = why;
}

void PeerSearch::OnOriginal(Link& link) {
  // Content by content id needs hashes, which such a peer can not give; its bytes would be checked
  // all the same, but not under which name to ask for them.
  if (PeerBook::Candidate* candidate = book_.Find(link.address))
    candidate->original = by_original();
}

bool PeerSearch::OnBanned(Link& link, const std::string& reason) {
  PeerBook::Candidate* candidate = book_.Find(link.address);
  if (candidate == nullptr) return true;
  candidate->problem = reason;
  return !std::exchange(candidate->banned, true);
}

void PeerSearch::OnSelfDialled(const std::string& address) {
  runtime_->own_addresses.insert(address);
  if (PeerBook::Candidate* candidate = book_.Find(address)) candidate->self = true;
}

void PeerSearch::OnLinkClosed(Link& link, const std::string& reason) {
  const absl::Time now = MonotonicNow();
  const auto counted = counted_.find(link.id());
  if (counted != counted_.end()) {
    if (PeerBook::Candidate* candidate = book_.Find(counted->second)) {
      book_.OnLinkGone(candidate, now, EndOf(link, now), reason);
    }
    counted_.erase(counted);
  }
  if (stopped_) return;
  // Not at the next tick: by then the rest may be gone, too.
  if (link.opened && !link.surplus && IsShortOfPeers()) HuntSoon();
  DialMore();
}

}  // namespace p2p::engine

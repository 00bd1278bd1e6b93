#include "daemon/engine/peer_search.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/text.h"
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
// Where this daemon has no descriptor for another connection.
constexpr absl::Duration kNoRoomWait = absl::Seconds(5);
// A connection that stood for so long was of use, whatever it brought.
constexpr absl::Duration kLongLife = absl::Minutes(1);

// An accepted connection that has brought nothing by then may be of another peer than it says.
// Longer than a connection must stand for the other side to keep it and close a new one.
constexpr absl::Duration kDoubtTime = absl::Seconds(25);

// A peer that is connected already says so at once.
constexpr absl::Duration kAnswerTime = absl::Seconds(10);

// What several connections to one peer have in common, as far as can be told.
const std::string& PeerAddress(const Link& link) {
  return link.listen_address.empty() ? link.address : link.listen_address;
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

PeerSearch::PeerSearch(Runtime* runtime, Links* links, Trackers* trackers, TransferId transfer,
                       const ContentState* content, std::string original_name, PeerSearchHost* host)
    : runtime_(runtime),
      links_(links),
      trackers_(trackers),
      transfer_(transfer),
      content_(content),
      original_name_(std::move(original_name)),
      host_(host),
      random_(std::random_device{}()),
      book_(random_(), &runtime->own),
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
    if (link.opened) peers.insert(PeerAddress(link));
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
    return trackers_->FindPeers(transfer_, *content_->id,
                                [weak = weak_from_this()](const ToldPeers& told) {
                                  const auto self = weak.lock();
                                  if (self != nullptr) self->OnFound(told);
                                });
  }
  trackers_->FindName(transfer_, original_name_,
                      [weak = weak_from_this()](const NameAnswer& answer) {
                        const auto self = weak.lock();
                        if (self == nullptr) return;
                        for (const NameAnswer::Original& original : answer.originals)
                          self->OnFound(original.peers);
                      });
}

void PeerSearch::OnFound(const ToldPeers& told) {
  if (stopped_) return;
  Add(told);
  DialMore();
}

// One at random each time, of a network at random: what one of them does not know, another does.
void PeerSearch::AskAPeer() {
  if (stopped_ || by_original()) return;
  std::map<uint64_t, std::vector<Link*>> open;  // by network
  ForEachLink([&open](Link& link) {
    if (link.opened && link.hello.has_value() && !link.surplus) {
      open[link.origin().network].push_back(&link);
    }
  });
  exchange_timer_.Disarm();
  if (open.empty()) return;  // whoever comes is asked
  const auto network =
      std::next(open.begin(), static_cast<std::ptrdiff_t>(random_() % open.size()));
  const std::vector<Link*>& links = network->second;
  links[random_() % links.size()]->io->Do([](session::PeerSession& s) { s.AskPeers(); });
  ArmExchangeTimer();
}

void PeerSearch::ArmExchangeTimer() {
  const bool enough = CountOpenPeers() >= static_cast<size_t>(limits::kWantedPeers);
  const absl::Time when =
      MonotonicNow() + (enough ? AboutTwentySeconds() : exchange_backoff_.Next(&random_));
  if (when < exchange_timer_.due()) exchange_timer_.Arm(when, [this] { AskAPeer(); });
}

void PeerSearch::Add(const ToldPeers& told) {
  for (const std::string& address : told.addresses) {
    // Where there is one more, there may be others.
    if (book_.Add(address, told.teller, MonotonicNow())) exchange_backoff_.Reset();
  }
}

void PeerSearch::OnPeersTold(Link& link, const std::vector<std::string>& addresses) {
  if (!link.refusal.empty()) link.io->Close(link.refusal);
  Add({Teller::Peer(link.remote), addresses});
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
  const absl::Time next_doubt = DoubtAccepted();
  for (PeerBook::Candidate* candidate : book_.Due(MonotonicNow(), LinksEach(), most_peers_)) {
    Dial(candidate);
  }
  const absl::Time next = std::min(next_doubt, book_.NextDue(LinksEach(), most_peers_));
  dial_timer_.Arm(std::max(next, MonotonicNow() + absl::Milliseconds(50)), [this] { DialMore(); });
}

void PeerSearch::Dial(PeerBook::Candidate* candidate) {
  const bool original = candidate->original || by_original();
  if (original && runtime_->extension_peers.Has(candidate->address)) {
    candidate->problem = "it speaks the extension, so what it has is asked for by content id only";
    candidate->next_try = absl::InfiniteFuture();
    return;
  }
  Link* const link = links_->Dial(*candidate, original, host_->SelfAsTransfer());
  if (link == nullptr) {
    candidate->next_try = MonotonicNow() + kNoRoomWait;
    return;
  }
  ++candidate->links;
  ++candidate->dialled;
  counted_[link->id()] = candidate->address;
  host_->OnDialled(*link);
}

void PeerSearch::OnHello(Link& link) {
  if (link.dialled) CloseSurplus(link);
}

void PeerSearch::OnOpened(Link& link) {
  if (!link.dialled) {
    if (!link.listen_address.empty()) {
      Add({Teller::Peer(link.remote), {link.listen_address}});
      CountAccepted(link);
    }
    CloseSurplus(link);
  }
  ShedOne();
  exchange_backoff_.Reset();
  ArmExchangeTimer();
}

void PeerSearch::CountAccepted(const Link& link) {
  PeerBook::Candidate* candidate = book_.Find(link.listen_address);
  if (candidate == nullptr) return;
  const bool proven = link.chunks_down > 0 || believed_.contains(link.id());
  if (proven) candidate->claimed = absl::InfiniteFuture();
  // However often somebody else comes and says that it is the one there.
  if (!proven && MonotonicNow() >= candidate->claimed + kDoubtTime) return;
  if (!counted_.try_emplace(link.id(), candidate->address).second) return;
  candidate->claimed = std::min(candidate->claimed, MonotonicNow());
  ++candidate->links;
}

void PeerSearch::Uncount(LinkId id) {
  const auto counted = counted_.find(id);
  if (counted == counted_.end()) return;
  if (PeerBook::Candidate* candidate = book_.Find(counted->second)) {
    book_.OnLinkGone(candidate, MonotonicNow(), PeerBook::End::kAccepted, "");
  }
  counted_.erase(counted);
}

absl::Time PeerSearch::DoubtAccepted() {
  absl::Time next = absl::InfiniteFuture();
  ForEachLink([this, &next, now = MonotonicNow()](Link& link) {
    if (link.dialled || link.chunks_down > 0 || believed_.contains(link.id())) return;
    const auto counted = counted_.find(link.id());
    if (counted == counted_.end()) return;
    const PeerBook::Candidate* candidate = book_.Find(counted->second);
    const absl::Time until = (candidate == nullptr ? link.since : candidate->claimed) + kDoubtTime;
    if (now < until) {
      next = std::min(next, until);
    } else {
      Uncount(link.id());
    }
  });
  return next;
}

void PeerSearch::BelieveAccepted(const Link& closed) {
  if (!closed.dialled || !closed.hello.has_value() || closed.surplus || closed.banned) return;
  if (!closed.refusal.empty() || MonotonicNow() - closed.since > kAnswerTime) return;
  ForEachLink([&](Link& link) {
    if (link.dialled || !link.opened || link.listen_address != closed.address) return;
    if (!link.hello.has_value() || link.hello->peer_id != closed.hello->peer_id) return;
    believed_.insert(link.id());
    CountAccepted(link);
  });
}

void PeerSearch::CloseSurplus(const Link& link) {
  if (!link.hello.has_value()) return;
  std::vector<PairLink> pair;
  ForEachLink([&](Link& other) {
    if (!other.hello.has_value() || other.hello->peer_id != link.hello->peer_id) return;
    if (other.surplus || other.listen_address != link.listen_address) return;
    pair.push_back({other.id(), other.dialled, other.since, other.chunks_down});
  });
  for (LinkId id : SurplusLinks(runtime_->self, link.hello->peer_id, std::move(pair), LinksEach(),
                                MonotonicNow())) {
    Link* surplus = links_->Find(id);
    surplus->surplus = true;
    surplus->io->Close("there is another connection to this peer");
  }
}

void PeerSearch::ShedOne() {
  if (CountOpenPeers() <= static_cast<size_t>(limits::kMostPeers)) return;
  FairShare share;
  std::vector<Link*> dialled;
  ForEachLink([&](Link& link) {
    if (!link.opened || link.surplus) return;
    share.Add(link.origin());
    if (link.dialled) dialled.push_back(&link);
  });
  if (dialled.size() <= static_cast<size_t>(limits::kLeastDialledPeers)) return;
  std::shuffle(dialled.begin(), dialled.end(), random_);
  Link* const one = *std::max_element(dialled.begin(), dialled.end(), [&](Link* a, Link* b) {
    return share.LoadOf(a->origin()) < share.LoadOf(b->origin());
  });
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
  PeerBook::Candidate* candidate = link.dialled ? book_.Find(link.address) : nullptr;
  if (candidate == nullptr) return true;
  candidate->problem = reason;
  return !std::exchange(candidate->banned, true);
}

void PeerSearch::OnSelfDialled(const std::string& address) {
  // What others tell must not make it grow.
  if (runtime_->own.reached.size() >= limits::kMaxKnownPeers) runtime_->own.reached.clear();
  runtime_->own.reached.insert(address);
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
  believed_.erase(link.id());
  if (stopped_) return;
  BelieveAccepted(link);
  // Not at the next tick: by then the rest may be gone, too.
  if (link.opened && !link.surplus && IsShortOfPeers()) HuntSoon();
  DialMore();
}

}  // namespace p2p::engine

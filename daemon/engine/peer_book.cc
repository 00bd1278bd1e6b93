#include "daemon/engine/peer_book.h"

#include <algorithm>
#include <utility>

#include "core/base/limits.h"

namespace p2p::engine {
namespace {

// So many are never too many to go on trying, so that a download outlives a long outage of all.
constexpr size_t kFewCandidates = 30;
// Dials that nobody answered before an address is forgotten: half a minute of waits, and longer
// than a tracker keeps quiet about a peer that lives.
constexpr int kMaxFailures = 5;
// For so long the word of peers alone does not bring it back.
constexpr absl::Duration kForgottenFor = absl::Minutes(10);
// A peer that serves as many as it may does not have room again in a second.
constexpr absl::Duration kBusyWait = absl::Seconds(10);
// Peers beyond those wanted that networks with fewer of them may have, until one of a network with
// more was let go of.
constexpr int kFairnessRoom = 4;

// They only take room.
bool IsUseless(const PeerBook::Candidate& candidate) { return candidate.self || candidate.banned; }

bool MayTry(const PeerBook::Candidate& candidate, int links_each) {
  return !IsUseless(candidate) && candidate.links < links_each;
}

bool MayGo(const PeerBook::Candidate& candidate) { return candidate.links == 0 && !candidate.kept; }

}  // namespace

// How many more peers may be connected, and of which networks.
class PeerBook::Room {
 public:
  Room(const std::map<std::string, Candidate, std::less<>>& candidates, int most_peers)
      : most_peers_(most_peers) {
    for (const auto& [address, candidate] : candidates) {
      if (candidate.links > 0) Take(candidate.origin);
      dialled_ += candidate.dialled > 0 ? 1 : 0;
    }
  }
  bool HasFor(const Origin& origin) const {
    if (connected_ < most_peers_) return true;
    if (dialled_ < std::min(most_peers_, limits::kLeastDialledPeers)) return true;
    return connected_ < limits::kMostPeers + kFairnessRoom &&
           taken_.LoadOf(origin).first + 1 < most_of_a_network_;
  }
  void TakeDialled(const Origin& origin) {
    Take(origin);
    ++dialled_;
  }
  const FairShare& taken() const { return taken_; }

 private:
  void Take(const Origin& origin) {
    ++connected_;
    taken_.Add(origin);
    most_of_a_network_ = std::max(most_of_a_network_, taken_.LoadOf(origin).first);
  }

  const int most_peers_;
  FairShare taken_;
  int connected_ = 0;
  int dialled_ = 0;
  int most_of_a_network_ = 0;
};

bool PeerBook::Add(const std::string& address, const Teller& teller, absl::Time now) {
  const bool by_user = teller.kind == Teller::Kind::kUser;
  const bool by_peer = teller.kind == Teller::Kind::kPeer;
  const absl::StatusOr<net::Endpoint> endpoint = net::ParseEndpoint(address);
  if (!endpoint.ok()) {
    Refuse(address, std::string(endpoint.status().message()));
    return false;
  }
  const std::string text = net::FormatEndpoint(*endpoint);
  if (Candidate* known = Find(text)) {
    if (!by_peer) known->failures = 0;
    known->kept |= by_user;
    return false;
  }
  std::string reason = WhyNotDialled(*endpoint, teller, *own_);
  const auto forgotten = forgotten_.find(text);
  if (reason.empty() && by_peer && forgotten != forgotten_.end() &&
      now - forgotten->second < kForgottenFor) {
    reason = "nobody answered there";
  }
  if (reason.empty() && !by_user) reason = TakeRoom(Origin::Of(*endpoint), teller, now);
  if (!reason.empty()) {
    Refuse(text, std::move(reason));
    return false;
  }
  forgotten_.erase(text);
  refused_.erase(std::remove_if(refused_.begin(), refused_.end(),
                                [&](const Refused& refused) { return refused.address == text; }),
                 refused_.end());
  const auto [it, is_new] =
      candidates_.try_emplace(text, Admitted(0), *endpoint, by_user ? "" : teller.name);
  it->second.kept = by_user;
  return true;
}

void PeerBook::Refuse(std::string address, std::string reason) {
  const auto known = std::find_if(refused_.begin(), refused_.end(),
                                  [&](const Refused& r) { return r.address == address; });
  if (known != refused_.end()) return;
  refused_.push_back({std::move(address), std::move(reason)});
  if (refused_.size() > limits::kMaxRefusedAddresses) refused_.pop_front();
}

std::string PeerBook::TakeRoom(const Origin& origin, const Teller& teller, absl::Time now) {
  const auto is_told = [](const Candidate& c) { return !c.kept && !c.teller.empty(); };
  const auto is_of_host = [&](const Candidate& c) {
    return is_told(c) && c.origin.host == origin.host;
  };
  const auto is_of_teller = [&](const Candidate& c) {
    return is_told(c) && c.teller == teller.name;
  };
  const auto count = [this](const std::function<bool(const Candidate&)>& which) {
    return std::count_if(candidates_.begin(), candidates_.end(),
                         [&](const auto& entry) { return which(entry.second); });
  };
  if (count(is_of_host) >= limits::kMaxKnownPeersPerHost &&
      !Displace(teller.name, is_of_host, now)) {
    return "as many addresses of its host are known as may be";
  }
  if (count(is_of_teller) >= limits::kMaxKnownPeersPerTeller &&
      !Displace(teller.name, is_of_teller, now)) {
    return "its teller has told as many as it may";
  }
  if (candidates_.size() >= limits::kMaxKnownPeers && !Displace(teller.name, is_told, now)) {
    return "as many addresses are known as may be";
  }
  return "";
}

bool PeerBook::Displace(const std::string& teller,
                        const std::function<bool(const Candidate&)>& may_go, absl::Time now) {
  absl::flat_hash_map<std::string, int> told;
  for (const auto& [address, candidate] : candidates_) {
    if (may_go(candidate)) ++told[candidate.teller];
  }
  const int mine = told[teller] + 1;
  const Candidate* victim = nullptr;
  const auto rank = [&told](const Candidate& c) {
    return std::make_pair(IsUseless(c) ? 2 : c.unreachable ? 1 : 0, told[c.teller]);
  };
  for (const auto& [address, candidate] : candidates_) {
    if (!may_go(candidate) || !MayGo(candidate)) continue;
    const bool is_lost = IsUseless(candidate) || candidate.unreachable;
    if (!is_lost && told[candidate.teller] <= mine) continue;
    if (victim == nullptr || rank(*victim) < rank(candidate)) victim = &candidate;
  }
  if (victim == nullptr) return false;
  // A ban outlives it here, too, as far as peers' word goes.
  if (IsUseless(*victim)) {
    Forget(*victim, now);
  } else {
    candidates_.erase(victim->address);
  }
  return true;
}

void PeerBook::Forget(const Candidate& candidate, absl::Time now) {
  if (forgotten_.size() >= limits::kMaxKnownPeers) forgotten_.clear();
  forgotten_[candidate.address] = now;
  candidates_.erase(candidate.address);
}

PeerBook::Candidate* PeerBook::Find(absl::string_view address) {
  const auto it = candidates_.find(address);
  return it == candidates_.end() ? nullptr : &it->second;
}

std::vector<PeerBook::Candidate*> PeerBook::Due(absl::Time now, int links_each, int most_peers) {
  Room room(candidates_, most_peers);
  std::vector<Candidate*> due;      // more connections to peers that have some
  std::vector<Candidate*> waiting;  // for a first one
  for (auto& [address, candidate] : candidates_) {
    if (!MayTry(candidate, links_each) || candidate.next_try > now) continue;
    (candidate.links > 0 ? due : waiting).push_back(&candidate);
  }
  std::shuffle(waiting.begin(), waiting.end(), random_);
  const auto named =
      std::stable_partition(waiting.begin(), waiting.end(), [](const auto* c) { return c->kept; });
  // What was taken is at the front.
  for (auto next = waiting.begin(); next != waiting.end(); ++next) {
    const auto least =
        std::min_element(next, next < named ? named : waiting.end(), [&](auto* a, auto* b) {
          return room.taken().LoadOf(a->origin) < room.taken().LoadOf(b->origin);
        });
    if (!room.HasFor((*least)->origin)) break;
    room.TakeDialled((*least)->origin);
    due.push_back(*least);
    std::iter_swap(next, least);
  }
  return due;
}

absl::Time PeerBook::NextDue(int links_each, int most_peers) const {
  const Room room(candidates_, most_peers);
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [address, candidate] : candidates_) {
    if (!MayTry(candidate, links_each)) continue;
    if (candidate.links == 0 && !room.HasFor(candidate.origin)) continue;
    next = std::min(next, candidate.next_try);
  }
  return next;
}

int PeerBook::connected_peers() const {
  return static_cast<int>(std::count_if(candidates_.begin(), candidates_.end(),
                                        [](const auto& entry) { return entry.second.links > 0; }));
}

void PeerBook::OnLinkGone(Candidate* candidate, absl::Time now, End end, std::string problem) {
  --candidate->links;
  if (end == End::kAccepted) return;
  --candidate->dialled;
  if (end == End::kSurplus && candidate->links > 0) return;
  candidate->unreachable = end == End::kUnanswered;
  if (end == End::kUseful) {
    candidate->backoff.Reset();
    candidate->problem.clear();
    candidate->next_try = now;
    return;
  }
  // Another one stands: this one says nothing of the peer.
  if (candidate->links == 0) candidate->problem = std::move(problem);
  candidate->next_try = now + candidate->backoff.Next(&random_);
  if (end == End::kBusy) candidate->next_try += kBusyWait;
  if (end != End::kUnanswered) return;
  if (++candidate->failures < kMaxFailures || !MayGo(*candidate) || IsUseless(*candidate) ||
      candidates_.size() <= kFewCandidates) {
    return;
  }
  Forget(*candidate, now);
}

size_t PeerBook::usable_size() const {
  return static_cast<size_t>(
      std::count_if(candidates_.begin(), candidates_.end(),
                    [](const auto& entry) { return !IsUseless(entry.second); }));
}

void PeerBook::ForgetWaits() {
  forgotten_.clear();
  for (auto& [address, candidate] : candidates_) {
    candidate.backoff.Reset();
    candidate.next_try = absl::InfinitePast();
  }
}

}  // namespace p2p::engine

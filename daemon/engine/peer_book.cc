#include "daemon/engine/peer_book.h"

#include <algorithm>
#include <utility>

#include "core/net/address.h"

namespace p2p::engine {
namespace {

// Enough to find a good peer; a tracker or peer that tells more gains nothing.
constexpr size_t kMaxCandidates = 1'000;
// So many are never too many to go on trying, so that a download outlives a long outage of all.
constexpr size_t kFewCandidates = 30;
// Dials that nobody answered before an address is forgotten: half a minute of waits, and longer
// than a tracker keeps quiet about a peer that lives.
constexpr int kMaxFailures = 5;
// A peer that serves as many as it may does not have room again in a second.
constexpr absl::Duration kBusyWait = absl::Seconds(10);

bool MayBeDialled(const std::string& address) {
  const absl::StatusOr<net::Endpoint> endpoint = net::ParseEndpoint(address);
  if (!endpoint.ok()) return false;
  const net::AddressScope scope = net::ScopeOf(*endpoint);
  return scope != net::AddressScope::kUnspecified && scope != net::AddressScope::kMulticast &&
         scope != net::AddressScope::kLinkLocal;
}

bool MayTry(const PeerBook::Candidate& candidate, int links_each) {
  return !candidate.self && !candidate.banned && candidate.links < links_each;
}

}  // namespace

bool PeerBook::Add(const std::string& address, bool keep) {
  if (Candidate* known = Find(address)) {
    known->failures = 0;
    known->kept |= keep;
    return false;
  }
  if (candidates_.size() >= kMaxCandidates || !MayBeDialled(address)) return false;
  Candidate& candidate = candidates_[address];
  candidate.address = address;
  candidate.kept = keep;
  return true;
}

PeerBook::Candidate* PeerBook::Find(absl::string_view address) {
  const auto it = candidates_.find(address);
  return it == candidates_.end() ? nullptr : &it->second;
}

std::vector<PeerBook::Candidate*> PeerBook::Due(absl::Time now, int links_each, int most_peers) {
  std::vector<Candidate*> due;
  for (auto& [address, candidate] : candidates_) {
    if (MayTry(candidate, links_each) && candidate.next_try <= now) {
      due.push_back(&candidate);
    }
  }
  std::shuffle(due.begin(), due.end(), random_);
  std::stable_partition(due.begin(), due.end(), [](const Candidate* c) { return c->kept; });
  int room = most_peers - connected_peers();
  due.erase(std::remove_if(due.begin(), due.end(),
                           [&room](const Candidate* c) { return c->links == 0 && room-- <= 0; }),
            due.end());
  return due;
}

absl::Time PeerBook::NextDue(int links_each, int most_peers) const {
  const bool is_full = connected_peers() >= most_peers;
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [address, candidate] : candidates_) {
    if (is_full && candidate.links == 0) continue;
    if (MayTry(candidate, links_each)) next = std::min(next, candidate.next_try);
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
  candidate->problem = std::move(problem);
  candidate->next_try = now + candidate->backoff.Next(&random_);
  if (end == End::kBusy) candidate->next_try += kBusyWait;
  if (end != End::kUnanswered) return;
  const bool may_go = !candidate->kept && !candidate->self && !candidate->banned;
  if (++candidate->failures >= kMaxFailures && may_go && candidate->links == 0 &&
      candidates_.size() > kFewCandidates) {
    candidates_.erase(candidate->address);
  }
}

size_t PeerBook::usable_size() const {
  return static_cast<size_t>(
      std::count_if(candidates_.begin(), candidates_.end(),
                    [](const auto& entry) { return !entry.second.self && !entry.second.banned; }));
}

void PeerBook::ForgetWaits() {
  for (auto& [address, candidate] : candidates_) {
    candidate.backoff.Reset();
    candidate.next_try = absl::InfinitePast();
  }
}

}  // namespace p2p::engine

#include "daemon/engine/peer_book.h"

#include <algorithm>
#include <utility>

#include "core/net/address.h"

namespace p2p::engine {
namespace {

// Enough to find a good peer; a tracker or peer that tells more gains nothing.
constexpr size_t kMaxCandidates = 1'000;

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

void PeerBook::Add(const std::string& address) {
  if (candidates_.size() >= kMaxCandidates || candidates_.count(address) > 0 ||
      !MayBeDialled(address)) {
    return;
  }
  candidates_[address].address = address;
}

PeerBook::Candidate* PeerBook::Find(absl::string_view address) {
  const auto it = candidates_.find(std::string(address));
  return it == candidates_.end() ? nullptr : &it->second;
}

std::vector<PeerBook::Candidate*> PeerBook::Due(absl::Time now, int links_each) {
  std::vector<Candidate*> due;
  for (auto& [address, candidate] : candidates_) {
    if (MayTry(candidate, links_each) && candidate.next_try <= now) {
      due.push_back(&candidate);
    }
  }
  std::shuffle(due.begin(), due.end(), random_);
  return due;
}

absl::Time PeerBook::NextDue(int links_each) const {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [address, candidate] : candidates_) {
    if (MayTry(candidate, links_each)) next = std::min(next, candidate.next_try);
  }
  return next;
}

void PeerBook::OnLinkGone(Candidate* candidate, absl::Time now, bool was_useful,
                          std::string problem) {
  --candidate->links;
  if (was_useful) {
    candidate->backoff.Reset();
    candidate->problem.clear();
    candidate->next_try = now;
  } else {
    candidate->problem = std::move(problem);
    candidate->next_try = now + candidate->backoff.Next(&random_);
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

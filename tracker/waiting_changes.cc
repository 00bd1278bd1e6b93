#include "tracker/waiting_changes.h"

#include <algorithm>
#include <iterator>

namespace p2p::tracker {
namespace {

// With their share of the trees, rounded up.
constexpr size_t kPeerBytes = 160;
constexpr size_t kFieldBytes = 64;

}  // namespace

size_t WaitingChanges::Peer::count() const {
  const bool renewed = renewed_until != absl::InfinitePast();
  return fields.size() + (renewed ? 1 : 0) + (IsAboutFields() ? 0 : 1);
}

void WaitingChanges::AddChanged(const wire::PeerAddress& address, absl::string_view field,
                                absl::Time at) {
  Change(address, [field, at](Peer* peer) { peer->AddField(std::string(field), at); });
}

void WaitingChanges::AddRenewed(const wire::PeerAddress& address, absl::Time until) {
  Change(address,
         [until](Peer* peer) { peer->renewed_until = std::max(peer->renewed_until, until); });
}

void WaitingChanges::AddUnregistered(const wire::PeerAddress& address, absl::Time at) {
  Peer gone;
  gone.unregistered_at = at;
  Change(
      address, [&gone](Peer* peer) { *peer = std::move(gone); }, /*even_if_lost=*/true);
}

void WaitingChanges::AddRewrite(const wire::PeerAddress& address) {
  Change(address, [](Peer* peer) { peer->rewrite = true; });
}

void WaitingChanges::PutBack(std::vector<Item> items) {
  for (Item& item : items) {
    Peer& former = item.second;
    const bool unregistered = former.unregistered_at != absl::InfinitePast();
    const auto merge = [&former](Peer* peer) {
      peer->unregistered_at = std::max(peer->unregistered_at, former.unregistered_at);
      peer->renewed_until = std::max(peer->renewed_until, former.renewed_until);
      peer->rewrite = peer->rewrite || former.rewrite;
      for (const auto& field : former.fields) peer->AddField(field.first, field.second);
    };
    Change(item.first, merge, /*even_if_lost=*/unregistered);
  }
}

std::vector<WaitingChanges::Item> WaitingChanges::Take(size_t max_changes) {
  std::vector<Item> items;
  for (size_t taken = 0; taken < max_changes && !turn_.empty();) {
    const wire::PeerAddress address = turn_.front();
    turn_.pop_front();
    const auto at = peers_.find(address);
    Count(at->second, false);
    Peer peer = std::move(at->second);
    peers_.erase(at);
    const size_t room = max_changes - taken;
    if (peer.fields.size() > room) {
      Peer rest;
      while (peer.fields.size() > room) {
        const auto last = std::prev(peer.fields.end());
        rest.AddField(last->first, last->second);
        peer.fields.erase(last);
      }
      Count(rest, true);
      peers_.emplace(address, std::move(rest));
      turn_.push_back(address);
    }
    taken += peer.count();
    items.emplace_back(address, std::move(peer));
  }
  return items;
}

bool WaitingChanges::Covers(const wire::PeerAddress& address, absl::string_view field,
                            absl::Time since) const {
  const auto peer = peers_.find(address);
  if (peer == peers_.end()) return false;
  if (peer->second.unregistered_at >= since) return true;
  const auto changed = peer->second.fields.find(field);
  return changed != peer->second.fields.end() && changed->second >= since;
}

void WaitingChanges::SetLost() {
  lost_ = true;
  std::deque<wire::PeerAddress> kept;
  for (const wire::PeerAddress& address : turn_) {
    const auto peer = peers_.find(address);
    Count(peer->second, false);
    if (peer->second.unregistered_at == absl::InfinitePast()) {
      peers_.erase(peer);
      continue;
    }
    peer->second.ForgetFields();
    Count(peer->second, true);
    kept.push_back(address);
  }
  turn_ = std::move(kept);
}

void WaitingChanges::Change(const wire::PeerAddress& address, absl::FunctionRef<void(Peer*)> change,
                            bool even_if_lost) {
  if (lost_ && !even_if_lost) return;
  const auto [peer, is_new] = peers_.try_emplace(address);
  if (is_new) {
    turn_.push_back(address);
  } else {
    Count(peer->second, false);
  }
  change(&peer->second);
  Count(peer->second, true);
  if (bytes_ <= max_bytes_) return;
  SetLost();
  if (bytes_ <= max_bytes_ / 2) return;
  // So many that unregistered: what is registered is told, and these end with their ttl.
  peers_.clear();
  turn_.clear();
  count_ = bytes_ = 0;
}

void WaitingChanges::Count(const Peer& peer, bool comes) {
  size_t bytes = kPeerBytes + peer.field_bytes;
  count_ = comes ? count_ + peer.count() : count_ - peer.count();
  bytes_ = comes ? bytes_ + bytes : bytes_ - bytes;
}

void WaitingChanges::Peer::AddField(std::string field, absl::Time at) {
  const size_t bytes = kFieldBytes + field.size();
  const auto [known, is_new] = fields.try_emplace(std::move(field), at);
  if (is_new) field_bytes += bytes;
  known->second = std::max(known->second, at);
}

void WaitingChanges::Peer::ForgetFields() {
  fields.clear();
  field_bytes = 0;
}

}  // namespace p2p::tracker

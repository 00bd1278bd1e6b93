// What became of the units that were asked for.
#include <algorithm>
#include <utility>

#include "absl/types/optional.h"
#include "daemon/swarm/swarm_impl.h"

namespace p2p::swarm {

void Swarm::Impl::OnProgress(Link& link, ByteCount bytes, absl::Time now) {
  link.OnProgress(bytes, now);
  if (link.snubbed && link.last_life == now) SetSnubbed(link, false);
}

bool Swarm::Impl::OnReceived(Link& link, UnitGrid::Units units, absl::Time now) {
  bool any = false;
  for (uint32_t unit = units.first; unit < units.end(); ++unit) {
    any = OnReceived(link, unit, now) || any;
  }
  return any;
}

bool Swarm::Impl::OnReceived(Link& link, uint32_t unit, absl::Time now) {
  const auto request = link.requests.find(unit);
  if (request == link.requests.end()) return false;
  const bool held = !request->second.cancelled || request->second.withdrawn;
  link.OnUnit(unit, now);
  if (link.snubbed) SetSnubbed(link, false);
  if (held) RemoveHolder(unit, &link);
  if (IsHere(unit)) return false;
  Asked& entry = asked[unit];
  if (entry.checking) return false;
  entry.checking = true;
  entry.from_link = link.id;
  entry.from = link.traits;
  ++link.checking;
  CancelHolders(unit);
  Refresh(unit);
  return true;
}

void Swarm::Impl::OnRejected(Link& link, uint32_t unit, absl::Time now) {
  const auto found = link.requests.find(unit);
  if (found == link.requests.end()) return;
  const Request request = found->second;
  link.EndRequest(unit, now);
  if (link.snubbed && link.requests.empty()) SetSnubbed(link, false);
  if (request.withdrawn) {
    link.OnWithdrawn(unit, now);
  } else if (request.cancelled) {
    return;
  } else {
    link.OnRefused(unit, now);
  }
  RemoveHolder(unit, &link);
}

void Swarm::Impl::OnVerified(LinkId id, UnitGrid::Units units) {
  for (uint32_t unit = units.first; unit < units.end(); ++unit) {
    const auto it = asked.find(unit);
    if (it != asked.end()) {
      if (it->second.checking && it->second.from_link == id) Prove(id, it->second.from);
      CancelHolders(unit);
    }
    SetHere(unit, true);
    EndCheck(id, unit);
  }
}

void Swarm::Impl::Prove(LinkId id, const LinkTraits& traits) {
  if (traits.accepted) {
    if (Link* link = Find(id)) link->proven = link->was_proven = true;
    return;
  }
  proven_peers.insert(traits.peer);
  for (const auto& link : links) {
    if (link->traits.peer == traits.peer) link->proven = true;
  }
}

void Swarm::Impl::OnFailed(LinkId id, UnitGrid::Units units) {
  const Link* link = Find(id);
  absl::optional<LinkTraits> to_blame;
  if (link != nullptr) to_blame = link->traits;
  // The link may be gone by now; it is to blame all the same.
  for (uint32_t unit = units.first; unit < units.end(); ++unit) {
    const auto it = asked.find(unit);
    if (it == asked.end() || !it->second.checking || it->second.from_link != id) continue;
    to_blame = it->second.from;
    EndCheck(id, unit);
  }
  if (to_blame.has_value()) Ban(id, *to_blame);
}

void Swarm::Impl::RemoveHolder(uint32_t unit, Link* link) {
  const auto it = asked.find(unit);
  if (it == asked.end()) return;
  auto& holders = it->second.holders;
  holders.erase(std::remove(holders.begin(), holders.end(), link), holders.end());
  if (holders.empty() && !it->second.checking) asked.erase(it);
  Refresh(unit);
}

void Swarm::Impl::CancelHolders(uint32_t unit) {
  auto& holders = asked[unit].holders;
  for (Link* holder : holders) Cancel(*holder, unit);
  holders.clear();
}

void Swarm::Impl::Cancel(Link& link, uint32_t unit) {
  Request& request = link.requests.at(unit);
  request.withdrawn = false;
  if (std::exchange(request.cancelled, true)) return;
  if (!request.whole_chunk) {
    pending.cancels.push_back({link.id, grid.PartOf(unit)});
    return;
  }
  const uint32_t chunk = grid.ChunkOf(unit);
  const UnitGrid::Units units = grid.Of(chunk);
  for (uint32_t other = units.first; other < units.end(); ++other) {
    // What was here when the chunk was asked for is not awaited.
    if (IsHere(other)) continue;
    const auto asked_too = link.requests.find(other);
    if (asked_too != link.requests.end() && !asked_too->second.cancelled) return;
  }
  pending.cancels.push_back({link.id, ChunkIndex(chunk)});
}

void Swarm::Impl::EndCheck(LinkId id, uint32_t unit) {
  const auto it = asked.find(unit);
  if (it != asked.end()) {
    Asked& entry = it->second;
    if (entry.checking && entry.from_link == id) {
      entry.checking = false;
      if (Link* link = Find(id)) --link->checking;
    }
    if (entry.holders.empty() && !entry.checking) asked.erase(it);
  }
  Refresh(unit);
}

void Swarm::Impl::SetSnubbed(Link& link, bool snubbed) {
  link.snubbed = snubbed;
  if (snubbed) link.window.OnStall();
  for (const auto& [unit, request] : link.requests) {
    if (!request.cancelled || request.withdrawn) Refresh(unit);
  }
}

}  // namespace p2p::swarm

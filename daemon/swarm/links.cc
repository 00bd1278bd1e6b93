// Who has what, and who is there.
#include <algorithm>

#include "daemon/swarm/swarm_impl.h"

namespace p2p::swarm {

void Swarm::Impl::Add(LinkId id, const LinkTraits& traits) {
  if (Find(id) != nullptr) return;
  links.push_back(std::make_unique<Link>(id, traits, unit_count(), grid.unit_bytes()));
  Link& link = *links.back();
  link_by_id[id] = &link;
  link.proven = proven_peers.contains(traits.peer);
  if (banned_peers.contains(traits.peer)) {
    if (traits.accepted) return LeaveAlone(link);
    return Drop(link, "this peer sent wrong bytes before");
  }
  if (traits.original) MakeComplete(link);
}

void Swarm::Impl::Remove(LinkId id) {
  Link* link = Find(id);
  if (link == nullptr) return;
  FreeRequests(*link);
  ForgetHave(*link);
  link_by_id.erase(id);
  links.erase(std::find_if(links.begin(), links.end(),
                           [link](const auto& other) { return other.get() == link; }));
}

bool Swarm::Impl::MayTell(Link& link, uint32_t units) {
  // What names nothing costs something, too.
  const uint64_t cost = std::max(units, 1u);
  if (cost > link.tellings_left) {
    Drop(link, "tells what it has again and again");
    return false;
  }
  link.tellings_left -= cost;
  return true;
}

void Swarm::Impl::AddHave(Link& link, uint32_t unit) {
  if (link.complete || unit >= unit_count()) return;
  if (link.has == nullptr) link.has = std::make_unique<BlockBitmap>(unit_count());
  if (!link.has->Add(unit)) return;
  rarity.Increment(unit);
  if (rarity.IsWanted(unit)) ++link.pickable;
  if (!IsHere(unit)) ++link.useful;
  if (link.has->count() == unit_count()) return MakeComplete(link);
  SpareComplete(link, unit);
}

void Swarm::Impl::AddHaveRange(Link& link, UnitGrid::Units units) {
  link.ForgetRefusals(units.first, units.end());
  if (link.complete || units.count == 0) return;
  if (units.count == unit_count()) {
    MakeComplete(link);
    return;
  }
  for (uint32_t unit = units.first; unit < units.end(); ++unit) AddHave(link, unit);
}

UnitGrid::Units Swarm::Impl::UnitsOfChunks(ChunkIndex first, uint32_t count) const {
  const uint32_t chunks = layout->chunk_count();
  const uint64_t end = std::min<uint64_t>(uint64_t{first.value()} + count, chunks);
  if (first.value() >= end) return {};
  const UnitGrid::Units units = grid.Of(first.value());
  return {units.first, grid.Of(static_cast<uint32_t>(end - 1)).end() - units.first};
}

void Swarm::Impl::RemoveHaveRange(Link& link, UnitGrid::Units units) {
  if (units.count == 0 || (!link.complete && link.has == nullptr)) return;
  uint64_t losses = 0;
  if (link.complete) {
    losses = unit_count();
    MakePartial(link);
  }
  for (uint32_t unit = link.has->FindCommon(units.first, nullptr); unit < units.end();
       unit = link.has->FindCommon(unit + 1, nullptr)) {
    link.has->Remove(unit);
    rarity.Decrement(unit);
    if (rarity.IsWanted(unit)) --link.pickable;
    if (!IsHere(unit)) --link.useful;
    ++losses;
  }
  if (losses > link.losses_left) {
    Drop(link, "withdraws what it offered again and again");
    return;
  }
  link.losses_left -= losses;
}

void Swarm::Impl::MakeComplete(Link& link) {
  ForgetHave(link);
  link.complete = true;
}

void Swarm::Impl::MakePartial(Link& link) {
  link.complete = false;
  link.has = std::make_unique<BlockBitmap>(unit_count());
  link.has->AddAll();
  for (uint32_t unit = 0; unit < unit_count(); ++unit) rarity.Increment(unit);
  link.pickable = rarity.wanted_count();
  link.useful = unit_count() - here.count();
}

void Swarm::Impl::ForgetHave(Link& link) {
  link.complete = false;
  link.pickable = 0;
  link.useful = 0;
  if (link.has == nullptr) return;
  for (uint32_t unit = link.has->FindCommon(0, nullptr); unit < unit_count();
       unit = link.has->FindCommon(unit + 1, nullptr)) {
    rarity.Decrement(unit);
  }
  link.has = nullptr;
}

void Swarm::Impl::FreeRequests(Link& link) {
  const auto requests = std::move(link.requests);
  link.requests.clear();
  link.bytes_in_flight = 0;
  for (const auto& [unit, request] : requests) {
    if (!request.cancelled || request.withdrawn) RemoveHolder(unit, &link);
  }
}

void Swarm::Impl::LeaveAlone(Link& link) {
  link.dropped = true;
  FreeRequests(link);
  ForgetHave(link);
}

void Swarm::Impl::Drop(Link& link, const char* reason) {
  if (link.dropped) return;
  LeaveAlone(link);
  pending.drops.push_back({link.id, reason});
}

void Swarm::Impl::Ban(LinkId id, const LinkTraits& traits) {
  banned_peers.insert(traits.peer);
  if (traits.accepted) lying_networks.insert(traits.network);
  for (const auto& link : links) {
    if (link->traits.peer != traits.peer) continue;
    if (link->id == id || !traits.accepted) {
      Drop(*link, "sent a chunk with wrong bytes");
    } else if (link->was_proven) {
      link->proven = false;  // it may do so again
    } else {
      LeaveAlone(*link);
    }
  }
}

}  // namespace p2p::swarm

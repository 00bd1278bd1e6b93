// Who has what, and who is there.
#include <algorithm>

#include "daemon/swarm/swarm_impl.h"

namespace p2p::swarm {

void Swarm::Impl::Add(LinkId id, const LinkTraits& traits, absl::Time now) {
  if (Find(id) != nullptr) return;
  links.push_back(std::make_unique<Link>(id, traits, unit_count(), grid.unit_bytes()));
  Link& link = *links.back();
  link_by_id[id] = &link;
  link.proven = proven_peers.contains(traits.peer);
  link.changes = ChangesOf(traits.origin, now);
  if (banned_peers.contains(traits.peer)) {
    if (traits.accepted) return LeaveAlone(link);
    return Drop(link, "this peer sent wrong bytes before", /*lied=*/true);
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

double Swarm::Impl::MaxChanges() const {
  return std::max(static_cast<double>(limits::kMaxChangesPerChunk) * unit_count(),
                  static_cast<double>(limits::kMinMaxChanges));
}

Changes* Swarm::Impl::ChangesOf(uint64_t origin, absl::Time now) {
  if (origin == 0) return nullptr;
  const double forgotten_per_second = MaxChanges() / absl::ToDoubleSeconds(limits::kChangesMemory);
  const auto forget = [&](Changes& changes) {
    const absl::Duration passed = std::max(now - changes.updated, absl::ZeroDuration());
    changes.count -=
        absl::ToDoubleSeconds(std::min(passed, limits::kChangesMemory)) * forgotten_per_second;
    changes.count = std::max(changes.count, 0.0);
    changes.updated = std::max(changes.updated, now);
  };
  if (!changes_by_origin.contains(origin) && changes_by_origin.size() >= limits::kMaxOrigins) {
    // Those of links that are there are pointed to.
    absl::flat_hash_set<const Changes*> used;
    for (const auto& link : links) used.insert(link->changes);
    absl::erase_if(changes_by_origin, [&](auto& entry) {
      forget(entry.second);
      return entry.second.count == 0 && !used.contains(&entry.second);
    });
  }
  Changes& changes = changes_by_origin[origin];
  forget(changes);
  return &changes;
}

bool Swarm::Impl::MayTell(Link& link, uint32_t units) {
  // What names nothing costs something, too.
  const uint64_t cost = std::max(units, 1u);
  if (cost > link.tellings_left) {
    Drop(link, "tells what it has again and again");
    return false;
  }
  // Not one that brought what it told of: others of its host may be behind the storm.
  if (link.changes != nullptr && link.changes->count > MaxChanges() && !link.proven) {
    Drop(link, "changes what it has again and again");
    return false;
  }
  link.tellings_left -= cost;
  CountChanges(link, 1);
  return true;
}

void Swarm::Impl::AddHave(Link& link, uint32_t unit) {
  if (link.complete || unit >= unit_count()) return;
  if (link.has == nullptr) link.has = std::make_unique<SparseBitmap>(unit_count());
  if (!link.has->Add(unit)) return;
  CountChanges(link, 1);
  rarity.Increment(unit);
  if (rarity.IsWanted(unit)) ++link.pickable;
  if (!IsHere(unit)) ++link.useful;
  if (link.has->count() == unit_count()) return MakeComplete(link);
  SpareComplete(link, unit);
}

void Swarm::Impl::AddHaveBlock(Link& link, uint32_t block) {
  const uint32_t first = block * SparseBitmap::kBlockBits;
  const uint32_t size = link.has->BlockSize(block);
  link.has->AddRange(first, first + size);
  CountChanges(link, size);
  rarity.IncrementBlock(block);
  link.pickable += rarity.WantedIn(block);
  link.useful += size - here.bits().CountIn(block);
  if (link.has->count() == unit_count()) return MakeComplete(link);
  std::vector<uint32_t> asked_here;
  for (auto it = asked.lower_bound(first); it != asked.end() && it->first - first < size; ++it) {
    asked_here.push_back(it->first);
  }
  for (const uint32_t unit : asked_here) SpareComplete(link, unit);
}

void Swarm::Impl::AddHaveRange(Link& link, UnitGrid::Units units) {
  link.ForgetRefusals(units.first, units.end());
  if (link.complete || units.count == 0) return;
  if (units.count == unit_count()) {
    MakeComplete(link);
    return;
  }
  if (link.has == nullptr) link.has = std::make_unique<SparseBitmap>(unit_count());
  uint32_t unit = link.has->NextGap(units.first);
  while (unit < units.end()) {
    const uint32_t block = unit / SparseBitmap::kBlockBits;
    const uint32_t size = link.has->BlockSize(block);
    if (unit % SparseBitmap::kBlockBits == 0 && units.end() - unit >= size &&
        link.has->CountIn(block) == 0) {
      AddHaveBlock(link, block);
      unit += size;
    } else {
      AddHave(link, unit);
      ++unit;
    }
    if (link.complete) return;
    unit = link.has->NextGap(unit);
  }
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
  uint32_t unit = link.has->NextMember(units.first);
  while (unit < units.end()) {
    const uint32_t block = unit / SparseBitmap::kBlockBits;
    const uint32_t size = link.has->BlockSize(block);
    if (unit % SparseBitmap::kBlockBits == 0 && units.end() - unit >= size &&
        link.has->CountIn(block) == size) {
      link.has->RemoveRange(unit, unit + size);
      rarity.DecrementBlock(block);
      link.pickable -= rarity.WantedIn(block);
      link.useful -= size - here.bits().CountIn(block);
      losses += size;
      unit += size;
    } else {
      link.has->Remove(unit);
      rarity.Decrement(unit);
      if (rarity.IsWanted(unit)) --link.pickable;
      if (!IsHere(unit)) --link.useful;
      ++losses;
      ++unit;
    }
    unit = link.has->NextMember(unit);
  }
  if (link.changes != nullptr) link.changes->count += static_cast<double>(losses);
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
  link.has = std::make_unique<SparseBitmap>(unit_count());
  link.has->AddAll();
  for (uint32_t block = 0; block < link.has->block_count(); ++block) rarity.IncrementBlock(block);
  link.pickable = rarity.wanted_count();
  link.useful = unit_count() - here.count();
}

void Swarm::Impl::ForgetHave(Link& link) {
  link.complete = false;
  link.pickable = 0;
  link.useful = 0;
  if (link.has == nullptr) return;
  const std::unique_ptr<SparseBitmap> had = std::move(link.has);
  for (uint32_t unit = had->NextMember(0); unit < unit_count();) {
    const uint32_t block = unit / SparseBitmap::kBlockBits;
    if (had->CountIn(block) == had->BlockSize(block)) {
      rarity.DecrementBlock(block);
      unit += had->BlockSize(block);
    } else {
      rarity.Decrement(unit);
      ++unit;
    }
    unit = had->NextMember(unit);
  }
  const bool any = std::any_of(links.begin(), links.end(),
                               [](const auto& other) { return other->has != nullptr; });
  if (!any) rarity.ForgetCounts();
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

void Swarm::Impl::Drop(Link& link, const char* reason, bool lied) {
  if (link.dropped) return;
  LeaveAlone(link);
  pending.drops.push_back({link.id, reason, lied});
}

void Swarm::Impl::Ban(LinkId id, const LinkTraits& traits) {
  banned_peers.insert(traits.peer);
  if (traits.accepted) lying_networks.insert(traits.network);
  for (const auto& link : links) {
    if (link->traits.peer != traits.peer) continue;
    if (link->id == id || !traits.accepted) {
      Drop(*link, "sent a chunk with wrong bytes", /*lied=*/true);
    } else if (link->was_proven) {
      link->proven = false;  // it may do so again
    } else {
      LeaveAlone(*link);
    }
  }
}

}  // namespace p2p::swarm

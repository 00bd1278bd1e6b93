// Who has what, and who is there.
#include <algorithm>

#include "daemon/swarm/swarm_impl.h"

namespace p2p::swarm {

void Swarm::Impl::Add(LinkId id, const LinkTraits& traits) {
  if (Find(id) != nullptr) return;
  links.push_back(std::make_unique<Link>(id, traits, chunk_count()));
  Link& link = *links.back();
  link_by_id[id] = &link;
  link.proven = proven_peers.contains(traits.peer);
  if (banned_peers.contains(traits.peer)) {
    Drop(link, "this peer sent wrong bytes before");
    return;
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

void Swarm::Impl::AddHave(Link& link, uint32_t chunk) {
  if (link.complete || chunk >= chunk_count()) return;
  if (link.has == nullptr) link.has = std::make_unique<BlockBitmap>(chunk_count());
  if (!link.has->Add(chunk)) return;
  rarity.Increment(chunk);
  if (rarity.IsWanted(chunk)) ++link.pickable;
  if (!have.Has(ChunkIndex(chunk))) ++link.useful;
  if (link.has->count() == chunk_count()) MakeComplete(link);
}

void Swarm::Impl::AddHaveRange(Link& link, uint32_t first, uint64_t end) {
  end = std::min<uint64_t>(end, chunk_count());
  link.ForgetRefusals(first, end);
  if (link.complete || first >= end) return;
  if (first == 0 && end == chunk_count()) {
    MakeComplete(link);
    return;
  }
  for (uint32_t chunk = first; chunk < end; ++chunk) AddHave(link, chunk);
}

void Swarm::Impl::RemoveHaveRange(Link& link, uint32_t first, uint64_t end) {
  end = std::min<uint64_t>(end, chunk_count());
  if (first >= end || (!link.complete && link.has == nullptr)) return;
  uint64_t losses = 0;
  if (link.complete) {
    losses = chunk_count();
    MakePartial(link);
  }
  for (uint32_t chunk = link.has->FindCommon(first, nullptr); chunk < end;
       chunk = link.has->FindCommon(chunk + 1, nullptr)) {
    link.has->Remove(chunk);
    rarity.Decrement(chunk);
    if (rarity.IsWanted(chunk)) --link.pickable;
    if (!have.Has(ChunkIndex(chunk))) --link.useful;
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
  link.has = std::make_unique<BlockBitmap>(chunk_count());
  link.has->AddAll();
  for (uint32_t chunk = 0; chunk < chunk_count(); ++chunk) rarity.Increment(chunk);
  link.pickable = rarity.wanted_count();
  link.useful = chunk_count() - have.count();
}

void Swarm::Impl::ForgetHave(Link& link) {
  link.complete = false;
  link.pickable = 0;
  link.useful = 0;
  if (link.has == nullptr) return;
  for (uint32_t chunk = link.has->FindCommon(0, nullptr); chunk < chunk_count();
       chunk = link.has->FindCommon(chunk + 1, nullptr)) {
    rarity.Decrement(chunk);
  }
  link.has = nullptr;
}

void Swarm::Impl::FreeRequests(Link& link) {
  const auto requests = std::move(link.requests);
  link.requests.clear();
  link.bytes_in_flight = 0;
  for (const auto& [chunk, request] : requests) {
    if (!request.cancelled) RemoveHolder(chunk, &link);
  }
}

void Swarm::Impl::Drop(Link& link, const char* reason) {
  if (link.dropped) return;
  link.dropped = true;
  FreeRequests(link);
  ForgetHave(link);
  pending.drops.push_back({link.id, reason});
}

void Swarm::Impl::Ban(uint64_t peer) {
  banned_peers.insert(peer);
  for (const auto& link : links) {
    if (link->traits.peer == peer) Drop(*link, "sent a chunk with wrong bytes");
  }
}

}  // namespace p2p::swarm

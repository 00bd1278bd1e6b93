// What became of the chunks that were asked for.
#include <algorithm>

#include "daemon/swarm/swarm_impl.h"

namespace p2p::swarm {

void Swarm::Impl::OnProgress(Link& link, ByteCount bytes, absl::Time now) {
  link.OnProgress(bytes, now);
  if (link.snubbed && link.last_life == now) SetSnubbed(link, false);
}

bool Swarm::Impl::OnReceived(Link& link, uint32_t chunk, absl::Time now) {
  const auto request = link.requests.find(chunk);
  if (request == link.requests.end()) return false;
  const bool cancelled = request->second.cancelled;
  link.OnChunk(chunk, now);
  if (link.snubbed) SetSnubbed(link, false);
  if (!cancelled) RemoveHolder(chunk, &link);
  if (have.Has(ChunkIndex(chunk))) return false;
  Asked& entry = asked[chunk];
  if (entry.checking) return false;
  entry.checking = true;
  entry.from_link = link.id;
  entry.from_peer = link.traits.peer;
  ++link.checking;
  CancelHolders(chunk);
  Refresh(chunk);
  return true;
}

void Swarm::Impl::OnRejected(Link& link, uint32_t chunk, absl::Time now) {
  const auto request = link.requests.find(chunk);
  if (request == link.requests.end()) return;
  const bool cancelled = request->second.cancelled;
  link.EndRequest(chunk);
  if (link.snubbed && link.requests.empty()) SetSnubbed(link, false);
  if (cancelled) return;
  link.OnRefused(chunk, now);
  RemoveHolder(chunk, &link);
}

void Swarm::Impl::OnVerified(uint32_t chunk) {
  const auto it = asked.find(chunk);
  if (it != asked.end()) {
    if (it->second.checking) {
      proven_peers.insert(it->second.from_peer);
      for (const auto& link : links) {
        if (link->traits.peer == it->second.from_peer) link->proven = true;
      }
    }
    ReleaseChecked(&it->second);
    CancelHolders(chunk);
    asked.erase(it);
  }
  SetHave(chunk, true);
  Refresh(chunk);
}

void Swarm::Impl::OnFailed(LinkId id, uint32_t chunk) {
  const auto it = asked.find(chunk);
  Link* link = Find(id);
  // The link may be gone by now; its peer is to blame all the same.
  if (it != asked.end() && it->second.checking && it->second.from_link == id) {
    Ban(it->second.from_peer);
  } else if (link != nullptr) {
    Ban(link->traits.peer);
  }
  EndCheck(chunk);
}

void Swarm::Impl::RemoveHolder(uint32_t chunk, Link* link) {
  const auto it = asked.find(chunk);
  if (it == asked.end()) return;
  auto& holders = it->second.holders;
  holders.erase(std::remove(holders.begin(), holders.end(), link), holders.end());
  if (holders.empty() && !it->second.checking) asked.erase(it);
  Refresh(chunk);
}

void Swarm::Impl::CancelHolders(uint32_t chunk) {
  auto& holders = asked[chunk].holders;
  for (Link* holder : holders) {
    holder->requests[chunk].cancelled = true;
    pending.cancels.push_back({holder->id, ChunkIndex(chunk)});
  }
  holders.clear();
}

void Swarm::Impl::EndCheck(uint32_t chunk) {
  const auto it = asked.find(chunk);
  if (it == asked.end()) return;
  ReleaseChecked(&it->second);
  if (it->second.holders.empty()) asked.erase(it);
  Refresh(chunk);
}

void Swarm::Impl::ReleaseChecked(Asked* entry) {
  if (!entry->checking) return;
  entry->checking = false;
  Link* link = Find(entry->from_link);
  if (link != nullptr) --link->checking;
}

void Swarm::Impl::SetSnubbed(Link& link, bool snubbed) {
  link.snubbed = snubbed;
  if (snubbed) link.window.OnStall();
  for (const auto& [chunk, request] : link.requests) {
    if (!request.cancelled) Refresh(chunk);
  }
}

}  // namespace p2p::swarm

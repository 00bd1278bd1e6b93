// What to ask of whom.
#include <algorithm>
#include <utility>

#include "core/base/limits.h"
#include "daemon/swarm/swarm_impl.h"

namespace p2p::swarm {

Commands Swarm::Impl::Decide(absl::Time now) {
  last_now = now;
  crowded = false;
  for (const auto& link : links) {
    link->ExpireRefusals(now);
    if (now >= link->SnubTime()) SetSnubbed(*link, true);
    if (!link->complete && !link->dropped) crowded = true;
  }
  AskAll(now);
  const bool all_asked = rarity.wanted_count() == 0 && !asked.empty();
  for (const auto& link : links) {
    if (now < link->next_relief || !MayRelieve(*link)) continue;
    if (all_asked && link->requests.empty()) Duplicate(*link, now);
    Relieve(*link, now);
  }
  return std::exchange(pending, {});
}

absl::Time Swarm::Impl::NextWake() const {
  if (!pending.cancels.empty() || !pending.drops.empty()) return absl::InfinitePast();
  absl::Time wake = absl::InfiniteFuture();
  for (const auto& link : links) {
    wake = std::min({wake, link->SnubTime(), link->first_expiry});
    if (!asked.empty() && MayRelieve(*link)) wake = std::min(wake, link->next_relief);
  }
  return wake;
}

bool Swarm::Impl::CanTake(const Link& link) const {
  const uint32_t pickable = link.complete ? rarity.wanted_count() : link.pickable;
  return pickable > 0 && !link.dropped && link.HasRoom(crowded) &&
         link.refused.size() < limits::kMaxRejectedChunks && !WaitsForProbation(link);
}

bool Swarm::Impl::WaitsForProbation(const Link& link) const {
  if (link.proven || !link.traits.accepted) return false;
  const bool by_network = lying_networks.contains(link.traits.network);
  return std::any_of(links.begin(), links.end(), [&](const auto& other) {
    if (other.get() == &link || other->proven || !other->traits.accepted) return false;
    const bool shares = by_network ? other->traits.network == link.traits.network
                                   : other->traits.peer == link.traits.peer;
    // One that stalls holds up nobody.
    return shares && (other->checking > 0 || (!other->requests.empty() && !other->snubbed));
  });
}

void Swarm::Impl::AskAll(absl::Time now) {
  uint32_t takers = 0;
  for (const auto& link : links) takers += CanTake(*link) ? 1 : 0;
  if (takers == 0) return;
  // No link takes what the others could fetch at the same time.
  const uint32_t share = std::max(1u, (rarity.wanted_count() + takers - 1) / takers);
  ++turn;
  for (size_t i = 0; i < links.size(); ++i) {
    Link& link = *links[(turn + i) % links.size()];
    if (CanTake(link)) Fill(link, share, now);
  }
}

void Swarm::Impl::Fill(Link& link, uint32_t most_units, absl::Time now) {
  while (most_units > 0) {
    const Run run = PickRun(link, most_units);
    if (run.count == 0) return;
    Ask(link, run, now);
    most_units -= std::min(most_units, run.count);
  }
}

void Swarm::Impl::Ask(Link& link, const Run& run, absl::Time now) {
  for (uint32_t unit = run.first; unit < run.first + run.count; ++unit) {
    Await(link, unit, now).whole_chunk = run.whole_chunks;
  }
  link.run_next = run.first + run.count;
  link.run_bytes_left -= std::min(link.run_bytes_left, run.bytes);
  if (link.traits.original) original_next = link.run_next;
  Say(link, run);
}

Request& Swarm::Impl::Await(Link& link, uint32_t unit, absl::Time now) {
  Request& request = link.AddRequest(unit, grid.Length(unit), now);
  asked[unit].holders.push_back(&link);
  Refresh(unit);
  return request;
}

void Swarm::Impl::Say(const Link& link, const Run& run) {
  for (uint32_t unit = run.first; unit < run.first + run.count;) {
    const ChunkPart part = run.whole_chunks ? ChunkIndex(grid.ChunkOf(unit)) : grid.PartOf(unit);
    unit += part.whole() ? grid.Of(part.chunk.value()).count : 1;
    if (!part.whole()) {
      pending.leaf_requests.push_back({link.id, part});
      continue;
    }
    auto& requests = pending.requests;
    if (!requests.empty() && requests.back().link == link.id && !link.traits.original &&
        requests.back().first.value() + requests.back().count == part.chunk.value()) {
      ++requests.back().count;
    } else {
      requests.push_back({link.id, part.chunk, 1});
    }
  }
}

}  // namespace p2p::swarm

// What waits at one link and could be had of another: withdrawn from those that have everything,
// moved from the busy to the idle, and asked for twice when nothing else is left.
#include <algorithm>
#include <utility>

#include "core/base/limits.h"
#include "daemon/swarm/swarm_impl.h"

namespace p2p::swarm {
namespace {

// How often a link that has nothing left to ask for looks for what others are late with.
constexpr absl::Duration kReliefInterval = absl::Milliseconds(100);
// It must win clearly: the other side may have begun to send.
constexpr absl::Duration kReliefMargin = absl::Milliseconds(50);
// What is looked through each time.
constexpr int kMostLookedAt = 512;

}  // namespace

void Swarm::Impl::SpareComplete(const Link& link, uint32_t unit) {
  if (asked.empty() || IsHere(unit)) return;
  const auto it = asked.find(unit);
  if (it == asked.end() || it->second.checking || it->second.holders.size() != 1) return;
  Link& holder = *it->second.holders.front();
  if (!holder.complete || holder.traits.original) return;
  const Request& request = holder.requests.at(unit);
  if (request.cancelled) return;
  UnitGrid::Units units{unit, 1};
  if (request.whole_chunk) units = grid.Of(grid.ChunkOf(unit));
  for (uint32_t other = units.first; other < units.end(); ++other) {
    if (!link.Has(other)) return;
  }
  Withdraw(holder, units);
}

void Swarm::Impl::Withdraw(Link& holder, UnitGrid::Units units) {
  for (uint32_t unit = units.first; unit < units.end(); ++unit) {
    const auto request = holder.requests.find(unit);
    if (request == holder.requests.end() || request->second.cancelled) continue;
    Cancel(holder, unit);
    request->second.withdrawn = true;
  }
}

bool Swarm::Impl::MayRelieve(const Link& link) const {
  const uint32_t useful = link.complete ? unit_count() - here.count() : link.useful;
  const uint32_t pickable = link.complete ? rarity.wanted_count() : link.pickable;
  if (useful == 0 || link.dropped || link.snubbed || link.OnProbation()) return false;
  if (link.refused.size() >= limits::kMaxRejectedChunks || WaitsForProbation(link)) return false;
  // With what may be asked for there is nothing to take over.
  if (pickable > 0) return link.requests.empty() && rarity.wanted_count() == 0;
  return link.requests.empty() || (link.proven && !link.traits.original &&
                                   link.bytes_in_flight < link.WindowBytes(crowded) / 4);
}

void Swarm::Impl::Relieve(Link& link, absl::Time now) {
  link.next_relief = now + kReliefInterval;
  if (!crowded || !link.proven || link.traits.original) return;
  struct Late {
    absl::Duration left;
    uint32_t unit;
    Link* holder;
  };
  std::vector<Late> late;
  int looked_at = 0;
  auto from = asked.lower_bound(static_cast<uint32_t>(random() % unit_count()));
  for (size_t i = 0; i < asked.size() && looked_at < kMostLookedAt; ++i, ++from, ++looked_at) {
    if (from == asked.end()) from = asked.begin();
    const uint32_t unit = from->first;
    Link* holder = OnlyHolder(from->second);
    if (holder == nullptr || holder == &link || from->second.checking) continue;
    if (!link.Has(unit) || !link.MayBeAsked(unit)) continue;
    const Request& request = holder->requests.at(unit);
    if (request.cancelled || (request.whole_chunk && grid.divides())) continue;
    // Cancels are said before requests: one of what is only now asked for would be lost.
    if (request.asked == now) continue;
    const absl::Duration left = holder->TimeLeft(request, now);
    if (left > 2 * link.TimeFor(request.length) + kReliefMargin) {
      late.push_back({left, unit, holder});
    }
  }
  std::sort(late.begin(), late.end(), [](const Late& a, const Late& b) {
    return a.left != b.left ? a.left > b.left : a.unit < b.unit;
  });
  const uint64_t window = link.WindowBytes(crowded) / 2;
  uint64_t room = window - std::min(window, link.bytes_in_flight);
  for (const Late& one : late) {
    const uint32_t length = grid.Length(one.unit);
    if (length > room) break;
    room -= length;
    Withdraw(*one.holder, {one.unit, 1});
  }
}

Link* Swarm::Impl::OnlyHolder(const Asked& entry) {
  Link* only = nullptr;
  for (Link* link : entry.holders) {
    if (link->snubbed) continue;
    if (only != nullptr) return nullptr;
    only = link;
  }
  return only;
}

void Swarm::Impl::Duplicate(Link& link, absl::Time now) {
  uint32_t latest = unit_count();
  absl::Duration longest = absl::ZeroDuration();
  for (const auto& [unit, entry] : asked) {
    const Link* holder = OnlyHolder(entry);
    if (holder == nullptr || !link.Has(unit) || !link.MayBeAsked(unit)) continue;
    if (holder->requests.at(unit).cancelled) continue;
    const absl::Duration left = holder->TimeLeft(holder->requests.at(unit), now);
    if (left <= longest || left <= 2 * link.TimeFor(grid.Length(unit)) + kReliefMargin) continue;
    latest = unit;
    longest = left;
  }
  if (latest == unit_count()) return;
  Run run;
  run.first = latest;
  run.count = 1;
  run.bytes = grid.Length(latest);
  if (!link.traits.leaves) {
    const UnitGrid::Units units = grid.Of(grid.ChunkOf(latest));
    if (units.count > 1) {
      // Asked for with its chunk, as it knows nothing else.
      for (uint32_t unit = units.first; unit < units.end(); ++unit) {
        if (link.requests.contains(unit)) return;
      }
      run = {units.first, units.count, layout->ChunkLength(ChunkIndex(grid.ChunkOf(latest))), true};
    }
  }
  Ask(link, run, now);
}

}  // namespace p2p::swarm

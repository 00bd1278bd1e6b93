// Which unit to ask of a link next. Of one that has everything: the rarest, ties at random, and on
// with its neighbours. Of others: first what completes chunks that are here in part, so that few
// are in pieces when the process ends, then the rarest.
#include <algorithm>

#include "core/base/limits.h"
#include "daemon/swarm/swarm_impl.h"

namespace p2p::swarm {
namespace {

// While nobody else fetches the content, a run starts at a random chunk and goes on with its
// neighbours for so long: few requests and sequential reads at the other side, while links still
// work on different places.
constexpr uint64_t kRunBytes = 16 << 20;
// A link that brings a chunk in this time or less is asked for whole ones: passing on parts would
// save no more than that at each hop, and costs a message and a proof for each.
constexpr double kQuickChunkSeconds = 0.004;
// Tries for a choice that is even over all candidates, before one that favours those behind a gap.
constexpr int kEvenTries = 16;
// Chunks here in part that are looked through for each choice.
constexpr int kMostBegun = 64;

}  // namespace

bool Swarm::Impl::TakesWholeChunks(const Link& link) const {
  if (!grid.divides() || !link.traits.leaves) return true;
  return !crowded || link.window.busy_rate() * kQuickChunkSeconds >= limits::kChunkBytes;
}

bool Swarm::Impl::IsFree(const Link& link, uint32_t unit) const {
  return rarity.IsWanted(unit) && link.Has(unit) && link.MayBeAsked(unit);
}

bool Swarm::Impl::ChunkIsFree(const Link& link, UnitGrid::Units units) const {
  for (uint32_t unit = units.first; unit < units.end(); ++unit) {
    if (!IsFree(link, unit)) return false;
  }
  return true;
}

Swarm::Impl::Run Swarm::Impl::PickRun(Link& link, uint32_t most_units) {
  const uint64_t window = link.WindowBytes(crowded);
  const uint64_t budget = window > link.bytes_in_flight ? window - link.bytes_in_flight : 0;
  const size_t requested = std::min<size_t>(link.requests.size(), limits::kMaxRequestedChunks);
  most_units = std::min<uint32_t>(most_units, limits::kMaxRequestedChunks - requested);
  if (budget == 0 || most_units == 0) return Run();
  uint32_t first = link.complete ? unit_count() : FindBegun(link);
  if (first == unit_count()) first = FindRarest(link);
  if (first == unit_count()) return Run();
  const UnitGrid::Units units = grid.Of(grid.ChunkOf(first));
  if (units.count > 1 && TakesWholeChunks(link)) {
    // Where some of the chunk is here or asked elsewhere, only a link that knows no leaves is asked
    // for all of it.
    if (ChunkIsFree(link, units) || !link.traits.leaves) {
      return ExtendByChunks(link, units.first, budget, most_units);
    }
  }
  return ExtendByUnits(link, first, budget, most_units);
}

Swarm::Impl::Run Swarm::Impl::ExtendByUnits(const Link& link, uint32_t first, uint64_t budget,
                                            uint32_t most_units) const {
  Run run;
  run.first = first;
  // A chunk's parts are asked for one chunk at a time: the next one is a new choice.
  const UnitGrid::Units units = grid.Of(grid.ChunkOf(first));
  const uint32_t end = units.count > 1 ? units.end() : crowded ? first + 1 : unit_count();
  const uint32_t level = rarity.LevelOfUnit(first);
  for (uint32_t unit = first; unit < end && run.count < most_units; ++unit) {
    if (!IsFree(link, unit) || rarity.LevelOfUnit(unit) != level) break;
    // Behind chunks of one unit, one of several is a choice between its parts and the whole.
    if (units.count == 1 && grid.divides() && grid.Of(grid.ChunkOf(unit)).count > 1) break;
    const uint32_t length = grid.Length(unit);
    // A unit may be larger than the whole window; then it goes alone.
    const bool alone = link.requests.empty() && run.count == 0;
    if (!alone && run.bytes + length > budget) break;
    ++run.count;
    run.bytes += length;
  }
  return run;
}

Swarm::Impl::Run Swarm::Impl::ExtendByChunks(const Link& link, uint32_t first, uint64_t budget,
                                             uint32_t most_units) const {
  Run run;
  run.first = first;
  run.whole_chunks = true;
  uint32_t chunk = grid.ChunkOf(first);
  while (chunk < layout->chunk_count() && run.count < most_units) {
    const UnitGrid::Units units = grid.Of(chunk);
    if (run.count > 0 && !ChunkIsFree(link, units)) break;
    const uint32_t length = layout->ChunkLength(ChunkIndex(chunk));
    const bool alone = link.requests.empty() && run.count == 0;
    if (!alone && run.bytes + length > budget) break;
    run.count += units.count;
    run.bytes += length;
    ++chunk;
    if (crowded) break;
  }
  return run;
}

uint32_t Swarm::Impl::FindBegun(const Link& link) const {
  if (link.pickable == 0) return unit_count();
  int left = kMostBegun;
  for (auto chunk = begun.begin(); chunk != begun.end() && left > 0; ++chunk, --left) {
    const UnitGrid::Units units = grid.Of(*chunk);
    for (uint32_t unit = units.first; unit < units.end(); ++unit) {
      if (IsFree(link, unit)) return unit;
    }
  }
  return unit_count();
}

uint32_t Swarm::Impl::FindRarest(Link& link) {
  // What a link has counts at least that link: it has nothing at level 0.
  for (uint32_t i = link.complete ? 0 : 1; i < rarity.level_count(); ++i) {
    const uint32_t found = FindInLevel(link, rarity.level(i));
    if (found < unit_count()) return found;
  }
  return unit_count();
}

uint32_t Swarm::Impl::FindInLevel(Link& link, const SparseBitmap& level) {
  if (level.count() == 0) return unit_count();
  if (link.traits.original) {
    const uint32_t found = Scan(link, level, original_next, unit_count());
    return found < unit_count() ? found : Scan(link, level, 0, original_next);
  }
  const uint32_t next = link.run_next;
  const bool same_chunk =
      next > 0 && next < unit_count() && grid.ChunkOf(next) == grid.ChunkOf(next - 1);
  if ((same_chunk || (!crowded && link.run_bytes_left > 0)) && level.Has(next) && link.Has(next) &&
      link.MayBeAsked(next)) {
    return next;
  }
  uint32_t found = FindAnywhere(link, level);
  if (found == unit_count()) return found;
  // From the first of a chunk's parts that may be asked for.
  const uint32_t begin = grid.Of(grid.ChunkOf(found)).first;
  while (found > begin && level.Has(found - 1) && link.Has(found - 1) &&
         link.MayBeAsked(found - 1)) {
    --found;
  }
  link.run_next = found;
  link.run_bytes_left = kRunBytes;
  return found;
}

uint32_t Swarm::Impl::FindAnywhere(const Link& link, const SparseBitmap& level) {
  uint32_t start = 0;
  for (int i = 0; i < kEvenTries; ++i) {
    start = static_cast<uint32_t>(random() % unit_count());
    if (!crowded) break;
    if (level.Has(start) && link.Has(start) && link.MayBeAsked(start)) return start;
  }
  const uint32_t found = Scan(link, level, start, unit_count());
  return found < unit_count() ? found : Scan(link, level, 0, start);
}

uint32_t Swarm::Impl::Scan(const Link& link, const SparseBitmap& level, uint32_t from,
                           uint32_t end) const {
  uint32_t unit = level.FindCommon(from, link.has.get());
  while (unit < end && !link.MayBeAsked(unit)) {
    unit = level.FindCommon(unit + 1, link.has.get());
  }
  return unit < end ? unit : unit_count();
}

}  // namespace p2p::swarm

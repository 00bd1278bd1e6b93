// What to ask of whom: rarest first, ties at random, neighbours together.
#include <algorithm>
#include <utility>

#include "core/base/limits.h"
#include "daemon/swarm/swarm_impl.h"

namespace p2p::swarm {
namespace {

// A run starts at a random chunk and goes on with its neighbours for so long: few requests and
// sequential reads at the other side, while links still work on different places.
constexpr uint64_t kRunBytes = 16 << 20;
// How often a link that has nothing left to ask for looks for a chunk that another one is late
// with.
constexpr absl::Duration kDuplicateInterval = absl::Milliseconds(250);
// A duplicate must win clearly: it costs a chunk's worth of traffic when it does not.
constexpr absl::Duration kDuplicateMargin = absl::Milliseconds(50);

}  // namespace

Commands Swarm::Impl::Decide(absl::Time now) {
  last_now = now;
  for (const auto& link : links) {
    link->ExpireRefusals(now);
    if (now >= link->SnubTime()) SetSnubbed(*link, true);
  }
  AskAll(now);
  if (rarity.wanted_count() == 0 && !asked.empty()) {
    for (const auto& link : links) {
      if (MayDuplicate(*link) && now >= link->next_duplicate) Duplicate(*link, now);
    }
  }
  return std::exchange(pending, {});
}

absl::Time Swarm::Impl::NextWake() const {
  if (!pending.cancels.empty() || !pending.drops.empty()) return absl::InfinitePast();
  const bool endgame = rarity.wanted_count() == 0 && !asked.empty();
  absl::Time wake = absl::InfiniteFuture();
  for (const auto& link : links) {
    wake = std::min({wake, link->SnubTime(), link->first_expiry});
    if (endgame && MayDuplicate(*link)) wake = std::min(wake, link->next_duplicate);
  }
  return wake;
}

bool Swarm::Impl::CanTake(const Link& link) const {
  const uint32_t pickable = link.complete ? rarity.wanted_count() : link.pickable;
  return pickable > 0 && !link.dropped && link.HasRoom() &&
         link.refused.size() < limits::kMaxRejectedChunks;
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

void Swarm::Impl::Fill(Link& link, uint32_t most_chunks, absl::Time now) {
  while (most_chunks > 0) {
    const Run run = PickRun(link, most_chunks);
    if (run.count == 0) return;
    Ask(link, run, now);
    most_chunks -= run.count;
  }
}

Swarm::Impl::Run Swarm::Impl::PickRun(Link& link, uint32_t most_chunks) {
  const uint64_t window = link.WindowBytes();
  const uint64_t budget = window > link.bytes_in_flight ? window - link.bytes_in_flight : 0;
  if (budget == 0) return Run();
  const size_t requested = std::min<size_t>(link.requests.size(), limits::kMaxRequestedChunks);
  most_chunks = std::min<uint32_t>(most_chunks, limits::kMaxRequestedChunks - requested);
  // What a link has counts at least that link: it has nothing at level 0.
  for (uint32_t i = link.complete ? 0 : 1; i < rarity.level_count(); ++i) {
    const BlockBitmap& level = rarity.level(i);
    Run run;
    run.first = FindInLevel(link, level);
    for (uint32_t chunk = run.first; run.count < most_chunks && level.Has(chunk); ++chunk) {
      if (!link.Has(chunk) || !link.MayBeAsked(chunk)) break;
      const uint32_t length = Length(chunk);
      // A chunk may be larger than the whole window; then it goes alone.
      const bool alone = link.requests.empty() && run.count == 0;
      if (!alone && run.bytes + length > budget) break;
      ++run.count;
      run.bytes += length;
    }
    if (run.first < chunk_count()) return run;
  }
  return Run();
}

uint32_t Swarm::Impl::FindInLevel(Link& link, const BlockBitmap& level) {
  if (level.count() == 0) return chunk_count();
  if (link.traits.original) {
    const uint32_t found = Scan(link, level, original_next, chunk_count());
    return found < chunk_count() ? found : Scan(link, level, 0, original_next);
  }
  const uint32_t next = link.run_next;
  if (link.run_bytes_left > 0 && level.Has(next) && link.Has(next) && link.MayBeAsked(next)) {
    return next;
  }
  const uint32_t start = static_cast<uint32_t>(random() % chunk_count());
  uint32_t found = Scan(link, level, start, chunk_count());
  if (found == chunk_count()) found = Scan(link, level, 0, start);
  link.run_next = found;
  link.run_bytes_left = kRunBytes;
  return found;
}

uint32_t Swarm::Impl::Scan(const Link& link, const BlockBitmap& level, uint32_t from,
                           uint32_t end) const {
  uint32_t chunk = level.FindCommon(from, link.has.get());
  while (chunk < end && !link.MayBeAsked(chunk)) {
    chunk = level.FindCommon(chunk + 1, link.has.get());
  }
  return chunk < end ? chunk : chunk_count();
}

void Swarm::Impl::Ask(Link& link, const Run& run, absl::Time now) {
  for (uint32_t chunk = run.first; chunk < run.first + run.count; ++chunk) {
    link.AddRequest(chunk, Length(chunk), now);
    asked[chunk].holders.push_back(&link);
    Refresh(chunk);
  }
  link.run_next = run.first + run.count;
  link.run_bytes_left -= std::min(link.run_bytes_left, run.bytes);
  if (link.traits.original) original_next = link.run_next;
  auto& requests = pending.requests;
  if (!requests.empty() && requests.back().link == link.id && !link.traits.original &&
      requests.back().first.value() + requests.back().count == run.first) {
    requests.back().count += run.count;
  } else {
    requests.push_back({link.id, ChunkIndex(run.first), run.count});
  }
}

bool Swarm::Impl::MayDuplicate(const Link& link) const {
  const uint32_t useful = link.complete ? chunk_count() - have.count() : link.useful;
  return useful > 0 && !link.dropped && link.requests.empty() && !link.OnProbation() &&
         link.refused.size() < limits::kMaxRejectedChunks;
}

const Link* Swarm::Impl::OnlyHolder(const Asked& entry) {
  const Link* only = nullptr;
  for (const Link* link : entry.holders) {
    if (link->snubbed) continue;
    if (only != nullptr) return nullptr;
    only = link;
  }
  return only;
}

void Swarm::Impl::Duplicate(Link& link, absl::Time now) {
  link.next_duplicate = now + kDuplicateInterval;
  uint32_t latest = chunk_count();
  absl::Duration longest = absl::ZeroDuration();
  for (const auto& [chunk, entry] : asked) {
    const Link* holder = OnlyHolder(entry);
    if (holder == nullptr || !link.Has(chunk) || !link.MayBeAsked(chunk)) continue;
    const absl::Duration left = holder->TimeLeft(holder->requests.at(chunk), now);
    if (left <= longest || left <= 2 * link.TimeFor(Length(chunk)) + kDuplicateMargin) continue;
    latest = chunk;
    longest = left;
  }
  if (latest == chunk_count()) return;
  Run run;
  run.first = latest;
  run.count = 1;
  run.bytes = Length(latest);
  Ask(link, run, now);
}

}  // namespace p2p::swarm

#include "daemon/swarm/swarm.h"

#include <algorithm>
#include <utility>

#include "core/base/limits.h"
#include "daemon/swarm/swarm_impl.h"

namespace p2p::swarm {
namespace {

// Up to these sizes a content has so few chunks that the time to pass the last ones on is felt.
constexpr uint64_t kEighthsUpToBytes = 128 << 20;
constexpr uint64_t kQuartersUpToBytes = 1 << 30;
// With so many sources each of the others is as well served as with more, and parts are many: most
// messages would be about them.
constexpr uint16_t kCommonLinks = 3;

}  // namespace

Swarm::Impl::Impl(std::shared_ptr<const content::Layout> layout_in, ChunkSet have_in,
                  uint64_t random_seed, uint32_t unit_leaves, Hashes hashes)
    : layout(std::move(layout_in)),
      grid(layout, unit_leaves),
      have(std::move(have_in)),
      here(grid.unit_count()),
      known(grid.unit_count()),
      rarity(grid.unit_count()),
      random(random_seed) {
  if (hashes == Hashes::kKnown) {
    known.AddAll();
    rarity.SetAllWanted(0, unit_count(), true);
  }
  for (uint32_t chunk = have.NextMember(0); chunk < have.size();) {
    const uint32_t end = have.NextGap(chunk);
    const UnitGrid::Units first = grid.Of(chunk);
    const uint32_t count = grid.Of(end - 1).end() - first.first;
    here.AddRun(ChunkIndex(first.first), count);
    rarity.SetAllWanted(first.first, first.first + count, false);
    bytes_here += layout->RunBytes(ChunkIndex(chunk), end - chunk).value();
    chunk = have.NextMember(end);
  }
}

Link* Swarm::Impl::Find(LinkId id) {
  const auto it = link_by_id.find(id);
  return it == link_by_id.end() ? nullptr : it->second;
}

void Swarm::Impl::Refresh(uint32_t unit) {
  bool wanted = known.Has(ChunkIndex(unit)) && !IsHere(unit);
  const auto it = wanted ? asked.find(unit) : asked.end();
  if (it != asked.end()) {
    const auto& holders = it->second.holders;
    wanted = !it->second.checking && std::all_of(holders.begin(), holders.end(),
                                                 [](const Link* link) { return link->snubbed; });
  }
  if (!rarity.SetWanted(unit, wanted)) return;
  for (const auto& link : links) {
    if (link->has == nullptr || !link->has->Has(unit)) continue;
    link->pickable += wanted ? 1 : -1;
  }
}

void Swarm::Impl::SetHere(uint32_t unit, bool is_here) {
  const bool changed = is_here ? here.Add(ChunkIndex(unit)) : here.Remove(ChunkIndex(unit));
  if (!changed) return;
  const uint32_t length = grid.Length(unit);
  bytes_here += is_here ? uint64_t{length} : -uint64_t{length};
  for (const auto& link : links) {
    if (link->has == nullptr || !link->has->Has(unit)) continue;
    link->useful += is_here ? -1 : 1;
  }
  const uint32_t chunk = grid.ChunkOf(unit);
  const UnitGrid::Units units = grid.Of(chunk);
  uint32_t count = 0;
  for (uint32_t i = units.first; i < units.end(); ++i) count += IsHere(i) ? 1 : 0;
  if (count == units.count) {
    have.Add(ChunkIndex(chunk));
  } else {
    have.Remove(ChunkIndex(chunk));
  }
  if (count > 0 && count < units.count) {
    begun.insert(chunk);
  } else if (!begun.empty()) {
    begun.erase(chunk);
  }
}

uint32_t Swarm::UnitLeavesFor(ByteCount total_bytes) {
  if (total_bytes.value() <= kEighthsUpToBytes) return limits::kLeavesPerChunk / 8;
  if (total_bytes.value() <= kQuartersUpToBytes) return limits::kLeavesPerChunk / 4;
  return limits::kLeavesPerChunk;
}

Swarm::Swarm(std::shared_ptr<const content::Layout> layout, ChunkSet have, uint64_t random_seed,
             uint32_t unit_leaves, Hashes hashes)
    : impl_(std::make_unique<Impl>(std::move(layout), std::move(have), random_seed, unit_leaves,
                                   hashes)) {}
Swarm::~Swarm() = default;

void Swarm::AddLink(LinkId link, const LinkTraits& traits, absl::Time now) {
  impl_->Add(link, traits, now);
}

void Swarm::RemoveLink(LinkId link, absl::Time) { impl_->Remove(link); }

void Swarm::OnHave(LinkId link, ChunkIndex first, uint32_t count) {
  Link* found = impl_->Find(link);
  if (found == nullptr || found->dropped) return;
  const UnitGrid::Units units = impl_->UnitsOfChunks(first, count);
  if (impl_->MayTell(*found, units.count)) impl_->AddHaveRange(*found, units);
}

void Swarm::OnLost(LinkId link, ChunkIndex first, uint32_t count) {
  Link* found = impl_->Find(link);
  if (found == nullptr || found->dropped) return;
  const UnitGrid::Units units = impl_->UnitsOfChunks(first, count);
  if (impl_->MayTell(*found, units.count)) impl_->RemoveHaveRange(*found, units);
}

void Swarm::OnHaveBits(LinkId link, ChunkIndex first, absl::string_view bits) {
  Link* found = impl_->Find(link);
  if (found == nullptr || found->dropped) return;
  for (size_t i = 0; i < bits.size(); ++i) {
    const auto byte = static_cast<uint8_t>(bits[i]);
    const uint64_t base = uint64_t{first.value()} + 8 * i;
    if (base >= impl_->layout->chunk_count()) return;
    for (uint32_t bit = 0; byte != 0 && bit < 8; ++bit) {
      if ((byte & (0x80u >> bit)) == 0) continue;
      const UnitGrid::Units units =
          impl_->UnitsOfChunks(ChunkIndex(static_cast<uint32_t>(base) + bit), 1);
      if (!impl_->MayTell(*found, units.count)) return;
      for (uint32_t unit = units.first; unit < units.end(); ++unit) impl_->AddHave(*found, unit);
    }
  }
}

void Swarm::OnHaveLeaves(LinkId link, const ChunkPart& part) {
  Link* found = impl_->Find(link);
  if (found == nullptr || found->dropped) return;
  const UnitGrid::Units units = impl_->grid.Within(part);
  if (!impl_->MayTell(*found, units.count)) return;
  found->ForgetRefusals(units.first, units.end());
  for (uint32_t unit = units.first; unit < units.end(); ++unit) impl_->AddHave(*found, unit);
}

void Swarm::OnProgress(LinkId link, ByteCount bytes, absl::Time now) {
  Link* found = impl_->Find(link);
  impl_->last_now = std::max(impl_->last_now, now);
  if (found != nullptr) impl_->OnProgress(*found, bytes, now);
}

bool Swarm::OnReceived(LinkId link, const ChunkPart& part, absl::Time now) {
  Link* found = impl_->Find(link);
  return found != nullptr && impl_->OnReceived(*found, impl_->grid.Within(part), now);
}

void Swarm::OnRejected(LinkId link, const ChunkPart& part, absl::Time now) {
  Link* found = impl_->Find(link);
  if (found == nullptr) return;
  const UnitGrid::Units units = impl_->grid.Within(part);
  for (uint32_t unit = units.first; unit < units.end(); ++unit) {
    impl_->OnRejected(*found, unit, now);
  }
}

void Swarm::OnVerified(LinkId link, const ChunkPart& part) {
  impl_->OnVerified(link, impl_->grid.Within(part));
}

void Swarm::OnFailed(LinkId link, const ChunkPart& part) {
  impl_->OnFailed(link, impl_->grid.Within(part));
}

void Swarm::OnNotStored(LinkId link, const ChunkPart& part) {
  const UnitGrid::Units units = impl_->grid.Within(part);
  for (uint32_t unit = units.first; unit < units.end(); ++unit) impl_->EndCheck(link, unit);
}

void Swarm::OnChunkLostHere(ChunkIndex chunk) {
  const UnitGrid::Units units = impl_->grid.Of(chunk.value());
  for (uint32_t unit = units.first; unit < units.end(); ++unit) {
    impl_->SetHere(unit, false);
    impl_->Refresh(unit);
  }
}

void Swarm::SetKnown(ChunkIndex first, uint32_t count, bool known) {
  const UnitGrid::Units units = impl_->UnitsOfChunks(first, count);
  for (uint32_t i = units.first; i < units.end(); ++i) {
    const bool changed =
        known ? impl_->known.Add(ChunkIndex(i)) : impl_->known.Remove(ChunkIndex(i));
    if (changed) impl_->Refresh(i);
  }
}

Commands Swarm::Decide(absl::Time now) { return impl_->Decide(now); }

absl::Time Swarm::NextWake() const { return impl_->NextWake(); }

const ChunkSet& Swarm::have() const { return impl_->have; }

bool Swarm::Has(const ChunkPart& part) const {
  const UnitGrid::Units units = impl_->grid.Within(part);
  for (uint32_t unit = units.first; unit < units.end(); ++unit) {
    if (!impl_->IsHere(unit)) return false;
  }
  return units.count > 0;
}

std::vector<ChunkPart> Swarm::PartsOf(ChunkIndex chunk) const {
  std::vector<ChunkPart> parts;
  const UnitGrid::Units units = impl_->grid.Of(chunk.value());
  for (uint32_t unit = units.first; unit < units.end(); ++unit) {
    if (!impl_->IsHere(unit)) continue;
    const ChunkPart part = impl_->grid.PartOf(unit);
    if (!parts.empty() && parts.back().first_leaf + parts.back().leaf_count == part.first_leaf) {
      parts.back().leaf_count += part.leaf_count;
    } else {
      parts.push_back(part);
    }
  }
  return parts;
}

std::vector<ChunkIndex> Swarm::PartialChunks() const {
  std::vector<ChunkIndex> chunks;
  for (const uint32_t chunk : impl_->begun) chunks.emplace_back(chunk);
  return chunks;
}

ByteCount Swarm::bytes_have() const { return ByteCount(impl_->bytes_here); }

bool Swarm::LinkHas(LinkId link, const ChunkPart& part) const {
  const Link* found = impl_->Find(link);
  if (found == nullptr) return false;
  const UnitGrid::Units units = impl_->grid.Within(part);
  for (uint32_t unit = units.first; unit < units.end(); ++unit) {
    if (!found->Has(unit)) return false;
  }
  return true;
}

bool Swarm::IsCommon(const ChunkPart& part) const {
  const UnitGrid::Units units = impl_->grid.Within(part);
  for (uint32_t unit = units.first; unit < units.end(); ++unit) {
    if (impl_->rarity.CountOf(unit) < kCommonLinks) return false;
  }
  return true;
}

bool Swarm::Complete() const { return impl_->have.All(); }

bool Swarm::IsBanned(uint64_t peer) const { return impl_->banned_peers.contains(peer); }

bool Swarm::IsComplete(LinkId link) const {
  const Link* found = impl_->Find(link);
  return found != nullptr && found->complete;
}

int Swarm::useful_links() const {
  return static_cast<int>(std::count_if(
      impl_->links.begin(), impl_->links.end(),
      [this](const auto& link) { return link->complete ? !impl_->have.All() : link->useful > 0; }));
}

double Swarm::rate_down(LinkId link) const {
  const Link* found = impl_->Find(link);
  return found == nullptr ? 0 : found->meter.Rate(impl_->last_now);
}

}  // namespace p2p::swarm

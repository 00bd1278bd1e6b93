#include "daemon/swarm/swarm.h"

#include <algorithm>
#include <utility>

#include "daemon/swarm/swarm_impl.h"

namespace p2p::swarm {

Swarm::Impl::Impl(std::shared_ptr<const content::Layout> layout_in, ChunkSet have_in,
                  uint64_t random_seed)
    : layout(std::move(layout_in)),
      have(std::move(have_in)),
      known(layout->chunk_count()),
      rarity(layout->chunk_count()),
      random(random_seed) {
  known.AddAll();
  for (uint32_t i = have.NextMember(0); i < have.size(); i = have.NextMember(i + 1)) {
    bytes_have += Length(i);
  }
  for (uint32_t i = have.NextGap(0); i < have.size(); i = have.NextGap(i + 1)) {
    rarity.SetWanted(i, true);
  }
}

Link* Swarm::Impl::Find(LinkId id) {
  const auto it = link_by_id.find(id);
  return it == link_by_id.end() ? nullptr : it->second;
}

void Swarm::Impl::Refresh(uint32_t chunk) {
  bool wanted = known.Has(ChunkIndex(chunk)) && !have.Has(ChunkIndex(chunk));
  const auto it = wanted ? asked.find(chunk) : asked.end();
  if (it != asked.end()) {
    const auto& holders = it->second.holders;
    wanted = !it->second.checking && std::all_of(holders.begin(), holders.end(),
                                                 [](const Link* link) { return link->snubbed; });
  }
  if (!rarity.SetWanted(chunk, wanted)) return;
  for (const auto& link : links) {
    if (link->has == nullptr || !link->has->Has(chunk)) continue;
    link->pickable += wanted ? 1 : -1;
  }
}

void Swarm::Impl::SetHave(uint32_t chunk, bool here) {
  const bool changed = here ? have.Add(ChunkIndex(chunk)) : have.Remove(ChunkIndex(chunk));
  if (!changed) return;
  const uint32_t length = Length(chunk);
  bytes_have += here ? uint64_t{length} : -uint64_t{length};
  for (const auto& link : links) {
    if (link->has == nullptr || !link->has->Has(chunk)) continue;
    link->useful += here ? -1 : 1;
  }
}

Swarm::Swarm(std::shared_ptr<const content::Layout> layout, ChunkSet have, uint64_t random_seed)
    : impl_(std::make_unique<Impl>(std::move(layout), std::move(have), random_seed)) {}
Swarm::~Swarm() = default;

void Swarm::AddLink(LinkId link, const LinkTraits& traits, absl::Time) { impl_->Add(link, traits); }

void Swarm::RemoveLink(LinkId link, absl::Time) { impl_->Remove(link); }

void Swarm::OnHave(LinkId link, ChunkIndex first, uint32_t count) {
  Link* found = impl_->Find(link);
  if (found == nullptr || found->dropped) return;
  impl_->AddHaveRange(*found, first.value(), uint64_t{first.value()} + count);
}

void Swarm::OnLost(LinkId link, ChunkIndex first, uint32_t count) {
  Link* found = impl_->Find(link);
  if (found == nullptr || found->dropped) return;
  impl_->RemoveHaveRange(*found, first.value(), uint64_t{first.value()} + count);
}

void Swarm::OnHaveBits(LinkId link, ChunkIndex first, absl::string_view bits) {
  Link* found = impl_->Find(link);
  if (found == nullptr || found->dropped) return;
  for (size_t i = 0; i < bits.size(); ++i) {
    const auto byte = static_cast<uint8_t>(bits[i]);
    const uint64_t base = uint64_t{first.value()} + 8 * i;
    if (base >= impl_->chunk_count()) return;
    for (uint32_t bit = 0; byte != 0 && bit < 8; ++bit) {
      if ((byte & (0x80u >> bit)) == 0) continue;
      impl_->AddHave(*found, static_cast<uint32_t>(base) + bit);
    }
  }
}

void Swarm::OnProgress(LinkId link, ByteCount bytes, absl::Time now) {
  Link* found = impl_->Find(link);
  impl_->last_now = std::max(impl_->last_now, now);
  if (found != nullptr) impl_->OnProgress(*found, bytes, now);
}

bool Swarm::OnChunkReceived(LinkId link, ChunkIndex chunk, absl::Time now) {
  Link* found = impl_->Find(link);
  return found != nullptr && impl_->OnReceived(*found, chunk.value(), now);
}

void Swarm::OnRejected(LinkId link, ChunkIndex chunk, absl::Time now) {
  Link* found = impl_->Find(link);
  if (found != nullptr) impl_->OnRejected(*found, chunk.value(), now);
}

void Swarm::OnChunkVerified(ChunkIndex chunk) { impl_->OnVerified(chunk.value()); }

void Swarm::OnChunkFailed(LinkId link, ChunkIndex chunk) { impl_->OnFailed(link, chunk.value()); }

void Swarm::OnChunkNotStored(ChunkIndex chunk) { impl_->EndCheck(chunk.value()); }

void Swarm::OnChunkLostHere(ChunkIndex chunk) {
  impl_->SetHave(chunk.value(), false);
  impl_->Refresh(chunk.value());
}

void Swarm::SetKnown(ChunkIndex first, uint32_t count, bool known) {
  const uint64_t end = std::min<uint64_t>(uint64_t{first.value()} + count, impl_->chunk_count());
  for (uint32_t i = first.value(); i < end; ++i) {
    const bool changed =
        known ? impl_->known.Add(ChunkIndex(i)) : impl_->known.Remove(ChunkIndex(i));
    if (changed) impl_->Refresh(i);
  }
}

Commands Swarm::Decide(absl::Time now) { return impl_->Decide(now); }

absl::Time Swarm::NextWake() const { return impl_->NextWake(); }

const ChunkSet& Swarm::have() const { return impl_->have; }

ByteCount Swarm::bytes_have() const { return ByteCount(impl_->bytes_have); }

bool Swarm::Complete() const { return impl_->have.All(); }

bool Swarm::IsBanned(uint64_t peer) const { return impl_->banned_peers.contains(peer); }

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

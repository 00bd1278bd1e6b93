#include "daemon/engine/serving.h"

#include <algorithm>
#include <utility>

#include "core/base/limits.h"

namespace p2p::engine {
bool Serving::OnEvent(Link& link, const session::PeerEvent& event) {
  if (const auto* manifest = absl::get_if<session::ManifestAsked>(&event)) {
    SendManifest(link, manifest->max_hashes);
  } else if (const auto* hashes = absl::get_if<session::HashesAsked>(&event)) {
    SendHashes(link, hashes->file, hashes->first);
  } else if (absl::holds_alternative<session::SubscribeAsked>(event)) {
    link.subscribed = true;
    SendHaveSet(link);
  } else if (const auto* chunk = absl::get_if<session::ServeChunk>(&event)) {
    ServeChunk({link.id(), chunk->part, /*original=*/false});
  } else if (absl::holds_alternative<session::PeersAsked>(event)) {
    link.io->Do([peers = host_->KnownPeers(link)](session::PeerSession& s) { s.SendPeers(peers); });
  } else {
    return false;
  }
  return true;
}

void Serving::SendManifest(Link& link, uint32_t max_hashes) {
  if (content_->manifest == nullptr) {
    link.io->Do([](session::PeerSession& s) { s.RefuseManifest(409, "not known here yet"); });
    return;
  }
  std::shared_ptr<const std::string> info(content_->manifest, &content_->manifest->info());
  link.io->Do([info](session::PeerSession& s) { s.SendManifest(info); });
  if (!content_->hashes->Complete()) return;
  // What a download of moderate size needs next, without another round trip.
  uint32_t left = std::min(max_hashes, limits::kMaxHashesPerMessage);
  for (uint32_t i = 0; i < content_->layout->files().size() && left > 0; ++i) {
    const content::LayoutFile& file = content_->layout->files()[i];
    if (file.chunk_count <= 1) continue;
    if (file.chunk_count > left) break;
    left -= file.chunk_count;
    SendHashes(link, FileIndex(i), 0);
  }
}

void Serving::SendHashes(Link& link, FileIndex file, uint32_t first) {
  absl::StatusOr<content::HashRange> range = absl::NotFoundError("not known here yet");
  if (content_->hashes != nullptr && file.value() < content_->layout->files().size()) {
    range = content_->hashes->Range(file, first);
  }
  if (range.ok()) {
    auto shared = std::make_shared<content::HashRange>(*std::move(range));
    link.io->Do([file, shared](session::PeerSession& s) { s.SendHashes(file, *shared); });
  } else {
    link.io->Do([file, first, why = std::string(range.status().message())](
                    session::PeerSession& s) { s.RefuseHashes(file, first, 404, why); });
  }
}

void Serving::SendHaveSet(Link& link) {
  if (content_->layout == nullptr) return;
  const uint32_t count = content_->layout->chunk_count();
  if (content_->whole) {
    link.io->Do([count](session::PeerSession& s) {
      if (count > 0) s.SendHave(ChunkIndex(0), count);
    });
    return;
  }
  const swarm::Swarm* const swarm = content_->swarm;
  if (swarm == nullptr) return;
  auto bits = std::make_shared<std::string>();
  if (!swarm->have().None()) *bits = swarm->have().ToBytes();
  auto parts = std::make_shared<std::vector<ChunkPart>>();
  for (const ChunkIndex chunk : swarm->PartialChunks()) {
    for (const ChunkPart& part : swarm->PartsOf(chunk)) parts->push_back(part);
  }
  link.io->Do([bits, parts](session::PeerSession& s) {
    for (size_t at = 0; at < bits->size(); at += limits::kMaxHaveBitsBytes) {
      s.SendHaveBits(ChunkIndex(static_cast<uint32_t>(8 * at)),
                     absl::string_view(*bits).substr(at, limits::kMaxHaveBitsBytes));
    }
    for (const ChunkPart& part : *parts) s.SendHaveLeaves(part);
  });
}

}  // namespace p2p::engine

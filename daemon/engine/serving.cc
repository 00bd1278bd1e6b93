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
  // In messages of at most limits::kMaxHaveBitsBytes: nothing is said of what is not here, and all
  // of a part as a run.
  struct Message {
    uint32_t first;
    uint32_t count;  // of a run; 0 for bits
    std::string bits;
  };
  auto messages = std::make_shared<std::vector<Message>>();
  const ChunkSet& have = swarm->have();
  constexpr uint32_t kChunks = 8 * limits::kMaxHaveBitsBytes;
  for (uint32_t at = have.NextMember(0); at < count; at = have.NextMember(at)) {
    const uint32_t begin = at / kChunks * kChunks;
    const uint32_t gap = have.NextGap(begin);
    const uint32_t end = count - begin > kChunks ? begin + kChunks : count;
    if (gap >= end) {
      messages->push_back({begin, gap - begin, ""});
      at = gap;
    } else {
      messages->push_back({begin, 0, have.ToBytes(begin, end)});
      at = end;
    }
  }
  auto parts = std::make_shared<std::vector<ChunkPart>>();
  for (const ChunkIndex chunk : swarm->PartialChunks()) {
    for (const ChunkPart& part : swarm->PartsOf(chunk)) parts->push_back(part);
  }
  link.io->Do([messages, parts](session::PeerSession& s) {
    for (const Message& message : *messages) {
      if (message.count > 0) {
        s.SendHave(ChunkIndex(message.first), message.count);
      } else {
        s.SendHaveBits(ChunkIndex(message.first), message.bits);
      }
    }
    for (const ChunkPart& part : *parts) s.SendHaveLeaves(part);
  });
}

}  // namespace p2p::engine

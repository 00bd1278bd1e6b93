#include "daemon/engine/serving.h"

#include <algorithm>
#include <utility>

#include "core/base/limits.h"
#include "spdlog/spdlog.h"

namespace p2p::engine {
namespace {

constexpr char kDamaged[] = "the file changed since it was shared";

}  // namespace

bool Serving::OnEvent(Link& link, const session::PeerEvent& event) {
  if (const auto* manifest = absl::get_if<session::ManifestAsked>(&event)) {
    SendManifest(link, manifest->max_hashes);
  } else if (const auto* hashes = absl::get_if<session::HashesAsked>(&event)) {
    SendHashes(link, hashes->file, hashes->first);
  } else if (absl::holds_alternative<session::SubscribeAsked>(event)) {
    link.subscribed = true;
    SendHaveSet(link);
  } else if (const auto* chunk = absl::get_if<session::ServeChunk>(&event)) {
    ServeChunk({link.id(), chunk->chunk, /*original=*/false});
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
  if (content_->have == nullptr || content_->have->None()) return;
  auto bits = std::make_shared<std::string>(content_->have->ToBytes());
  link.io->Do([bits](session::PeerSession& s) {
    for (size_t at = 0; at < bits->size(); at += limits::kMaxHaveBitsBytes) {
      s.SendHaveBits(ChunkIndex(static_cast<uint32_t>(8 * at)),
                     absl::string_view(*bits).substr(at, limits::kMaxHaveBitsBytes));
    }
  });
}

void Serving::ServeOriginal(Link& link, FileIndex file, uint64_t chunk_id) {
  const content::LayoutFile& entry = content_->layout->file(file);
  if (chunk_id >= entry.chunk_count) {
    link.io->Do([](session::PeerSession& s) { s.SendOriginalError(416, "no such chunk"); });
    return;
  }
  ServeChunk({link.id(), entry.first_chunk + ChunkIndex(static_cast<uint32_t>(chunk_id)),
              /*original=*/true});
}

void Serving::ServeChunk(const Asked& asked) {
  if (refusing_) return RefuseChunk(asked, 410, kDamaged);
  if (content_->layout == nullptr || asked.chunk.value() >= content_->layout->chunk_count()) {
    return RefuseChunk(asked, 404, "no such chunk");
  }
  if (!content_->Has(asked.chunk)) return RefuseChunk(asked, 409, "not available here yet");
  const FileIndex file = content_->layout->Locate(asked.chunk).file;
  if (suspect_.contains(file)) {
    waiting_.push_back({file, asked});
    return;
  }
  to_prepare_.push_back(asked);
  if (to_prepare_.size() > 1) return;
  runtime_->engine_loop.Post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->PrepareChunks();
  });
}

// One job for each large chunk, one for many small ones.
void Serving::PrepareChunks() {
  const std::vector<Asked> all = std::exchange(to_prepare_, {});
  if (content_->store == nullptr) {  // let go since it was asked for
    for (const Asked& asked : all) RefuseChunk(asked, 409, "not available here yet");
    return;
  }
  for (auto next = all.begin(); next != all.end();) {
    const LinkId link = next->link;
    std::vector<Asked> chunks;
    uint64_t bytes = 0;
    for (; next != all.end() && next->link == link && bytes < limits::kChunkBytes; ++next) {
      bytes += content_->layout->ChunkLength(next->chunk);
      chunks.push_back(*next);
    }
    if (Link* to = links_->Find(link)) Prepare(*to, std::move(chunks));
  }
}

// The slices go straight from the worker to the connection; only failures come back here.
void Serving::Prepare(Link& to, std::vector<Asked> chunks) {
  runtime_->workers->Submit(store::WorkerPool::Priority::kUrgent,
                            [runtime = runtime_, weak = weak_from_this(), store = content_->store,
                             io = to.io, chunks = std::move(chunks)] {
                              std::vector<std::pair<Asked, FileSlice>> ready;
                              for (const Asked& asked : chunks) {
                                absl::StatusOr<FileSlice> slice = store->PrepareToSend(asked.chunk);
                                if (slice.ok()) {
                                  ready.emplace_back(asked, *std::move(slice));
                                  continue;
                                }
                                runtime->engine_loop.Post([weak, asked, status = slice.status()] {
                                  if (const auto self = weak.lock())
                                    self->OnNotPrepared(asked, status);
                                });
                              }
                              if (ready.empty()) return;
                              io->Do([ready = std::move(ready)](session::PeerSession& s) {
                                for (const auto& [asked, slice] : ready) {
                                  if (asked.original) {
                                    s.SendOriginalChunk(slice);
                                  } else {
                                    s.SendChunk(asked.chunk, slice);
                                  }
                                }
                              });
                            });
}

void Serving::OnNotPrepared(const Asked& asked, const absl::Status& status) {
  const bool changed = absl::IsFailedPrecondition(status) || absl::IsNotFound(status) ||
                       absl::IsOutOfRange(status) || absl::IsPermissionDenied(status);
  if (!changed || !content_->whole) {
    spdlog::warn("cannot read chunk {} of {}: {}", asked.chunk.value(), content_->layout->name(),
                 std::string(status.message()));
    return RefuseChunk(asked, absl::IsUnavailable(status) ? 503 : 500,
                       absl::IsUnavailable(status) ? "busy" : "disk error");
  }
  if (refusing_) return RefuseChunk(asked, 410, kDamaged);
  const FileIndex file = content_->layout->Locate(asked.chunk).file;
  waiting_.push_back({file, asked});
  if (suspect_.insert(file).second) host_->OnFileSuspect(file);
}

void Serving::ResumeFile(FileIndex file) {
  suspect_.erase(file);
  for (const Waiting& waiting : std::exchange(waiting_, {})) {
    if (waiting.file == file) {
      ServeChunk(waiting.asked);
    } else {
      waiting_.push_back(waiting);
    }
  }
}

void Serving::Refuse() {
  refusing_ = true;
  suspect_.clear();
  for (const Waiting& waiting : std::exchange(waiting_, {})) {
    RefuseChunk(waiting.asked, 410, kDamaged);
  }
}

void Serving::RefuseChunk(const Asked& asked, int code, const std::string& reason) {
  Link* to = links_->Find(asked.link);
  if (to == nullptr) return;
  to->io->Do([asked, code, reason](session::PeerSession& s) {
    if (asked.original) {
      s.SendOriginalError(code, reason);
    } else {
      s.RefuseChunk(asked.chunk, code, reason);
    }
  });
}

}  // namespace p2p::engine

// Sending chunks, and leaves of them, to those that ask.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/content/merkle.h"
#include "daemon/engine/serving.h"

namespace p2p::engine {
namespace {

constexpr char kDamaged[] = "the file changed since it was shared";
// What lacks a descriptor or memory is tried again: what is being sent gives its own back. The
// other side waits for about as long before it asks somebody else (limits::kSnubTimeout).
constexpr absl::Duration kBusyPause = absl::Milliseconds(20);
constexpr int kMaxBusyTries = 250;

}  // namespace

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
  if (refusing_) return Refuse(asked, 410, kDamaged);
  if (!Exists(asked.part)) return Refuse(asked, 404, "no such chunk, or no such leaves of it");
  if (!content_->Has(asked.part)) return Refuse(asked, 409, "not available here yet");
  const FileIndex file = content_->layout->Locate(asked.part.chunk).file;
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

bool Serving::Exists(const ChunkPart& part) const {
  const content::Layout* const layout = content_->layout.get();
  if (layout == nullptr || part.chunk.value() >= layout->chunk_count()) return false;
  if (part.whole()) return true;
  const content::ChunkPlace place = layout->Locate(part.chunk);
  const uint32_t leaves = (place.length + limits::kLeafBytes - 1) / limits::kLeafBytes;
  const uint32_t width = content::TreeWidth(leaves, layout->file(place.file).length);
  return content::IsProvableRange(part.first_leaf, part.leaf_count, width) &&
         part.first_leaf < leaves;
}

// One job for each large chunk, one for many small ones.
void Serving::PrepareChunks() {
  const std::vector<Asked> all = std::exchange(to_prepare_, {});
  if (content_->store == nullptr) {  // let go since it was asked for
    for (const Asked& asked : all) Refuse(asked, 409, "not available here yet");
    return;
  }
  for (auto next = all.begin(); next != all.end();) {
    const LinkId link = next->link;
    std::vector<ToPrepare> chunks;
    uint64_t bytes = 0;
    for (; next != all.end() && next->link == link && bytes < limits::kChunkBytes; ++next) {
      ToPrepare chunk{*next, {}, {}};
      if (!FindProof(&chunk)) {
        Refuse(*next, 409, "can not be proven here yet");
        continue;
      }
      bytes += content_->layout->PartLength(next->part);
      chunks.push_back(std::move(chunk));
    }
    Link* const to = links_->Find(link);
    if (to == nullptr || chunks.empty()) continue;
    for (const ToPrepare& chunk : chunks) {
      to->served.Add(content_->layout->Locate(chunk.asked.part.chunk).file);
    }
    Prepare(*to, std::move(chunks));
  }
}

bool Serving::FindProof(ToPrepare* chunk) const {
  const ChunkPart& part = chunk->asked.part;
  if (part.whole()) return true;
  absl::StatusOr<std::vector<Hash256>> proof = content_->trees.Proof(part);
  if (proof.ok()) {
    chunk->proof = *std::move(proof);
    return true;
  }
  if (content_->hashes == nullptr || !content_->Has(part.chunk)) return false;
  chunk->tree = content_->trees.TreeAround(part);
  if (chunk->tree.has_value()) return true;
  if (!content_->hashes->Knows(part.chunk)) return false;  // it is still to come
  const Hash256& hash = content_->hashes->Get(part.chunk);
  const content::ChunkPlace place = content_->layout->Locate(part.chunk);
  chunk->tree.emplace(hash, place.length, content_->layout->file(place.file).length);
  chunk->tree_is_new = true;
  return true;
}

absl::Status Serving::MakeProof(store::FileChunkManager* store, ToPrepare* chunk) {
  const ChunkPart& part = chunk->asked.part;
  content::ChunkTree& tree = *chunk->tree;
  if (chunk->tree_is_new) {
    std::vector<uint8_t> bytes(store->layout().ChunkLength(part.chunk));
    P2P_RETURN_IF_ERROR(store->ReadChunk(part.chunk, absl::MakeSpan(bytes)));
    // Other bytes than were verified: the file changed.
    const absl::Status status = tree.AddAll(bytes);
    if (!status.ok()) return absl::FailedPreconditionError(status.message());
  }
  const content::ChunkTree::Leaves group = tree.GroupOf(part.first_leaf);
  if (part.leaf_count >= group.count) {
    P2P_ASSIGN_OR_RETURN(chunk->proof, tree.Proof(part.first_leaf, part.leaf_count));
    return absl::OkStatus();
  }
  std::vector<uint8_t> bytes(store->layout().PartLength({part.chunk, group.first, group.count}));
  P2P_RETURN_IF_ERROR(
      store->ReadPart(part.chunk, group.first * limits::kLeafBytes, absl::MakeSpan(bytes)));
  P2P_ASSIGN_OR_RETURN(chunk->proof, tree.ProofWithin(part.first_leaf, part.leaf_count, bytes));
  return absl::OkStatus();
}

absl::StatusOr<Serving::Prepared> Serving::PrepareOne(store::FileChunkManager* store,
                                                      ToPrepare* chunk) {
  const ChunkPart& part = chunk->asked.part;
  const uint32_t length = store->layout().PartLength(part);
  // Looks whether the file is what it was.
  absl::StatusOr<FileSlice> slice =
      store->PrepareToSend(part.chunk, part.first_leaf * limits::kLeafBytes, length);
  if (!slice.ok()) return slice.status();
  if (chunk->tree.has_value()) P2P_RETURN_IF_ERROR(MakeProof(store, chunk));
  return Prepared{chunk->asked, std::move(chunk->proof), *std::move(slice)};
}

void Serving::Send(session::PeerSession& session, const Prepared& chunk) {
  if (chunk.asked.original) {
    session.SendOriginalChunk(chunk.slice);
  } else if (chunk.asked.part.whole()) {
    session.SendChunk(chunk.asked.part.chunk, chunk.slice);
  } else {
    session.SendLeaves(chunk.asked.part, chunk.proof, chunk.slice);
  }
}

// The slices go straight from the worker to the connection; only failures and new trees come back
// here.
void Serving::Prepare(Link& to, std::vector<ToPrepare> chunks) {
  runtime_->workers->Submit(
      store::WorkerPool::Priority::kUrgent, content_->store->disk(),
      [runtime = runtime_, weak = weak_from_this(), store = content_->store, io = to.io,
       chunks = std::move(chunks)]() mutable {
        std::vector<Prepared> ready;
        for (ToPrepare& chunk : chunks) {
          absl::StatusOr<Prepared> one = PrepareOne(store.get(), &chunk);
          if (!one.ok()) {
            runtime->engine_loop.Post([weak, asked = chunk.asked, status = one.status()] {
              if (const auto self = weak.lock()) self->OnNotPrepared(asked, status);
            });
            continue;
          }
          ready.push_back(*std::move(one));
          if (!chunk.tree_is_new) continue;
          runtime->engine_loop.Post([weak, at = chunk.asked.part.chunk, tree = *chunk.tree] {
            if (const auto self = weak.lock()) self->content_->trees.Put(at, tree);
          });
        }
        if (ready.empty()) return;
        io->Do([ready = std::move(ready)](session::PeerSession& s) {
          for (const Prepared& chunk : ready) Send(s, chunk);
        });
      });
}

void Serving::OnNotPrepared(Asked asked, const absl::Status& status) {
  const bool busy = absl::IsUnavailable(status);
  if (busy && ++asked.tries < kMaxBusyTries) return TryAgainSoon(asked);
  const bool changed = absl::IsFailedPrecondition(status) || absl::IsNotFound(status) ||
                       absl::IsOutOfRange(status) || absl::IsPermissionDenied(status);
  if (!changed || !content_->whole) {
    runtime_->LogReadFault(absl::StrCat("cannot read chunk ", asked.part.chunk.value(), " of ",
                                        content_->layout->name(), ": ", status.message()));
    return Refuse(asked, busy ? 503 : 500, busy ? "busy" : "disk error");
  }
  if (refusing_) return Refuse(asked, 410, kDamaged);
  const FileIndex file = content_->layout->Locate(asked.part.chunk).file;
  waiting_.push_back({file, asked});
  if (suspect_.insert(file).second) host_->OnFileSuspect(file);
}

void Serving::TryAgainSoon(const Asked& asked) {
  busy_.push_back(asked);
  if (busy_.size() > 1) return;
  busy_timer_.Arm(MonotonicNow() + kBusyPause, [this] {
    for (const Asked& again : std::exchange(busy_, {})) ServeChunk(again);
  });
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

void Serving::RefuseAll() {
  refusing_ = true;
  suspect_.clear();
  for (const Waiting& waiting : std::exchange(waiting_, {})) {
    Refuse(waiting.asked, 410, kDamaged);
  }
}

void Serving::Refuse(const Asked& asked, int code, const std::string& reason) {
  Link* to = links_->Find(asked.link);
  if (to == nullptr) return;
  to->io->Do([asked, code, reason](session::PeerSession& s) {
    if (asked.original) {
      s.SendOriginalError(code, reason);
    } else {
      s.Refuse(asked.part, code, reason);
    }
  });
}

}  // namespace p2p::engine

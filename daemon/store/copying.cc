// CopyChunks: a sweep that reads here and writes there.
#include <utility>

#include "core/content/merkle.h"
#include "daemon/store/chunk_sweep.h"
#include "daemon/store/hashing.h"

namespace p2p::store {
namespace {

struct Copy {
  std::shared_ptr<FileChunkManager> from;
  std::shared_ptr<FileChunkManager> to;
  std::shared_ptr<const content::Manifest> manifest;
  std::shared_ptr<const content::ChunkHashes> hashes;
  std::shared_ptr<WorkProgress> progress;
  absl::Status Visit(absl::Span<const ChunkIndex> chunks, absl::Span<uint8_t> buffer,
                     const SweepWork::Visited& visited) {
    const content::Layout& layout = manifest->layout();
    const auto ledger = to->ledger();
    for (const ChunkIndex chunk : chunks) {
      if (progress->cancelled) return absl::CancelledError("cancelled");
      const content::ChunkPlace place = layout.Locate(chunk);
      const absl::Span<uint8_t> data = buffer.first(place.length);
      if (!from->ReadChunk(chunk, data).ok()) continue;
      if (content::ChunkHash(data, layout.file(place.file).length) != hashes->Get(chunk)) continue;
      const uint64_t losses = ledger->losses();
      const absl::Status written = to->WriteChunk(chunk, data);
      if (!written.ok()) return written;  // the fetch that follows says why
      if (ledger->IsThere(chunk, losses)) ledger->Keep(chunk);
      visited(chunk);
    }
    return absl::OkStatus();
  }
};

}  // namespace

void CopyChunks(WorkerPool* pool, std::shared_ptr<FileChunkManager> from,
                std::shared_ptr<FileChunkManager> to,
                std::shared_ptr<const content::Manifest> manifest,
                std::shared_ptr<const content::ChunkHashes> hashes,
                std::shared_ptr<WorkProgress> progress, std::function<void()> done) {
  const auto copy = std::make_shared<Copy>();
  copy->from = std::move(from);
  copy->to = std::move(to);
  copy->manifest = std::move(manifest);
  copy->hashes = std::move(hashes);
  copy->progress = progress;
  const uint32_t chunk_count = copy->manifest->layout().chunk_count();
  SweepWork work;
  work.layout = std::shared_ptr<const content::Layout>(copy->manifest, &copy->manifest->layout());
  work.which = ChunkSet(chunk_count);
  work.which.AddAll();
  work.progress = std::move(progress);
  work.visit = [copy](auto chunks, auto buffer, const auto& visited) {
    return copy->Visit(chunks, buffer, visited);
  };
  const DiskId disk = copy->to->disk();
  work.disk_id = disk;
  work.done = [done = std::move(done)](const absl::Status&) { done(); };
  // What has one reader at a time is the disk that is read.
  pool->SubmitSweep(disk, [copy, pool, work = std::move(work)]() mutable {
    work.disk = copy->from->DiskOfContent();
    StartSweep(pool, std::move(work));
  });
}

}  // namespace p2p::store

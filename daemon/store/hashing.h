// Hashing of whole shares and verification of stored chunks, on all workers. Thread-safe functions.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/chunk_set.h"
#include "core/content/manifest.h"
#include "daemon/store/file_chunk_manager.h"
#include "daemon/store/worker_pool.h"

namespace p2p::store {

struct HashedShare {
  std::shared_ptr<const content::Manifest> manifest;
  std::shared_ptr<const content::ChunkHashes> hashes;  // complete
  std::vector<FileIdentity> identities;                // unchanged over the hashing
};

// Scans and hashes `path`, which leads to `disk`, with all workers of `pool` (bulk priority).
// `done` runs on a worker. A file that changes while it is hashed ends it with Aborted and advice.
// `scanned` runs once the size is known.
void HashShare(FileSystem* files, WorkerPool* pool, DiskId disk, const std::string& path,
               const std::string& name, std::shared_ptr<WorkProgress> progress,
               std::function<void(ByteCount total_bytes)> scanned,
               std::function<void(absl::StatusOr<HashedShare>)> done);

// Hashes the chunks in `which` and tells which are what the manifest says. `done` runs on a worker.
// Unreadable chunks count as wrong, with the first reason in `problem`.
struct VerifiedChunks {
  ChunkSet good;
  absl::Status problem;
};
void VerifyChunks(std::shared_ptr<FileChunkManager> store, WorkerPool* pool,
                  std::shared_ptr<const content::Manifest> manifest,
                  std::shared_ptr<const content::ChunkHashes> hashes, ChunkSet which,
                  std::shared_ptr<WorkProgress> progress, std::function<void(VerifiedChunks)> done);

// Copies the chunks of a whole content into an unfinished download of the same one. What is there
// is kept in the ledger of `to`; what cannot be read, or is not what it was, is left out. `done`
// runs on a worker.
void CopyChunks(WorkerPool* pool, std::shared_ptr<FileChunkManager> from,
                std::shared_ptr<FileChunkManager> to,
                std::shared_ptr<const content::Manifest> manifest,
                std::shared_ptr<const content::ChunkHashes> hashes,
                std::shared_ptr<WorkProgress> progress, std::function<void()> done);

}  // namespace p2p::store

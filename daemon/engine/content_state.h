// What a transfer knows of its content and where it is on disk. Belongs to the engine loop.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "core/base/chunk_part.h"
#include "core/base/ids.h"
#include "core/base/send_tally.h"
#include "core/content/layout.h"
#include "core/content/manifest.h"
#include "daemon/engine/chunk_trees.h"
#include "daemon/store/file_chunk_manager.h"
#include "daemon/swarm/swarm.h"

namespace p2p::engine {

// Chunk hashes while they come: they change, so they are the engine loop's alone and cannot be
// copied into a job. Workers get them once nothing of them changes any more.
class KnownHashes {
 public:
  KnownHashes() = default;
  explicit KnownHashes(content::ChunkHashes hashes)
      : hashes_(std::make_shared<content::ChunkHashes>(std::move(hashes))) {}
  KnownHashes(KnownHashes&&) = default;
  KnownHashes& operator=(KnownHashes&&) = default;

  friend bool operator==(const KnownHashes& hashes, std::nullptr_t) {
    return hashes.hashes_ == nullptr;
  }
  friend bool operator!=(const KnownHashes& hashes, std::nullptr_t) { return !(hashes == nullptr); }
  const content::ChunkHashes& operator*() const { return *hashes_; }
  const content::ChunkHashes* operator->() const { return hashes_.get(); }

  absl::Status Add(FileIndex file, const content::HashRange& range) {
    return hashes_->Complete() ? absl::OkStatus() : hashes_->Add(file, range);
  }
  // nullptr before.
  std::shared_ptr<const content::ChunkHashes> WhenComplete() const {
    return hashes_ != nullptr && hashes_->Complete() ? hashes_ : nullptr;
  }

 private:
  std::shared_ptr<content::ChunkHashes> hashes_;
};

struct ContentState {
  absl::optional<ContentId> id;
  std::shared_ptr<const content::Layout>
      layout;  // known with the manifest; alone for original peers
  std::shared_ptr<const content::Manifest> manifest;  // nullptr until known, and for original peers
  KnownHashes hashes;                                 // with the manifest
  std::shared_ptr<store::FileChunkManager> store;
  // Every chunk is in its final place and verified.
  bool whole = false;
  // While it is downloaded: knows what is verified.
  const swarm::Swarm* swarm = nullptr;
  // For sending chunks in parts.
  ChunkTrees trees;
  // With the layout.
  std::shared_ptr<SendTally> tally;

  // What tells of every chunk whether it is right; the layout comes with it.
  bool AllKnown() const { return manifest != nullptr && hashes.WhenComplete() != nullptr; }
  bool Has(const ChunkPart& part) const {
    return whole ? part.chunk.value() < layout->chunk_count()
                 : swarm != nullptr && swarm->Has(part);
  }
  const std::shared_ptr<SendTally>& Tally() {
    if (tally == nullptr && layout != nullptr) {
      tally = std::make_shared<SendTally>(layout->chunk_count());
    }
    return tally;
  }
};

}  // namespace p2p::engine

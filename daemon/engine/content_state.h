// What a transfer knows of its content and where it is on disk. Belongs to the engine loop.
#pragma once

#include <memory>

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

struct ContentState {
  absl::optional<ContentId> id;
  std::shared_ptr<const content::Layout>
      layout;  // known with the manifest; alone for original peers
  std::shared_ptr<const content::Manifest> manifest;  // nullptr until known, and for original peers
  std::shared_ptr<content::ChunkHashes>
      hashes;  // with the manifest; shared with others only once complete
  std::shared_ptr<store::FileChunkManager> store;
  // Every chunk is in its final place and verified.
  bool whole = false;
  // While it is downloaded: knows what is verified.
  const swarm::Swarm* swarm = nullptr;
  // For sending chunks in parts.
  ChunkTrees trees;
  // With the layout.
  std::shared_ptr<SendTally> tally;

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

// What a transfer knows of its content and where it is on disk. Belongs to the engine loop.
#pragma once

#include <memory>

#include "absl/types/optional.h"
#include "core/base/chunk_set.h"
#include "core/base/ids.h"
#include "core/content/layout.h"
#include "core/content/manifest.h"
#include "daemon/store/file_chunk_manager.h"

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
  // While it is downloaded: what is verified.
  const ChunkSet* have = nullptr;

  bool Has(ChunkIndex chunk) const {
    return whole ? chunk.value() < layout->chunk_count() : have != nullptr && have->Has(chunk);
  }
};

}  // namespace p2p::engine

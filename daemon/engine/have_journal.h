// Commits a download's have-set in batches: first the data is made durable, then the catalog says
// so. Belongs to the engine loop.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/base/chunk_set.h"
#include "core/net/event_loop.h"
#include "daemon/engine/runtime.h"
#include "daemon/store/file_chunk_manager.h"

namespace p2p::engine {

class HaveJournal : public std::enable_shared_from_this<HaveJournal> {
 public:
  // `written`: what is there, checked; `committed`: what the catalog says already. `on_error` runs
  // when a sync or a commit failed.
  HaveJournal(Runtime* runtime, TransferId id, std::shared_ptr<store::FileChunkManager> store,
              ChunkSet written, ChunkSet committed, std::function<void(absl::Status)> on_error);

  // A verified chunk was written; it is committed soon.
  void OnWritten(ChunkIndex chunk, uint32_t bytes);
  void OnLost(ChunkIndex chunk);
  // Commits all of it now; `done` runs with OK once the catalog has it.
  void Flush(std::function<void(absl::Status)> done);

  const ChunkSet& committed() const { return committed_; }

 private:
  void StartWriteBack();
  void Commit();
  void OnCommitted(const ChunkSet& set, const absl::Status& status);

  Runtime* const runtime_;
  const TransferId id_;
  const std::shared_ptr<store::FileChunkManager> store_;
  const std::function<void(absl::Status)> on_error_;
  ChunkSet written_;
  ChunkSet committed_;
  uint64_t dirty_bytes_ = 0;
  uint64_t unstarted_bytes_ = 0;  // written since the last write-back was started
  bool starting_ = false;
  bool dirty_ = false;
  bool committing_ = false;
  std::vector<std::function<void(absl::Status)>> waiting_;
  net::Timer timer_;
};

}  // namespace p2p::engine

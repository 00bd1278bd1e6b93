// Commits a download's have-set in batches: first the data is made durable, then the catalog says
// so. What may be claimed is the store's to say (store::DurableChunks); this only chooses when it
// is asked. Belongs to the engine loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "core/base/chunk_set.h"
#include "core/net/event_loop.h"
#include "daemon/engine/runtime.h"
#include "daemon/store/file_chunk_manager.h"

namespace p2p::engine {

// All run on the engine loop.
class HaveJournalHost {
 public:
  virtual ~HaveJournalHost() = default;
  // The disk did not keep them: they are to be fetched again. Before the error that tells why.
  virtual void OnLostOnDisk(const std::vector<ChunkIndex>& lost) = 0;
  // A sync or a commit failed.
  virtual void OnJournalError(const absl::Status& status) = 0;
};

class HaveJournal : public std::enable_shared_from_this<HaveJournal> {
 public:
  // `store`: an unfinished download; `committed`: what the catalog says of it.
  HaveJournal(Runtime* runtime, TransferId id, std::shared_ptr<store::FileChunkManager> store,
              store::DurableChunks committed, std::weak_ptr<HaveJournalHost> host);
  // Once, after construction. What is there, checked.
  ChunkSet Start();

  // A verified chunk was written; it is committed soon.
  void OnWritten(ChunkIndex chunk, uint32_t bytes);
  // They are not on the disk as they should be.
  void OnBad(const ChunkSet& chunks);
  // Commits all of it now; `done` runs with OK once the catalog has it.
  void Flush(std::function<void(absl::Status)> done);

  // How often something was lost on the disk; see WriteLedger::IsThere().
  bool IsThere(ChunkIndex chunk, uint64_t since) const { return ledger_->IsThere(chunk, since); }
  const store::DurableChunks& committed() const { return committed_; }
  // What the catalog says of files that changed since it began.
  const std::map<FileIndex, store::FileIdentity>& committed_files() const { return files_; }

 private:
  void StartWriteBack();
  void Commit();
  void OnCommitted(const store::DurableChunks& durable, const absl::Status& status);
  void TakeLost();

  Runtime* const runtime_;
  const TransferId id_;
  const std::shared_ptr<store::FileChunkManager> store_;
  const std::shared_ptr<store::WriteLedger> ledger_;
  const std::weak_ptr<HaveJournalHost> host_;
  store::DurableChunks committed_;
  std::map<FileIndex, store::FileIdentity> files_;
  uint64_t dirty_bytes_ = 0;
  uint64_t unstarted_bytes_ = 0;  // written since the last write-back was started
  bool starting_ = false;
  bool dirty_ = false;
  bool committing_ = false;
  std::vector<std::function<void(absl::Status)>> waiting_;
  net::Timer timer_;
};

}  // namespace p2p::engine

// What of an unfinished download was written, and what of that is on the disk. The only maker of
// DurableChunks. Thread-safe.
//
// Linux tells a write-back that failed once and may drop the pages: what is read then is what was
// written, or not, and the next sync finds nothing to do. So a failed sync of a file, as any EIO
// from it, loses every chunk that was written into it since its last good one, and those that are
// being written: they are had again only once they are written again.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/base/chunk_set.h"
#include "core/base/ids.h"
#include "core/content/layout.h"
#include "daemon/store/durable_chunks.h"
#include "daemon/store/file_system.h"

namespace p2p::store {

class WriteLedger {
 public:
  // `identities`: by FileIndex, as the catalog has them; a missing one is not known.
  WriteLedger(std::shared_ptr<const content::Layout> layout, const DurableChunks& claimed,
              std::vector<FileIdentity> identities);

  // Called after each loss, by the thread that met it, before its call returns.
  void SetListener(std::function<void()> listener);

  // How often something was lost: what was begun before the last time is not had.
  uint64_t losses() const { return losses_; }
  // Some bytes of the chunk were written through `handle`.
  void Wrote(ChunkIndex chunk, std::shared_ptr<File> handle);
  // Whether what was written into the chunk since losses() was `since` is still there.
  bool IsThere(ChunkIndex chunk, uint64_t since) const;
  // Every byte of it is written and verified. False: some of it was lost, see TakeLost().
  bool Keep(ChunkIndex chunk);
  // Found in the files, and verified; nobody knows whether it is on the disk.
  void KeepFound(const ChunkSet& chunks);
  // They are not what they should be.
  void Drop(const ChunkSet& chunks);
  ChunkSet kept() const;
  bool HasUnsynced() const;
  // What was lost since it was last asked, in order; chunks that were written in part as well.
  std::vector<ChunkIndex> TakeLost();

  // What has to be synced. A file's handle is the first that wrote to it, which is told of every
  // error since; nullptr where nobody wrote to it, or there are too many to hold theirs.
  struct Unsynced {
    std::map<uint32_t, std::shared_ptr<File>> files;
    std::set<uint32_t> not_held;  // of those that were written to
  };
  // What waits for its sync, for StartWriteBack.
  Unsynced unsynced() const;
  void MarkFound(FileIndex file);
  // It may have been changed, and nothing was written.
  void MarkTouched(FileIndex file);
  // One sync at a time: TakeUnsynced(), then Lost() for each file whose sync failed and SyncedAs()
  // for each other one, then EndSync().
  Unsynced TakeUnsynced();
  // The file as it is after its sync.
  void SyncedAs(FileIndex file, const FileIdentity& identity);
  void EndSync();
  // With the files that changed since it was asked last.
  DurableChunks Durable();
  // Its sync failed, or it gave EIO.
  void Lost(FileIndex file);
  void LostChunk(ChunkIndex chunk);
  bool AllDurable() const;

 private:
  void Lose(ChunkIndex chunk) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Tell();

  const std::shared_ptr<const content::Layout> layout_;
  std::atomic<uint64_t> losses_{0};
  mutable absl::Mutex mutex_;
  std::function<void()> listener_ ABSL_GUARDED_BY(mutex_);
  ChunkSet kept_ ABSL_GUARDED_BY(mutex_);
  ChunkSet durable_ ABSL_GUARDED_BY(mutex_);
  // Of chunks: written since the last sync began; written before it, and not yet known to be on the
  // disk; lost and not yet told.
  std::set<uint32_t> touched_ ABSL_GUARDED_BY(mutex_);
  std::set<uint32_t> syncing_ ABSL_GUARDED_BY(mutex_);
  std::set<uint32_t> lost_ ABSL_GUARDED_BY(mutex_);
  Unsynced unsynced_ ABSL_GUARDED_BY(mutex_);
  std::vector<FileIdentity> identities_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<FileIndex, FileIdentity>> changed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace p2p::store

// The files of an unfinished download below "<target>.part": made when first written, synced
// together. Owned by a FileChunkManager; thread-safe.
//
// What always holds: after Sync() returned OK, everything whose Wrote() came before the call is on
// disk, with the directory entries that lead to it.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/base/chunk_set.h"
#include "core/base/ids.h"
#include "core/content/layout.h"
#include "daemon/store/file_system.h"

namespace p2p::store {

class DirectoryCursor;

class PartFiles {
 public:
  using LayoutPtr = std::shared_ptr<const content::Layout>;

  // AlreadyExists when something has the name already. Leaves nothing behind when it fails.
  static absl::StatusOr<std::shared_ptr<PartFiles>> Create(std::shared_ptr<Directory> parent,
                                                           std::string part_name, LayoutPtr layout);
  // See FileChunkManager::ReopenPart.
  static absl::StatusOr<std::shared_ptr<PartFiles>> Reopen(std::shared_ptr<Directory> parent,
                                                           std::string part_name, LayoutPtr layout,
                                                           ChunkSet* intact);
  // See FileChunkManager::LookAtPart.
  static absl::Status Look(std::shared_ptr<Directory> parent, std::string part_name,
                           LayoutPtr layout, ChunkSet* intact);

  const std::string& part_name() const { return part_name_; }
  const std::shared_ptr<Directory>& parent() const { return parent_; }

  // NotFound when it was not yet made.
  absl::StatusOr<std::unique_ptr<File>> Open(FileIndex file);
  absl::StatusOr<std::unique_ptr<File>> OpenOrMake(FileIndex file);
  // Reserves space for the surroundings of a chunk that is about to be written, once.
  absl::Status Reserve(File* handle, const content::ChunkPlace& place);
  void Wrote(FileIndex file);

  // Lets the disk begin with what was written, so that Sync() finds little left to wait for.
  void StartWriteBack();
  // When it fails, everything written since the last Sync() that did not must be taken as not
  // written; the next Sync() covers only what is written from then on.
  absl::Status Sync();
  // Makes it ready for its final name: empty files, executable bits, sizes checked, everything
  // synced.
  absl::Status Complete();
  // Removes the files of the layout and the directories. FailedPrecondition when others' files are
  // in them.
  absl::Status Remove();
  // Chunks in files that are there and not a hole.
  ChunkSet PossiblyWritten();
  // What the disk still has to give until everything is there: some may be reserved already.
  ByteCount BytesToAllocate();

 private:
  PartFiles(std::shared_ptr<Directory> parent, std::string part_name, LayoutPtr layout);

  std::string NameOf(FileIndex file) const;
  bool Exists(FileIndex file) const;
  void MarkMade(FileIndex file, absl::string_view name);
  void MarkFound(FileIndex file);
  void MarkFoundDirectories();
  absl::Status MakeDirectories(absl::string_view file_name);
  absl::StatusOr<std::unique_ptr<File>> Make(FileIndex file, const std::string& name);
  static absl::StatusOr<std::shared_ptr<PartFiles>> Find(std::shared_ptr<Directory> parent,
                                                         std::string part_name, LayoutPtr layout,
                                                         ChunkSet* intact,
                                                         std::vector<FileIndex>* wrong_size);
  absl::StatusOr<bool> LookAgain(FileIndex file, DirectoryCursor* cursor, ChunkSet* intact);
  absl::Status SyncEach(const std::set<uint32_t>& files, const std::set<std::string>& directories);
  absl::Status CompleteFile(FileIndex file, DirectoryCursor* cursor, bool sync_each);
  absl::Status AddWrittenChunks(FileIndex file, ChunkSet* written);

  const std::shared_ptr<Directory> parent_;
  const std::string part_name_;
  const LayoutPtr layout_;

  // Held over a whole Sync(), so that a second one does not return before the first has synced.
  absl::Mutex sync_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  mutable absl::Mutex mutex_;
  std::vector<bool> exists_ ABSL_GUARDED_BY(mutex_);
  std::set<uint32_t> unsynced_files_ ABSL_GUARDED_BY(mutex_);
  std::set<uint32_t> unstarted_files_ ABSL_GUARDED_BY(mutex_);
  // Names below the parent whose entries changed; "" is the parent itself.
  std::set<std::string> unsynced_directories_ ABSL_GUARDED_BY(mutex_);
  // (file << 32 | step) of what Reserve() did.
  absl::flat_hash_set<uint64_t> reserved_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace p2p::store

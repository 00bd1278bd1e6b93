// The files of an unfinished download below "<target>.part": made when first written, synced
// together. Owned by a FileChunkManager; thread-safe.
//
// What always holds: after Sync() returned OK, everything whose Wrote() came before the call is on
// disk, with the directory entries that lead to it. What a file may have lost is told by ledger().
#pragma once

#include <atomic>
#include <map>
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
#include "daemon/store/durable_chunks.h"
#include "daemon/store/file_system.h"
#include "daemon/store/part_watch.h"
#include "daemon/store/write_ledger.h"

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
                                                           PartClaim* claim);
  // See FileChunkManager::LookAtPart.
  static absl::Status Look(std::shared_ptr<Directory> parent, std::string part_name,
                           LayoutPtr layout, PartClaim* claim);
  // See FileChunkManager::RemovePartAtRest.
  static absl::Status RemoveWritten(Directory* parent, const std::string& part_name,
                                    const content::Layout& layout, const FileIdentity& root,
                                    const std::vector<FileIdentity>& written);

  const std::string& part_name() const { return part_name_; }
  const std::shared_ptr<Directory>& parent() const { return parent_; }
  const std::shared_ptr<WriteLedger>& ledger() const { return ledger_; }
  // What stands under the part's name: device and inode.
  const FileIdentity& root() const { return root_; }

  // NotFound when it was not yet made.
  absl::StatusOr<std::unique_ptr<File>> Open(FileIndex file);
  absl::StatusOr<std::unique_ptr<File>> OpenOrMake(FileIndex file);
  // Before a chunk is written through `handle`. Reserves space for its surroundings, once. Wrote()
  // ends it, unless it fails.
  absl::Status BeginWrite(File* handle, const content::ChunkPlace& place);
  void Wrote(ChunkIndex chunk, std::shared_ptr<File> handle);

  // Lets the disk begin with what was written, so that Sync() finds little left to wait for.
  absl::Status StartWriteBack();
  // What may be claimed. When it fails, the ledger tells what was lost; the next Sync() covers only
  // what is written from then on.
  absl::StatusOr<DurableChunks> Sync();
  // Whether another file has the name of one that was written to, since it was asked last: what is
  // open then is not what is there.
  bool TakeReplaced() { return replaced_.exchange(false); }
  // Makes it ready for its final name: empty files, executable bits, everything synced. Aborted
  // when a file is not as it was left: then it has to be opened anew.
  absl::Status Complete();
  // Aborted when something else has its name.
  absl::Status CheckName() const;
  // What each file was at last.
  std::vector<FileIdentity> left() const;
  // Removes the files of the layout and the directories. FailedPrecondition when others' files are
  // in them, or are there instead; those stay.
  absl::Status Remove();
  // Chunks in files that are there and not a hole.
  ChunkSet PossiblyWritten();
  // What is read from now on comes from the disk, as far as the system does that.
  absl::Status ForgetCached();
  // What the disk still has to give until everything is there: some may be reserved already.
  ByteCount BytesToAllocate();

 private:
  PartFiles(std::shared_ptr<Directory> parent, std::string part_name, LayoutPtr layout,
            const PartClaim& claim);

  std::string NameOf(FileIndex file) const;
  bool Exists(FileIndex file) const;
  void MarkMade(FileIndex file, absl::string_view name);
  void MarkFound(FileIndex file, const FileIdentity& now);
  void MarkFoundDirectories();
  absl::Status MakeDirectories(absl::string_view file_name);
  absl::StatusOr<std::unique_ptr<File>> Make(FileIndex file, const std::string& name);
  absl::Status MakeRoot();
  void NoteRoot(const FileIdentity& identity);
  absl::Status Reserve(File* handle, const content::ChunkPlace& place);
  static absl::StatusOr<std::shared_ptr<PartFiles>> Find(std::shared_ptr<Directory> parent,
                                                         std::string part_name, LayoutPtr layout,
                                                         PartClaim* claim,
                                                         std::vector<FileIndex>* wrong_size);
  absl::StatusOr<bool> LookAgain(FileIndex file, DirectoryCursor* cursor, PartClaim* claim);
  void Compare(FileIndex file, const FileIdentity& now, PartClaim* claim);
  absl::Status SyncAll();
  absl::Status SyncFiles(const WriteLedger::Unsynced& unsynced, bool one_by_one);
  absl::Status SyncFile(FileIndex file, File* handle);
  absl::Status SyncDirectories(const std::set<std::string>& names);
  void LookAfterSync(FileIndex file, File* held, DirectoryCursor* cursor);
  absl::Status CheckAsLeft();
  absl::Status MakeExecutable(bool sync_each);
  absl::Status AddWrittenChunks(FileIndex file, ChunkSet* written);

  const std::shared_ptr<Directory> parent_;
  const std::string part_name_;
  const LayoutPtr layout_;
  const std::shared_ptr<WriteLedger> ledger_;
  PartWatch watch_;
  FileIdentity root_;  // constant once it is made
  std::atomic<bool> replaced_{false};

  // Held over a whole Sync(), so that a second one does not return before the first has synced.
  absl::Mutex sync_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  mutable absl::Mutex mutex_;
  std::vector<bool> exists_ ABSL_GUARDED_BY(mutex_);
  std::set<uint32_t> unstarted_files_ ABSL_GUARDED_BY(mutex_);
  // Names below the parent whose entries changed; "" is the parent itself.
  std::set<std::string> unsynced_directories_ ABSL_GUARDED_BY(mutex_);
  // Files that are not as they were claimed: what they were when they were found so. Claimed with
  // the next Sync(), which comes after somebody looked into them.
  std::map<uint32_t, FileIdentity> found_as_ ABSL_GUARDED_BY(mutex_);
  // (file << 32 | step) of what Reserve() did.
  absl::flat_hash_set<uint64_t> reserved_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace p2p::store

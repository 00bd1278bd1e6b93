// The files of one transfer on disk, as numbered chunks. Made and called on workers; thread-safe.
//
// A share's files stay where they are and are only read; each remembers the identity that it had
// when it was hashed. A download lives in "<target>.part" (a file or a directory) beside its target
// and is renamed when whole. Everything is opened beneath a held directory; open files are kept in
// a small LRU.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/base/buffers.h"
#include "core/base/chunk_set.h"
#include "core/base/ids.h"
#include "core/content/layout.h"
#include "daemon/store/device_type.h"
#include "daemon/store/durable_chunks.h"
#include "daemon/store/file_system.h"
#include "daemon/store/write_ledger.h"

namespace p2p::store {

class DirectoryCursor;
class PartFiles;

class FileChunkManager {
 public:
  // A share or a finished download at `path` (absolute; its last component is the file or
  // directory). `identities` by FileIndex, as they were when the content was verified; a missing
  // one counts as changed. Opens nothing but the parent.
  static absl::StatusOr<std::shared_ptr<FileChunkManager>> OpenWhole(
      FileSystem* files, const std::string& path, std::shared_ptr<const content::Layout> layout,
      std::vector<FileIdentity> identities);

  // Another download, while it runs.
  struct Reservation {
    std::shared_ptr<FileChunkManager> store;  // nullptr: it is not known yet where it goes
    ByteCount bytes_left;
  };
  // What of these will come to the disk that holds `target`, and has no space there yet.
  static ByteCount ReservedBeside(FileSystem* files, const std::string& target,
                                  const std::vector<Reservation>& others);

  // What CreatePart checks, and that no .part is in the way (FailedPrecondition); makes nothing.
  static absl::Status CheckPlace(FileSystem* files, const std::string& target,
                                 const content::Layout& layout, ByteCount reserved);
  // A new download to `target` (absolute). Checks, in this order: nothing stands at `target`
  // (AlreadyExists); the file system has room for it (ResourceExhausted says how much is missing;
  // `reserved` is what other downloads still will write there). Makes the .part, its directories,
  // its files and their sizes.
  static absl::StatusOr<std::shared_ptr<FileChunkManager>> CreatePart(
      FileSystem* files, const std::string& target, std::shared_ptr<const content::Layout> layout,
      ByteCount reserved);

  // A download that an earlier run began. NotFound when its .part is gone. Files in it that are
  // missing or have another size are made anew, and what `claim` says of them is taken out of it.
  // What of it is doubtful is not had before it was looked at: WriteLedger::KeepFound().
  static absl::StatusOr<std::shared_ptr<FileChunkManager>> ReopenPart(
      FileSystem* files, const std::string& target, std::shared_ptr<const content::Layout> layout,
      PartClaim* claim);

  // Only looks for what ReopenPart would find; changes nothing but `claim`. What is not there has
  // to be unclaimed before it is made anew: then it looks as if it were.
  static absl::Status LookAtPart(FileSystem* files, const std::string& target,
                                 std::shared_ptr<const content::Layout> layout, PartClaim* claim);

  // A download that an earlier run renamed but did not get to record as finished: no .part is
  // there, and `target` is, with every file at its size (else NotFound). Also for a target that
  // stood there before. Identities are taken now; nothing is verified: hash all chunks before any
  // of them is claimed.
  static absl::StatusOr<std::shared_ptr<FileChunkManager>> AdoptFinished(
      FileSystem* files, const std::string& target, std::shared_ptr<const content::Layout> layout);

  // Removes the .part of an unfinished download that is not open: what is known to be of it, its
  // PartRoot() and, by FileIndex, its files. A file that is not what was written, or of which
  // nothing is known, stays, and FailedPrecondition names it. In a directory that is the one that
  // was made, nothing needs to be known of a file.
  static absl::Status RemovePartAtRest(FileSystem* files, const std::string& target,
                                       const content::Layout& layout, const FileIdentity& root,
                                       const std::vector<FileIdentity>& written);

  // Whether the .part of an unfinished download to `target` may be looked for: its directory is the
  // one that was its Place(), or it is there. NotFound, with a reason, when another directory
  // stands there, such as an empty mount point, or none. A default `place` is any.
  static absl::Status CheckSameDirectory(FileSystem* files, const std::string& target,
                                         const FileIdentity& place);
  // Whether the directory that holds `target` lets something be made in it.
  static absl::Status CheckWritable(FileSystem* files, const std::string& target);
  // Whether there is nothing at `path`, the place of whole content. False when it cannot be told.
  static bool IsGone(FileSystem* files, const std::string& path);

  ~FileChunkManager();

  // Whether an error is one of the kinds that pass by themselves (disk full) or not.
  static bool IsDiskFull(const absl::Status& status) { return absl::IsResourceExhausted(status); }

  // Reads a whole chunk; `data` has the chunk's length.
  absl::Status ReadChunk(ChunkIndex chunk, absl::Span<uint8_t> data);
  // Reads some bytes of a chunk, at `offset` bytes in it. InvalidArgument when there are none or
  // they go beyond the chunk.
  absl::Status ReadPart(ChunkIndex chunk, uint32_t offset, absl::Span<uint8_t> data);
  absl::Status WriteChunk(ChunkIndex chunk, absl::Span<const uint8_t> data);
  // Writes some bytes of a chunk, at `offset` bytes in it, with WriteChunk's guarantees. Parts of a
  // chunk may come in any order. InvalidArgument, and nothing written, when there are none or they
  // go beyond the chunk.
  absl::Status WritePart(ChunkIndex chunk, uint32_t offset, absl::Span<const uint8_t> data);
  // For sendfile. For whole content the file must still have its identity: FailedPrecondition when
  // it changed, NotFound when it is gone, both meaning that it needs to be hashed again. Brings the
  // range into the page cache.
  absl::StatusOr<FileSlice> PrepareToSend(ChunkIndex chunk);
  // The same for `length` bytes of the chunk, at `offset` bytes in it. Of an unfinished download
  // these must have been written; the rest of the chunk need not be there. InvalidArgument when
  // there are none or they go beyond the chunk.
  absl::StatusOr<FileSlice> PrepareToSend(ChunkIndex chunk, uint32_t offset, uint32_t length);

  // Of an unfinished download: what was written, and what of that was lost. nullptr for whole
  // content.
  std::shared_ptr<WriteLedger> ledger() const;
  // Lets the disk begin with what Sync() will have to wait for.
  absl::Status StartWriteBack();
  // Makes everything durable whose WriteChunk() or WritePart() returned before the call, and says
  // what may be claimed. When it fails, the ledger has what must be written again (a later OK does
  // not cover it).
  absl::StatusOr<DurableChunks> Sync();
  // Before chunks of an unfinished download are hashed that nobody can vouch for: what is read then
  // comes from the disk.
  absl::Status ForgetCached();
  // DataLoss when not all of it is kept and on the disk. Makes empty files, sets executable bits,
  // syncs, gives it its final name without replacing
  // anything, syncs the directory, remembers identities. The manager then is one of whole content.
  // Aborted when a file is not what this daemon wrote: what is there must be looked through, by
  // ReopenPart() or AdoptFinished().
  // May be called again after an error.
  absl::Status Finish();
  // Removes the .part (while unfinished) or, for whole content, the files of the layout and
  // directories left empty. A file that is not what it was is somebody else's work: it is left, and
  // FailedPrecondition names it.
  absl::Status RemoveFiles();

  // Whether each file still is what it was: the indexes of files that changed or are gone.
  std::vector<FileIndex> ChangedFiles();
  // The same for some files.
  std::vector<FileIndex> ChangedAmong(const std::vector<FileIndex>& files);
  // Before a file is hashed again: what it is now, and that it is opened anew (VerifyChunks does it
  // by itself).
  absl::Status NoteIdentity(FileIndex file);
  // After a file was hashed again and found equal. Aborted when it changed since NoteIdentity(),
  // FailedPrecondition when its size is not the layout's.
  absl::Status RefreshIdentity(FileIndex file);
  std::vector<FileIdentity> identities() const;
  // What stands under the name of the .part: its device and inode.
  absl::StatusOr<FileIdentity> PartRoot();
  // What the directory of an unfinished download is known by: its inode, and when it was made as
  // its ctime. (A device has another number after a restart of the machine.)
  absl::StatusOr<FileIdentity> Place();
  // Chunks of an unfinished download that may hold data (SEEK_DATA): what is worth re-hashing after
  // a crash.
  ChunkSet PossiblyWritten();

  bool is_part() const { return is_part_.load(); }
  // Of the directory that holds the content: for WorkerPool::Submit.
  DiskId disk() const { return DiskId(disk_); }
  const content::Layout& layout() const { return *layout_; }
  absl::StatusOr<uint64_t> FreeBytes();
  // Of an unfinished download: what the disk still has to give. Looks at each of its files.
  ByteCount BytesToAllocate();
  // Unknown also when the files cannot be looked at.
  Disk DiskOfContent();

 private:
  using LayoutPtr = std::shared_ptr<const content::Layout>;

  FileChunkManager(FileSystem* files, std::string parent, std::string name, LayoutPtr layout);
  static absl::StatusOr<std::shared_ptr<FileChunkManager>> MakeForPart(FileSystem* files,
                                                                       const std::string& target,
                                                                       LayoutPtr layout);

  std::string NameOf(FileIndex file) const ABSL_SHARED_LOCKS_REQUIRED(name_mutex_);
  std::string ShownPath(FileIndex file) const;
  absl::StatusOr<std::shared_ptr<Directory>> Root() ABSL_SHARED_LOCKS_REQUIRED(name_mutex_);
  absl::StatusOr<std::shared_ptr<File>> Handle(FileIndex file, bool make)
      ABSL_SHARED_LOCKS_REQUIRED(name_mutex_);
  absl::StatusOr<FileIdentity> CurrentIdentity(FileIndex file)
      ABSL_SHARED_LOCKS_REQUIRED(name_mutex_);
  absl::StatusOr<FileIdentity> CurrentIdentity(FileIndex file, DirectoryCursor* cursor)
      ABSL_SHARED_LOCKS_REQUIRED(name_mutex_);
  absl::StatusOr<FileIdentity> IdentityOf(FileIndex file, const FileInfo& info) const;
  absl::StatusOr<std::shared_ptr<File>> UnchangedHandle(FileIndex file)
      ABSL_SHARED_LOCKS_REQUIRED(name_mutex_);
  absl::Status Rename(const PartFiles& part);
  absl::Status NoteFault(FileIndex file, absl::Status status) const;
  absl::Status NoteReadFault(ChunkIndex chunk, absl::Status status) const;
  absl::Status TakeIdentities() ABSL_SHARED_LOCKS_REQUIRED(name_mutex_);
  absl::Status RemoveWholeFiles();
  absl::Status RemoveUnchanged(FileIndex file, DirectoryCursor* cursor)
      ABSL_SHARED_LOCKS_REQUIRED(name_mutex_);
  std::shared_ptr<PartFiles> part() const;
  void NoteDisk(Directory* parent);

  FileSystem* const files_;
  const std::string parent_path_;
  const std::string name_;  // the final one
  const LayoutPtr layout_;
  const uint64_t owner_;  // in OpenFiles
  std::atomic<bool> is_part_{false};
  uint64_t disk_ = 0;  // constant once it is made

  // Written when the content gets its final name, so that nobody looks for a file meanwhile.
  // Readers hold it over the opening of a file.
  mutable absl::Mutex name_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  mutable absl::Mutex mutex_;
  std::shared_ptr<PartFiles> part_ ABSL_GUARDED_BY(mutex_);  // nullptr for whole content
  std::vector<FileIdentity> identities_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint32_t, FileIdentity> noted_ ABSL_GUARDED_BY(mutex_);
};

// What a path that someone wants to share holds, in manifest order.
struct ScannedShare {
  std::shared_ptr<const content::Layout> layout;
  std::vector<FileIdentity> identities;  // by FileIndex
};
// Lists a file, or a directory to any depth. Symbolic links, sockets, FIFOs, devices and illegal
// names are refused with the path and advice; an empty directory share too. `name` is the share's
// name.
absl::StatusOr<ScannedShare> ScanShare(FileSystem* files, const std::string& path,
                                       const std::string& name);

// Progress of work that goes on in workers, read by others.
struct WorkProgress {
  std::atomic<uint64_t> bytes_done{0};
  std::atomic<bool> cancelled{false};
};

}  // namespace p2p::store

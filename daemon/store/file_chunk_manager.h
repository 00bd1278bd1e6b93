// The files of one transfer on disk, as numbered chunks. Made and called on workers; thread-safe.
//
// A share's files stay where they are and are only read; each remembers the identity that it had when it
// was hashed. A download lives in "<target>.part" (a file or a directory) beside its target and is renamed
// when whole. Everything is opened beneath a held directory; open files are kept in a small LRU.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/base/buffers.h"
#include "core/base/chunk_set.h"
#include "core/base/ids.h"
#include "core/content/layout.h"
#include "daemon/store/file_system.h"

namespace p2p::store {

class FileChunkManager {
 public:
  // A share or a finished download at `path` (absolute; its last component is the file or directory).
  // `identities` by FileIndex, as they were when the content was verified. Opens nothing but the parent.
  static absl::StatusOr<std::shared_ptr<FileChunkManager>> OpenWhole(
      FileSystem* files, const std::string& path, std::shared_ptr<const content::Layout> layout,
      std::vector<FileIdentity> identities);

  // A new download to `target` (absolute). Checks, in this order: nothing stands at `target` (AlreadyExists);
  // the file system has room for it (ResourceExhausted says how much is missing; `reserved` is what other
  // downloads still will write there). Makes the .part, its directories, its files and their sizes.
  static absl::StatusOr<std::shared_ptr<FileChunkManager>> CreatePart(
      FileSystem* files, const std::string& target, std::shared_ptr<const content::Layout> layout,
      ByteCount reserved);

  // A download that an earlier run began. NotFound when its .part is gone. Files in it that are missing or have
  // another size are made anew; `intact` tells by chunk what is surely not there (those chunks are removed).
  static absl::StatusOr<std::shared_ptr<FileChunkManager>> ReopenPart(
      FileSystem* files, const std::string& target, std::shared_ptr<const content::Layout> layout,
      ChunkSet* intact);

  // Whether an error is one of the kinds that pass by themselves (disk full) or not.
  static bool IsDiskFull(const absl::Status& status) { return absl::IsResourceExhausted(status); }

  // Reads a whole chunk; `data` has the chunk's length.
  absl::Status ReadChunk(ChunkIndex chunk, absl::Span<uint8_t> data);
  absl::Status WriteChunk(ChunkIndex chunk, absl::Span<const uint8_t> data);
  // For sendfile. For whole content the file must still have its identity: FailedPrecondition when it changed,
  // NotFound when it is gone, both meaning that it needs to be hashed again. Brings the range into the page cache.
  absl::StatusOr<FileSlice> PrepareToSend(ChunkIndex chunk);

  // Makes everything written so far durable.
  absl::Status Sync();
  // Syncs, gives it its final name without replacing anything, syncs the directory, remembers identities.
  // The manager then is one of whole content.
  absl::Status Finish();
  // Removes the .part (while unfinished) or, for whole content, the files of the layout and directories left empty.
  absl::Status RemoveFiles();

  // Whether each file still is what it was: the indexes of files that changed or are gone.
  std::vector<FileIndex> ChangedFiles();
  // After a file was hashed again and found equal.
  absl::Status RefreshIdentity(FileIndex file);
  std::vector<FileIdentity> identities() const;
  // Chunks of an unfinished download that may hold data (SEEK_DATA): what is worth re-hashing after a crash.
  ChunkSet PossiblyWritten();

  bool is_part() const { return is_part_.load(); }
  const content::Layout& layout() const { return *layout_; }
  absl::StatusOr<uint64_t> FreeBytes();

  // Add or change private members as the implementation needs them.
};

// What a path that someone wants to share holds, in manifest order.
struct ScannedShare {
  std::shared_ptr<const content::Layout> layout;
  std::vector<FileIdentity> identities;  // by FileIndex
};
// Lists a file, or a directory to any depth. Symbolic links, sockets, FIFOs, devices and illegal names are
// refused with the path and advice; an empty directory share too. `name` is the share's name.
absl::StatusOr<ScannedShare> ScanShare(FileSystem* files, const std::string& path, const std::string& name);

// Progress of work that goes on in workers, read by others.
struct WorkProgress {
  std::atomic<uint64_t> bytes_done{0};
  std::atomic<bool> cancelled{false};
};

}  // namespace p2p::store

// The one seam to the file system: every file call of the daemon goes through here, so that tests
// can fail the Nth one and lose what was not synced. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/ids.h"

namespace p2p::store {

// What tells a file from every other and from a changed self.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;
  int64_t mtime_ns = 0;
  int64_t ctime_ns = 0;
  friend bool operator==(const FileIdentity& a, const FileIdentity& b) {
    return a.device == b.device && a.inode == b.inode && a.size == b.size &&
           a.mtime_ns == b.mtime_ns && a.ctime_ns == b.ctime_ns;
  }
};

enum class FileKind { kRegular, kDirectory, kSymlink, kOther };

struct FileInfo {
  FileKind kind = FileKind::kOther;
  FileIdentity identity;
  uint64_t allocated_bytes = 0;  // what it takes of the disk
  int64_t born_ns = 0;           // only Directory::InfoOfSelf(); 0: the file system does not tell
  uint32_t mode = 0;
};

// An open regular file. Closed when destroyed.
class File {
 public:
  virtual ~File() = default;
  // Exactly data.size() bytes at `offset` or an error (DataLoss for EIO, OutOfRange when the file
  // is shorter).
  virtual absl::Status ReadAt(uint64_t offset, absl::Span<uint8_t> data) = 0;
  virtual absl::Status WriteAt(uint64_t offset, absl::Span<const uint8_t> data) = 0;
  virtual absl::Status Truncate(uint64_t size) = 0;
  // Reserves disk space for the range without changing the file's length. OK without doing anything
  // where that is not supported, costs as much as writing, or would leave the disk nearly full.
  virtual absl::Status Allocate(uint64_t offset, uint64_t length) = 0;
  // Lets the system begin to write what SyncData() would have to wait for. Waits at most for room
  // in the device's queue. An error is one of SyncData(), which may not tell it again.
  virtual absl::Status StartWriteBack() = 0;
  virtual absl::Status SyncData() = 0;
  virtual absl::StatusOr<FileInfo> Info() = 0;
  // The start of the first region at or after `offset` that may hold written data; the file's size
  // if none.
  virtual absl::StatusOr<uint64_t> NextData(uint64_t offset) = 0;
  // Brings the range into the page cache (blocks), so that a later sendfile does not. Errors as
  // ReadAt's.
  virtual absl::Status ReadAhead(uint64_t offset, uint64_t length) = 0;
  // Lets the system forget what it holds in memory and has on disk, so that the disk is read.
  virtual void DropCache() = 0;
  // The file will be read from front to back.
  virtual void AdviseSequential() = 0;
  // Executable for everyone who may read it.
  virtual absl::Status SetExecutable() = 0;
  virtual int descriptor() const = 0;  // for sendfile only
};

// A held directory. Relative names stay beneath it (openat2 RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
// RESOLVE_NO_MAGICLINKS; component by component where the system lacks it).
class Directory {
 public:
  virtual ~Directory() = default;
  // Regular files only (FailedPrecondition else); never follows a link, never blocks on a FIFO.
  virtual absl::StatusOr<std::unique_ptr<File>> OpenRead(absl::string_view name) = 0;
  virtual absl::StatusOr<std::unique_ptr<File>> OpenReadWrite(absl::string_view name) = 0;
  virtual absl::StatusOr<std::unique_ptr<File>> CreateNew(absl::string_view name) = 0;
  virtual absl::StatusOr<std::unique_ptr<Directory>> OpenDirectory(absl::string_view name) = 0;
  // Makes the directory; OK when it is one already.
  virtual absl::Status MakeDirectory(absl::string_view name) = 0;
  // AlreadyExists when something has the name.
  virtual absl::Status MakeNewDirectory(absl::string_view name) = 0;
  virtual absl::StatusOr<FileInfo> Info(absl::string_view name) = 0;
  virtual absl::StatusOr<FileInfo> InfoOfSelf() = 0;
  virtual absl::StatusOr<std::vector<std::string>> List() = 0;  // sorted, without "." and ".."
  // Fails with AlreadyExists rather than replace anything.
  virtual absl::Status RenameNew(absl::string_view from, absl::string_view to) = 0;
  virtual absl::Status Remove(absl::string_view name, bool is_directory) = 0;
  virtual absl::Status Sync() = 0;
  // Writes everything of this file system to disk: cheaper than one sync a file when there are
  // many. Unimplemented where the system would not tell of an error.
  virtual absl::Status SyncFileSystem() = 0;
  virtual absl::StatusOr<uint64_t> FreeBytes() = 0;
  // Whether something may be made in it, as far as that can be told without making it.
  virtual absl::Status CheckWritable() = 0;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // `path` is absolute and was given by the user, so links in it are followed.
  virtual absl::StatusOr<std::unique_ptr<Directory>> OpenRoot(const std::string& path) = 0;
};

// The real one; lives as long as the process.
FileSystem* SystemFiles();

}  // namespace p2p::store

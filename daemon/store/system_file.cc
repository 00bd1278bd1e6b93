#include "daemon/store/system_file.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/base/text.h"

#if defined(__linux__) && !defined(P2P_PORTABLE)
#include <linux/magic.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#define P2P_HAS_LINUX_FILES 1
#endif

namespace p2p::store {
namespace {

constexpr size_t kShownPathBytes = 1024;
#if defined(P2P_HAS_LINUX_FILES)
// Space that reserving ahead leaves to others, above all to the catalog.
constexpr uint64_t kKeepFreeBytes = 64 << 20;
#endif
// A page of the page cache is at least this large everywhere.
constexpr uint64_t kPageBytes = 4096;

#if defined(__APPLE__)
int64_t Nanoseconds(const struct timespec& time) {
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}
int64_t ModifiedNs(const struct stat& s) { return Nanoseconds(s.st_mtimespec); }
int64_t ChangedNs(const struct stat& s) { return Nanoseconds(s.st_ctimespec); }
#else
int64_t Nanoseconds(const struct timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}
int64_t ModifiedNs(const struct stat& s) { return Nanoseconds(s.st_mtim); }
int64_t ChangedNs(const struct stat& s) { return Nanoseconds(s.st_ctim); }
#endif

// Whether the page cache holds the whole range already, where the system can tell (Linux 6.5).
bool AllCached(int fd, uint64_t offset, uint64_t length) {
#if defined(P2P_HAS_LINUX_FILES)
#ifdef SYS_cachestat
  constexpr long kCachestat = SYS_cachestat;
#else
  constexpr long kCachestat = 451;  // one number for all architectures but alpha
#endif
  struct Range {
    uint64_t offset, length;
  } range = {offset, length};
  struct Result {
    uint64_t cached, dirty, writeback, evicted, recently_evicted;
  } result = {};
  if (::syscall(kCachestat, fd, &range, &result, 0) != 0) return false;
  const uint64_t page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  return result.cached >= (offset + length + page - 1) / page - offset / page;
#else
  (void)fd, (void)offset, (void)length;
  return false;
#endif
}

class SystemFile : public File {
 public:
  SystemFile(Descriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  absl::Status ReadAt(uint64_t offset, absl::Span<uint8_t> data) override {
    const int error = ReadFully(::pread, fd_.get(), offset, data);
    if (error == kEndOfFile) {
      return absl::OutOfRangeError(
          absl::StrCat(What("cannot read"), ": the file is shorter than it was"));
    }
    return error == 0 ? absl::OkStatus() : ErrnoStatus(error, What("cannot read"));
  }

  absl::Status WriteAt(uint64_t offset, absl::Span<const uint8_t> data) override {
    const int error = WriteFully(::pwrite, fd_.get(), offset, data);
    return error == 0 ? absl::OkStatus() : ErrnoStatus(error, What("cannot write"));
  }

  absl::Status Truncate(uint64_t size) override {
    return Check([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(size)); },
                 "cannot set the size of");
  }

  absl::Status Allocate(uint64_t offset, uint64_t length) override;

  absl::Status StartWriteBack() override {
#if defined(P2P_HAS_LINUX_FILES)
    if (::sync_file_range(fd_.get(), 0, 0, SYNC_FILE_RANGE_WRITE) != 0) {
      const bool failed = errno == EIO || errno == ENOSPC || errno == EDQUOT;
      if (failed) return ErrnoStatus(errno, What("cannot write"));
    }
#endif
    return absl::OkStatus();
  }

  // fdatasync leaves out a changed mode.
  absl::Status SyncData() override {
#if defined(F_FULLFSYNC)
    if (::fcntl(fd_.get(), F_FULLFSYNC) == 0) return absl::OkStatus();
#endif
#if defined(P2P_HAS_LINUX_FILES)
    if (!mode_changed_) return Check([&] { return ::fdatasync(fd_.get()); }, "cannot sync");
#endif
    return Check([&] { return ::fsync(fd_.get()); }, "cannot sync");
  }

  absl::StatusOr<FileInfo> Info() override {
    struct stat status;
    if (::fstat(fd_.get(), &status) != 0) return ErrnoStatus(errno, What("cannot look at"));
    return InfoFromStat(status);
  }

  absl::StatusOr<uint64_t> NextData(uint64_t offset) override {
#if defined(SEEK_DATA)
    const off_t at = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
    if (at >= 0) return static_cast<uint64_t>(at);
    if (errno == ENXIO) {
      P2P_ASSIGN_OR_RETURN(const FileInfo info, Info());
      return std::max(offset, info.identity.size);
    }
    if (errno != EINVAL && errno != EOPNOTSUPP) return ErrnoStatus(errno, What("cannot look into"));
#endif
    return offset;
  }

  absl::Status ReadAhead(uint64_t offset, uint64_t length) override;

  void DropCache() override {
#if defined(POSIX_FADV_DONTNEED)
    (void)::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED);
#endif
  }

  void AdviseSequential() override {
#if defined(POSIX_FADV_SEQUENTIAL)
    (void)::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
#endif
  }

  absl::Status SetExecutable() override {
    struct stat status;
    if (::fstat(fd_.get(), &status) != 0) return ErrnoStatus(errno, What("cannot look at"));
    const mode_t mode = (status.st_mode & 07777) | ((status.st_mode & 0444) >> 2);
    mode_changed_ = true;
    return Check([&] { return ::fchmod(fd_.get(), mode); }, "cannot make executable");
  }

  int descriptor() const override { return fd_.get(); }
  const std::string& path() const { return path_; }

 private:
  std::string What(const char* doing) const {
    return absl::StrCat(doing, " ", Printable(path_, kShownPathBytes));
  }

  template <typename Call>
  absl::Status Check(Call call, const char* doing) const {
    while (call() != 0) {
      if (errno != EINTR) return ErrnoStatus(errno, What(doing));
    }
    return absl::OkStatus();
  }

  const Descriptor fd_;
  const std::string path_;
  std::atomic<bool> mode_changed_{false};
};

absl::Status SystemFile::Allocate(uint64_t offset, uint64_t length) {
#if defined(P2P_HAS_LINUX_FILES)
  struct statfs disk;
  if (::fstatfs(fd_.get(), &disk) != 0 || disk.f_type == TMPFS_MAGIC) return absl::OkStatus();
  const uint64_t free_bytes = uint64_t{disk.f_bavail} * static_cast<uint64_t>(disk.f_bsize);
  if (free_bytes < length + kKeepFreeBytes) return absl::OkStatus();
  constexpr int kKeepSize = 1;  // FALLOC_FL_KEEP_SIZE
  while (::fallocate(fd_.get(), kKeepSize, static_cast<off_t>(offset),
                     static_cast<off_t>(length)) != 0) {
    if (errno == EINTR) continue;
    if (errno == ENOSPC || errno == EDQUOT || errno == EIO || errno == EFBIG) {
      return ErrnoStatus(errno, What("cannot write"));
    }
    break;  // not supported here
  }
#else
  (void)offset, (void)length;
#endif
  return absl::OkStatus();
}

// readahead() and WILLNEED only start the reading; a byte of every page waits for it.
absl::Status SystemFile::ReadAhead(uint64_t offset, uint64_t length) {
  if (length == 0) return absl::OkStatus();
  uint8_t byte;
  // First the end: the file may have been shortened.
  P2P_RETURN_IF_ERROR(ReadAt(offset + length - 1, absl::MakeSpan(&byte, 1)));
  if (AllCached(fd_.get(), offset, length)) return absl::OkStatus();
#if defined(POSIX_FADV_WILLNEED)
  (void)::posix_fadvise(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(length),
                        POSIX_FADV_WILLNEED);
#endif
  for (uint64_t at = offset; at < offset + length; at = (at / kPageBytes + 1) * kPageBytes) {
    P2P_RETURN_IF_ERROR(ReadAt(at, absl::MakeSpan(&byte, 1)));
  }
  return absl::OkStatus();
}

}  // namespace

FileInfo InfoFromStat(const struct stat& status) {
  FileInfo info;
  info.kind = S_ISREG(status.st_mode)   ? FileKind::kRegular
              : S_ISDIR(status.st_mode) ? FileKind::kDirectory
              : S_ISLNK(status.st_mode) ? FileKind::kSymlink
                                        : FileKind::kOther;
  info.identity.device = static_cast<uint64_t>(status.st_dev);
  info.identity.inode = static_cast<uint64_t>(status.st_ino);
  info.identity.size = static_cast<uint64_t>(status.st_size);
  info.identity.mtime_ns = ModifiedNs(status);
  info.identity.ctime_ns = ChangedNs(status);
  constexpr uint64_t kBlockBytes = 512;  // whatever the file system's blocks have
  info.allocated_bytes = kBlockBytes * static_cast<uint64_t>(status.st_blocks);
  info.mode = static_cast<uint32_t>(status.st_mode & 07777);
  return info;
}

absl::StatusOr<std::unique_ptr<File>> MakeSystemFile(Descriptor fd, std::string path) {
  auto file = std::make_unique<SystemFile>(std::move(fd), std::move(path));
  P2P_ASSIGN_OR_RETURN(const FileInfo info, file->Info());
  if (info.kind != FileKind::kRegular) {
    return absl::FailedPreconditionError(
        absl::StrCat(Printable(file->path(), kShownPathBytes), " is not a regular file"));
  }
  return file;
}

}  // namespace p2p::store

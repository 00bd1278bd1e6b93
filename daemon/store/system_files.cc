// The real file system behind file_system.h.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/store/file_system.h"
#include "daemon/store/open_beneath.h"
#include "daemon/store/open_files.h"
#include "daemon/store/posix_io.h"
#include "daemon/store/system_file.h"

namespace p2p::store {
namespace {

constexpr size_t kShownPathBytes = 1024;
// The umask takes from these what the user does not want to give.
constexpr mode_t kFileMode = 0666;
constexpr mode_t kDirectoryMode = 0777;
// Neither a FIFO nor a device without a carrier may make an open wait, no terminal become ours.
constexpr int kNeverWait = O_NONBLOCK | O_NOCTTY;
#if defined(__linux__) && !defined(P2P_PORTABLE)
constexpr int kWalkOnly = O_PATH;
#else
constexpr int kWalkOnly = O_RDONLY | O_NONBLOCK;
#endif

#if defined(__linux__) && !defined(P2P_PORTABLE)
bool LinuxIsAtLeast(int major, int minor) {
  struct utsname name;
  int is_major = 0, is_minor = 0;
  if (::uname(&name) != 0 || std::sscanf(name.release, "%d.%d", &is_major, &is_minor) != 2)
    return false;
  return is_major > major || (is_major == major && is_minor >= minor);
}
#endif

// 0 where that is not told.
int64_t BornNs(int fd) {
#if defined(__linux__) && !defined(P2P_PORTABLE) && defined(STATX_BTIME)
  struct statx born;
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &born) == 0 &&
      (born.stx_mask & STATX_BTIME) != 0) {
    return born.stx_btime.tv_sec * 1'000'000'000 + born.stx_btime.tv_nsec;
  }
#endif
  (void)fd;
  return 0;
}

absl::Status NoDirectory(const std::string& path) {
  return absl::FailedPreconditionError(
      absl::StrCat(Printable(path, kShownPathBytes), " is not a directory"));
}

// Calls `open`, which returns an errno, and once more after closing what is only kept open for
// later use.
template <typename Open>
int OpenWithRoom(Open open) {
  const int error = open();
  const bool out_of_descriptors = error == EMFILE || error == ENFILE;
  return out_of_descriptors && OpenFiles::OfProcess().CloseAll() ? open() : error;
}

int OpenBeneathWithRoom(int root, absl::string_view name, int flags, mode_t mode, Descriptor* out) {
  return OpenWithRoom([&] { return OpenBeneath(root, name, flags, mode, out); });
}

// For a path without a name beneath anything.
int OpenPlainDirectory(int at, const char* path, Descriptor* out) {
  return OpenWithRoom([&] {
    int fd;
    do {
      fd = ::openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) return errno;
    *out = Descriptor(fd);
    return 0;
  });
}

class SystemDirectory : public Directory {
 public:
  SystemDirectory(Descriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  absl::StatusOr<std::unique_ptr<File>> OpenRead(absl::string_view name) override {
    return OpenFile(name, O_RDONLY, "cannot open");
  }
  absl::StatusOr<std::unique_ptr<File>> OpenReadWrite(absl::string_view name) override {
    return OpenFile(name, O_RDWR, "cannot open");
  }
  absl::StatusOr<std::unique_ptr<File>> CreateNew(absl::string_view name) override {
    return OpenFile(name, O_RDWR | O_CREAT | O_EXCL, "cannot create");
  }

  absl::StatusOr<std::unique_ptr<Directory>> OpenDirectory(absl::string_view name) override {
    Descriptor fd;
    const int error =
        OpenBeneathWithRoom(fd_.get(), name, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0, &fd);
    if (error != 0) return Error(error, "cannot open", name);
    return std::make_unique<SystemDirectory>(std::move(fd), PathOf(name));
  }

  absl::Status MakeNewDirectory(absl::string_view name) override {
    Place place;
    P2P_RETURN_IF_ERROR(Find(name, "cannot make the directory", &place));
    if (::mkdirat(place.directory, place.last.c_str(), kDirectoryMode) == 0)
      return absl::OkStatus();
    return Error(errno, "cannot make the directory", name);
  }

  absl::Status MakeDirectory(absl::string_view name) override {
    const absl::Status made = MakeNewDirectory(name);
    if (!absl::IsAlreadyExists(made)) return made;
    P2P_ASSIGN_OR_RETURN(const FileInfo info, Info(name));
    return info.kind == FileKind::kDirectory ? absl::OkStatus() : NoDirectory(PathOf(name));
  }

  absl::StatusOr<FileInfo> Info(absl::string_view name) override {
    Place place;
    P2P_RETURN_IF_ERROR(Find(name, "cannot look at", &place));
    struct stat status;
    if (::fstatat(place.directory, place.last.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      return Error(errno, "cannot look at", name);
    }
    return InfoFromStat(status);
  }

  absl::StatusOr<FileInfo> InfoOfSelf() override {
    struct stat status;
    if (::fstat(fd_.get(), &status) != 0) return ErrnoStatus(errno, Doing("cannot look at", path_));
    FileInfo info = InfoFromStat(status);
    info.born_ns = BornNs(fd_.get());
    return info;
  }

  absl::StatusOr<std::vector<std::string>> List() override;
  absl::Status RenameNew(absl::string_view from, absl::string_view to) override;

  absl::Status Remove(absl::string_view name, bool is_directory) override {
    Place place;
    P2P_RETURN_IF_ERROR(Find(name, "cannot remove", &place));
    if (::unlinkat(place.directory, place.last.c_str(), is_directory ? AT_REMOVEDIR : 0) == 0) {
      return absl::OkStatus();
    }
    return Error(errno, "cannot remove", name);
  }

  absl::Status Sync() override {
    while (::fsync(fd_.get()) != 0) {
      // Some file systems have no sync for directories.
      if (errno == EINVAL || errno == EOPNOTSUPP) break;
      if (errno != EINTR) return ErrnoStatus(errno, Doing("cannot sync the directory", path_));
    }
    return absl::OkStatus();
  }

  absl::Status SyncFileSystem() override {
#if defined(__linux__) && !defined(P2P_PORTABLE)
    static const bool tells_errors = LinuxIsAtLeast(5, 8);
    if (!tells_errors) return absl::UnimplementedError("syncfs tells no errors here");
    if (::syncfs(fd_.get()) == 0) return absl::OkStatus();
    return ErrnoStatus(errno, Doing("cannot sync the disk of", path_));
#else
    return absl::UnimplementedError("the system has no sync of one disk that tells errors");
#endif
  }

  absl::StatusOr<uint64_t> FreeBytes() override {
    struct statvfs disk;
    while (::fstatvfs(fd_.get(), &disk) != 0) {
      if (errno != EINTR) return ErrnoStatus(errno, Doing("cannot tell the free space of", path_));
    }
    return uint64_t{disk.f_bavail} * uint64_t{disk.f_frsize};
  }

  absl::Status CheckWritable() override {
    if (::faccessat(fd_.get(), ".", W_OK | X_OK, AT_EACCESS) == 0) return absl::OkStatus();
    return ErrnoStatus(errno, Doing("cannot write into", path_));
  }

 private:
  // A name as the open directory that holds it and its last component.
  struct Place {
    Descriptor held;
    int directory = -1;
    std::string last;
  };

  static std::string Doing(const char* doing, const std::string& path) {
    return absl::StrCat(doing, " ", Printable(path, kShownPathBytes));
  }
  std::string PathOf(absl::string_view name) const {
    return absl::StrCat(path_, path_ == "/" ? "" : "/", name);
  }
  absl::Status Error(int error, const char* doing, absl::string_view name) const {
    return ErrnoStatus(error, Doing(doing, PathOf(name)));
  }

  absl::StatusOr<std::unique_ptr<File>> OpenFile(absl::string_view name, int flags,
                                                 const char* doing) {
    Descriptor fd;
    const int error = OpenBeneathWithRoom(fd_.get(), name, flags | kNeverWait, kFileMode, &fd);
    // ENXIO: a socket, or a FIFO or device with nobody at the other end. EISDIR: opened for
    // writing.
    if (error == ENXIO || error == EISDIR || error == ENODEV) {
      return absl::FailedPreconditionError(
          absl::StrCat(Printable(PathOf(name), kShownPathBytes), " is not a regular file"));
    }
    if (error != 0) return Error(error, doing, name);
    return MakeSystemFile(std::move(fd), PathOf(name));
  }

  absl::Status Find(absl::string_view name, const char* doing, Place* place) const {
    if (!StaysBeneath(name)) return Error(EXDEV, doing, name);
    const size_t slash = name.rfind('/');
    place->directory = fd_.get();
    if (slash == absl::string_view::npos) {
      place->last = std::string(name);
      return absl::OkStatus();
    }
    const int error = OpenBeneathWithRoom(fd_.get(), name.substr(0, slash), kWalkOnly | O_DIRECTORY,
                                          0, &place->held);
    if (error != 0) return Error(error, doing, name);
    place->directory = place->held.get();
    place->last = std::string(name.substr(slash + 1));
    return absl::OkStatus();
  }

  const Descriptor fd_;
  const std::string path_;
};

absl::StatusOr<std::vector<std::string>> SystemDirectory::List() {
  // A descriptor of its own, because the position in the list belongs to the descriptor.
  Descriptor own;
  const int open_error = OpenPlainDirectory(fd_.get(), ".", &own);
  if (open_error != 0) return ErrnoStatus(open_error, Doing("cannot list", path_));
  DIR* const list = ::fdopendir(own.get());
  if (list == nullptr) return ErrnoStatus(errno, Doing("cannot list", path_));
  own.Release();  // closedir closes it
  std::vector<std::string> names;
  errno = 0;
  while (const struct dirent* entry = ::readdir(list)) {
    const absl::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  const int error = errno;
  ::closedir(list);
  if (error != 0) return ErrnoStatus(error, Doing("cannot list", path_));
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status SystemDirectory::RenameNew(absl::string_view from, absl::string_view to) {
  Place source;
  Place destination;
  P2P_RETURN_IF_ERROR(Find(from, "cannot rename", &source));
  P2P_RETURN_IF_ERROR(Find(to, "cannot rename to", &destination));
  const int error = RenameWithoutReplacing(source.directory, source.last.c_str(),
                                           destination.directory, destination.last.c_str());
  if (error == 0) return absl::OkStatus();
  return error == ENOENT ? Error(error, "cannot rename", from)
                         : Error(error, "cannot rename to", to);
}

class SystemFileSystem : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<Directory>> OpenRoot(const std::string& path) override {
    Descriptor fd;
    const int error = OpenPlainDirectory(AT_FDCWD, path.c_str(), &fd);
    if (error != 0) {
      return ErrnoStatus(
          error, absl::StrCat("cannot open the directory ", Printable(path, kShownPathBytes)));
    }
    return std::make_unique<SystemDirectory>(std::move(fd), path);
  }
};

}  // namespace

FileSystem* SystemFiles() {
  static SystemFileSystem files;
  return &files;
}

}  // namespace p2p::store

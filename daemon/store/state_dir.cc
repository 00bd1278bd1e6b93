// The state directory's lock and the daemon's identity in it.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/store/catalog.h"
#include "daemon/store/posix_io.h"

namespace p2p::store {
namespace {

constexpr mode_t kStateDirMode = 0700;
constexpr mode_t kStateFileMode = 0600;
constexpr mode_t kUpperDirectoryMode = 0755;

std::string Doing(absl::string_view doing, const std::string& path) {
  return absl::StrCat(doing, " ", Printable(path));
}

absl::StatusOr<Descriptor> OpenStateFile(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, kStateFileMode);
  if (fd < 0) return ErrnoStatus(errno, Doing("cannot open", path));
  return Descriptor(fd);
}

std::string HolderOf(int fd) {
  uint64_t pid = 0;
  if (!absl::SimpleAtoi(ReadUpTo(fd, 20), &pid) || pid == 0) return "";
  return absl::StrCat(" (process ", pid, ")");
}

// Whether the locked file is still the one that has the name.
bool StillNamed(int fd, const std::string& path) {
  struct stat held;
  struct stat named;
  return ::fstat(fd, &held) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

void WritePid(int fd) {
  const std::string pid = absl::StrCat(::getpid(), "\n");
  if (::ftruncate(fd, 0) != 0) return;
  // Only for the message of a second daemon: a full disk must not keep this one from starting.
  (void)WriteFully(::pwrite, fd, 0,
                   absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(pid.data()), pid.size()));
}

absl::Status WriteDurably(const std::string& state_dir, const std::string& path,
                          absl::Span<const uint8_t> data) {
  const std::string fresh = path + ".new";
  P2P_ASSIGN_OR_RETURN(const Descriptor file, OpenStateFile(fresh, O_RDWR | O_CREAT | O_TRUNC));
  const int error = WriteFully(::pwrite, file.get(), 0, data);
  if (error != 0) return ErrnoStatus(error, Doing("cannot write", fresh));
  if (::fsync(file.get()) != 0) return ErrnoStatus(errno, Doing("cannot sync", fresh));
  if (::rename(fresh.c_str(), path.c_str()) != 0)
    return ErrnoStatus(errno, Doing("cannot rename", fresh));
  P2P_ASSIGN_OR_RETURN(const Descriptor directory,
                       OpenStateFile(state_dir, O_RDONLY | O_DIRECTORY));
  if (::fsync(directory.get()) != 0) return ErrnoStatus(errno, Doing("cannot sync", state_dir));
  return absl::OkStatus();
}

// Of a directory that is not there after mkdir() failed.
absl::Status CannotMake(const std::string& path, int error_number) {
  struct stat there;
  if (error_number != EEXIST || ::lstat(path.c_str(), &there) != 0 || !S_ISLNK(there.st_mode)) {
    return ErrnoStatus(error_number, Doing("cannot make the directory", path));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      Printable(path), " is a symbolic link to something that is not there; make that directory"));
}

}  // namespace

absl::Status MakeDirectories(const std::string& path, uint32_t mode) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string upper = path.substr(0, slash);
    if (::mkdir(upper.c_str(), kUpperDirectoryMode) == 0) continue;
    struct stat there;
    // A directory on the way may be there and still not be ours to make one in (EROFS, EACCES).
    const int error = errno;
    if (::stat(upper.c_str(), &there) != 0) return CannotMake(upper, error);
  }
  if (::mkdir(path.c_str(), static_cast<mode_t>(mode)) == 0) return absl::OkStatus();
  const int error = errno;
  struct stat there;
  if (::stat(path.c_str(), &there) != 0) return CannotMake(path, error);
  if (S_ISDIR(there.st_mode)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(Printable(path), " is not a directory"));
}

absl::StatusOr<std::unique_ptr<StateDirLock>> StateDirLock::Acquire(const std::string& state_dir) {
  P2P_RETURN_IF_ERROR(MakeDirectories(state_dir, kStateDirMode));
  const std::string path = state_dir + "/lock";
  while (true) {
    P2P_ASSIGN_OR_RETURN(Descriptor file, OpenStateFile(path, O_RDWR | O_CREAT));
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno != EWOULDBLOCK) return ErrnoStatus(errno, Doing("cannot lock", path));
      return absl::FailedPreconditionError(absl::StrCat(
          "the state directory ", Printable(state_dir), " is in use by another p2pd",
          HolderOf(file.get()), "; stop that one, or choose another directory with --state-dir"));
    }
    if (!StillNamed(file.get(), path)) continue;
    WritePid(file.get());
    return std::unique_ptr<StateDirLock>(new StateDirLock(file.Release()));
  }
}

StateDirLock::~StateDirLock() { ::close(fd_); }

absl::StatusOr<PeerId> LoadOrMakePeerId(const std::string& state_dir) {
  const std::string path = state_dir + "/peer_id";
  PeerId id;
  const auto file = OpenStateFile(path, O_RDONLY);
  if (!file.ok() && !absl::IsNotFound(file.status())) return file.status();
  if (file.ok()) {
    const std::string bytes = ReadUpTo(file->get(), id.hash.bytes.size());
    const bool whole = bytes.size() == id.hash.bytes.size();
    // Empty or all zero is what a crash can leave of a file that was just made.
    if (whole && bytes.find_first_not_of('\0') != std::string::npos) {
      std::copy(bytes.begin(), bytes.end(), id.hash.bytes.begin());
      return id;
    }
  }
  if (::getentropy(id.hash.bytes.data(), id.hash.bytes.size()) != 0) {
    return ErrnoStatus(errno, "cannot get random bytes for the peer id");
  }
  P2P_RETURN_IF_ERROR(WriteDurably(state_dir, path, id.hash.bytes));
  return id;
}

}  // namespace p2p::store

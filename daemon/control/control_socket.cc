#include "daemon/control/control_socket.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/control/peer_credentials.h"

namespace p2p::control {
namespace {

constexpr int kBacklog = 64;

std::string Quoted(absl::string_view path) { return Printable(path, limits::kMaxLocalPathBytes); }

sockaddr_un MakeAddress(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

absl::StatusOr<int> NewSocket() {
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0) return ErrnoStatus(errno, "cannot make a control socket");
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  return fd;
}

// "" when the lock file does not tell.
std::string HolderOf(int lock) {
  char text[20];
  const ssize_t size = pread(lock, text, sizeof text, 0);
  uint64_t pid = 0;
  if (size <= 0 || !absl::SimpleAtoi(absl::string_view(text, size), &pid) || pid == 0) return "";
  return absl::StrCat(pid);
}

// Only for the message of a second daemon: a full disk must not keep this one from starting.
void WritePid(int lock) {
  const std::string pid = absl::StrCat(getpid(), "\n");
  if (ftruncate(lock, 0) == 0) (void)!pwrite(lock, pid.data(), pid.size(), 0);
}

absl::Status CheckPath(const std::string& path) {
  if (path.empty()) return absl::InvalidArgumentError("the control socket's path is empty");
  if (path.size() > limits::kMaxSocketPathBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the control socket's path has ", path.size(), " bytes, the system takes ",
                     limits::kMaxSocketPathBytes, ": ", Quoted(path), "; choose a shorter one"));
  }
  if (absl::StrContains(path, absl::string_view("\0", 1))) {
    return absl::InvalidArgumentError("the control socket's path holds a NUL byte");
  }
  return absl::OkStatus();
}

// Makes the socket's directory if it is missing: open to others only if others are meant to reach
// the socket. One that belongs to another user is refused: that user could put a socket of his own
// there.
absl::Status PrepareDirectory(const std::string& path, bool for_others) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash == 0) return absl::OkStatus();
  const std::string directory = path.substr(0, slash);
  const mode_t mode = for_others || absl::StartsWith(path, "/run/p2pd/") ? 0755 : 0700;
  if (mkdir(directory.c_str(), mode) == 0) {
    // Whatever the umask left of it.
    if (chmod(directory.c_str(), mode) == 0) return absl::OkStatus();
    return ErrnoStatus(errno, absl::StrCat("cannot set the mode of ", Quoted(directory)));
  }
  if (errno != EEXIST) {
    return ErrnoStatus(errno,
                       absl::StrCat("cannot make ", Quoted(directory), " for the control socket"));
  }
  struct stat info {};
  if (stat(directory.c_str(), &info) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot use ", Quoted(directory)));
  }
  if (info.st_uid != geteuid() && info.st_uid != 0) {
    return absl::FailedPreconditionError(absl::StrCat("the directory ", Quoted(directory),
                                                      " belongs to another user (uid ", info.st_uid,
                                                      "); choose another --socket"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ControlSocket::Check(const ControlOptions& options) {
  P2P_RETURN_IF_ERROR(CheckPath(options.socket_path));
  return options.group.empty() ? absl::OkStatus() : FindGroup(options.group).status();
}

absl::StatusOr<std::unique_ptr<ControlSocket>> ControlSocket::Claim(const ControlOptions& options) {
  P2P_RETURN_IF_ERROR(CheckPath(options.socket_path));
  std::unique_ptr<ControlSocket> claim(new ControlSocket(options.socket_path));
  if (!options.group.empty()) {
    P2P_ASSIGN_OR_RETURN(claim->group_, FindGroup(options.group));
  }
  P2P_RETURN_IF_ERROR(PrepareDirectory(claim->path_, claim->group_.has_value()));
  P2P_RETURN_IF_ERROR(claim->Lock());
  P2P_RETURN_IF_ERROR(claim->RemoveStale());
  P2P_RETURN_IF_ERROR(claim->Listen());
  return claim;
}

absl::Status ControlSocket::Lock() {
  // The lock file stays for ever: removing it would let two daemons lock two files of one name.
  const std::string name = path_ + ".lock";
  lock_ = open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  if (lock_ < 0) {
    const absl::Status status = ErrnoStatus(errno, absl::StrCat("cannot open ", Quoted(name)));
    return absl::Status(status.code(),
                        absl::StrCat(status.message(), "; --socket takes another place"));
  }
  if (flock(lock_, LOCK_EX | LOCK_NB) == 0) {
    WritePid(lock_);
    return absl::OkStatus();
  }
  if (errno == EWOULDBLOCK) {
    const std::string holder = HolderOf(lock_);
    return absl::FailedPreconditionError(absl::StrCat(
        "p2pd is already running, or just stopping, on ", Quoted(path_), "; p2pctl stop",
        holder.empty() ? "" : " or kill ", holder, " ends it, --socket takes another"));
  }
  return ErrnoStatus(errno, absl::StrCat("cannot lock ", Quoted(name)));
}

absl::Status ControlSocket::RemoveStale() {
  struct stat info {};
  if (lstat(path_.c_str(), &info) != 0) {
    if (errno == ENOENT) return absl::OkStatus();
    return ErrnoStatus(errno, absl::StrCat("cannot use ", Quoted(path_)));
  }
  if (!S_ISSOCK(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat(Quoted(path_), S_ISLNK(info.st_mode) ? " is a symbolic link" : " exists",
                     " and is not a socket; remove it yourself, or choose another --socket"));
  }
  P2P_ASSIGN_OR_RETURN(const int probe, NewSocket());
  // Not to wait for a program that does not accept.
  fcntl(probe, F_SETFL, O_NONBLOCK);
  const sockaddr_un address = MakeAddress(path_);
  const int result =
      connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
  close(probe);
  if (result == 0 || result == EAGAIN) {
    return absl::FailedPreconditionError(
        absl::StrCat("a program is already running on ", Quoted(path_),
                     "; p2pctl stop ends p2pd, --socket takes another"));
  }
  if (result != ECONNREFUSED && result != ENOENT) {
    return ErrnoStatus(result, absl::StrCat("cannot tell whether ", Quoted(path_), " is in use"));
  }
  if (unlink(path_.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("cannot replace the stale socket ", Quoted(path_)));
}

absl::Status ControlSocket::Listen() {
  P2P_ASSIGN_OR_RETURN(const int fresh, NewSocket());
  const absl::Status listening = BindAndListen(fresh);
  if (!listening.ok()) {
    close(fresh);
    RemoveOwn();
    return listening;
  }
  if (listener_ < 0) {
    listener_ = fresh;
    return absl::OkStatus();
  }
  const int replaced = dup2(fresh, listener_) < 0 ? errno : 0;
  close(fresh);
  if (replaced != 0) {
    RemoveOwn();
    return ErrnoStatus(replaced, "cannot replace the control socket");
  }
  fcntl(listener_, F_SETFD, FD_CLOEXEC);
  return absl::OkStatus();
}

absl::Status ControlSocket::BindAndListen(int fd) {
  const sockaddr_un address = MakeAddress(path_);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot make the control socket ", Quoted(path_)));
  }
  bound_ = true;
  struct stat info {};
  if (lstat(path_.c_str(), &info) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot use the control socket ", Quoted(path_)));
  }
  device_ = info.st_dev;
  inode_ = info.st_ino;
  // Nobody can connect before listen(), so the mode is right from the first connection on.
  if (group_ && lchown(path_.c_str(), static_cast<uid_t>(-1), *group_) != 0) {
    return ErrnoStatus(errno,
                       "cannot give the control socket to its group; p2pd's user must be a "
                       "member of it");
  }
  if (chmod(path_.c_str(), group_ ? 0660 : 0600) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot set the mode of ", Quoted(path_)));
  }
  if (listen(fd, kBacklog) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot listen on ", Quoted(path_)));
  }
  // Else the thread that accepts would wait there at the end, too.
  if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot prepare the control socket ", Quoted(path_)));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> ControlSocket::Restore() {
  struct stat info {};
  if (lstat(path_.c_str(), &info) == 0 || errno != ENOENT) return false;
  P2P_RETURN_IF_ERROR(PrepareDirectory(path_, group_.has_value()));
  P2P_RETURN_IF_ERROR(Listen());
  return true;
}

void ControlSocket::StopListening() {
  if (listener_ >= 0) close(listener_);
  listener_ = -1;
}

void ControlSocket::RemoveOwn() {
  struct stat info {};
  if (bound_ && lstat(path_.c_str(), &info) == 0 && info.st_dev == device_ &&
      info.st_ino == inode_) {
    unlink(path_.c_str());
  }
}

ControlSocket::~ControlSocket() {
  RemoveOwn();
  StopListening();
  if (lock_ >= 0) close(lock_);
}

}  // namespace p2p::control

#include "ctl/socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "core/base/limits.h"
#include "core/base/socket_path.h"
#include "core/base/status.h"
#include "core/base/text.h"

namespace p2p::ctl {
namespace {

// A daemon that starts or stops may take a while to say something.
constexpr int kPatienceSeconds = 10;

std::string Quoted(absl::string_view path) { return Printable(path, limits::kMaxLocalPathBytes); }

// What a socket closes itself with; -1: nothing.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  int fd_;
};

absl::Status ConnectFailure(int error_number, const std::string& path) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
      return absl::UnavailableError(
          absl::StrCat("p2pd is not running (nothing answers on ", Quoted(path),
                       "); start it with: p2pd, or name its socket with --socket"));
    case EACCES:
    case EPERM:
      return absl::UnauthenticatedError(
          absl::StrCat("you may not use ", Quoted(path),
                       "; run p2pctl as the daemon's user or as a member of its group"));
    case EAGAIN:
    case ETIMEDOUT:
      return absl::UnavailableError(absl::StrCat("p2pd does not answer on ", Quoted(path),
                                                 "; is it starting or stopping? Try again"));
    default:
      return ErrnoStatus(error_number, absl::StrCat("cannot connect to ", Quoted(path)));
  }
}

absl::StatusOr<int> Connect(const std::string& path) {
  if (path.size() > limits::kMaxSocketPathBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the socket's path has ", path.size(), " bytes, the system takes ",
                     limits::kMaxSocketPathBytes, ": ", Quoted(path)));
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  Descriptor fd(socket(AF_UNIX, SOCK_STREAM, 0));
  if (fd.get() < 0) return ErrnoStatus(errno, "cannot make a socket");
  fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
  // Bounds connect(), which waits while the daemon's queue is full.
  const timeval patience{kPatienceSeconds, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return ConnectFailure(errno, path);
  }
  return fd.release();
}

// In /tmp anyone can be first to make the directory: only a daemon of this user or of root is
// believed there.
absl::Status CheckOwner(int fd, const std::string& path) {
#if defined(SO_PEERCRED)
  if (!IsLastResortSocketPath(path, getuid())) return absl::OkStatus();
  ucred daemon{};
  socklen_t bytes = sizeof daemon;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &daemon, &bytes) == 0 &&
      (daemon.uid == getuid() || daemon.uid == 0)) {
    return absl::OkStatus();
  }
  return absl::UnauthenticatedError(absl::StrCat(
      "what answers on ", Quoted(path),
      " belongs to another user; start your own p2pd, or name a socket with --socket"));
#else
  return absl::OkStatus();
#endif
}

// The daemon speaks first: HTTP/2 settings, or a line that says why it does not want this client.
absl::Status ReadGreeting(int fd, const std::string& path) {
  pollfd wait{fd, POLLIN, 0};
  int ready = 0;
  do {
    ready = poll(&wait, 1, kPatienceSeconds * 1'000);
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) return ConnectFailure(ETIMEDOUT, path);
  char buffer[512];
  const ssize_t got = recv(fd, buffer, sizeof buffer, MSG_PEEK | MSG_DONTWAIT);
  if (got <= 0) {
    return absl::UnavailableError(absl::StrCat("p2pd closed the connection on ", Quoted(path),
                                               "; it is probably stopping. Try again"));
  }
  absl::string_view greeting(buffer, static_cast<size_t>(got));
  // A frame of settings: three bytes of length, the first 0 for any sensible one, then type 4 (RFC
  // 9113, 4.1).
  if (greeting.front() == '\0' && (greeting.size() < 4 || greeting[3] == 4)) {
    return absl::OkStatus();
  }
  if (!absl::ConsumePrefix(&greeting, "p2pd: ")) {
    return absl::UnimplementedError(absl::StrCat("what answers on ", Quoted(path),
                                                 " is not p2pd; name its socket with --socket"));
  }
  const std::string reason = Printable(greeting.substr(0, greeting.find('\n')), 500);
  if (!absl::StartsWith(reason, "not permitted")) return absl::ResourceExhaustedError(reason);
  return absl::UnauthenticatedError(
      absl::StrCat(reason, "; run p2pctl as one of them, or ask for membership"));
}

}  // namespace

absl::StatusOr<int> ConnectToDaemon(const std::string& socket_path) {
  P2P_ASSIGN_OR_RETURN(const int connected, Connect(socket_path));
  Descriptor fd(connected);
  P2P_RETURN_IF_ERROR(CheckOwner(fd.get(), socket_path));
  P2P_RETURN_IF_ERROR(ReadGreeting(fd.get(), socket_path));
  fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  return fd.release();
}

}  // namespace p2p::ctl

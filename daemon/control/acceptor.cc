#include "daemon/control/acceptor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "daemon/control/peer_credentials.h"
#include "spdlog/spdlog.h"

namespace p2p::control {
namespace {

// Then the wake-up is looked at again: a flood of clients does not keep the thread from ending.
constexpr int kAcceptsPerRound = 64;
constexpr absl::Duration kLookInterval = absl::Seconds(10);

int OpenReserve() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

ino_t InodeOf(int fd) {
  struct stat info {};
  return fstat(fd, &info) == 0 ? info.st_ino : 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Start(int listener, absl::optional<gid_t> group,
                                                          std::function<void(int fd)> serve,
                                                          std::function<void()> look) {
  std::unique_ptr<Acceptor> acceptor(
      new Acceptor(listener, group, std::move(serve), std::move(look)));
  if (pipe(acceptor->wake_) != 0) return ErrnoStatus(errno, "cannot make a pipe for control");
  for (int end : acceptor->wake_) fcntl(end, F_SETFD, FD_CLOEXEC);
  acceptor->reserve_ = OpenReserve();
  acceptor->thread_ = std::thread([raw = acceptor.get()] { raw->Run(); });
  return acceptor;
}

Acceptor::Acceptor(int listener, absl::optional<gid_t> group, std::function<void(int fd)> serve,
                   std::function<void()> look)
    : listener_(listener), group_(group), serve_(std::move(serve)), look_(std::move(look)) {}

Acceptor::~Acceptor() {
  if (wake_[1] >= 0) close(wake_[1]);
  if (thread_.joinable()) thread_.join();
  if (wake_[0] >= 0) close(wake_[0]);
  if (reserve_ >= 0) close(reserve_);
}

void Acceptor::Run() {
  bool paused = false;
  for (;;) {
    pollfd waits[] = {{wake_[0], POLLIN, 0}, {listener_, POLLIN, 0}};
    // While paused only the wake-up is waited for: the listener stays readable and would make this
    // spin.
    const int timeout =
        static_cast<int>(absl::ToInt64Milliseconds(paused ? limits::kAcceptPause : kLookInterval));
    const int ready = poll(waits, paused ? 1 : 2, timeout);
    if (ready < 0 && errno != EINTR) {
      LogRefusal(absl::StrCat("cannot wait for clients: errno ", errno));
      absl::SleepFor(limits::kAcceptPause);
    }
    if (ready > 0 && waits[0].revents != 0) return;
    if (ready == 0 && !paused) look_();
    paused = !AcceptAll();
  }
}

bool Acceptor::AcceptAll() {
  for (int round = 0; round < kAcceptsPerRound; ++round) {
    const int fd = accept(listener_, nullptr, nullptr);
    if (fd >= 0) {
      // gRPC's threads would wait in a call on a socket that may wait.
      if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0) {
        Admit(fd);
      } else {
        Refuse(fd, "busy: the connection cannot be prepared; try again");
      }
      continue;
    }
    switch (errno) {
      case EINTR:
      case ECONNABORTED:
        continue;
      case EAGAIN:
        return true;
      case EMFILE:
      case ENFILE:
        TurnAwayWithoutDescriptors();
        return false;
      default:
        LogRefusal(absl::StrCat("cannot accept: errno ", errno));
        return false;
    }
  }
  return true;
}

void Acceptor::TurnAwayWithoutDescriptors() {
  if (reserve_ >= 0) close(reserve_);
  const int fd = accept(listener_, nullptr, nullptr);
  if (fd >= 0) Refuse(fd, "busy: the daemon has too many open files; try again later");
  reserve_ = OpenReserve();
  LogRefusal("turned a client away: too many open files (ulimit -n, LimitNOFILE=)");
}

void Acceptor::Admit(int fd) {
  const absl::StatusOr<PeerCredentials> peer = ReadPeerCredentials(fd);
  if (!peer.ok()) {
    Refuse(fd, "not permitted: it is not known who you are");
    LogRefusal(std::string(peer.status().message()));
    return;
  }
  if (!MayControl(*peer, geteuid(), group_)) {
    Refuse(fd, absl::StrCat("not permitted: user ", peer->user,
                            " may not control this daemon; only its own user (", geteuid(),
                            ") and root may",
                            group_ ? absl::StrCat(", and members of group ", *group_) : ""));
    LogRefusal(
        absl::StrCat("refused user ", peer->user, " (process ", peer->process, "): not permitted"));
    return;
  }
  if (!HasRoom()) {
    Refuse(fd, "busy: too many control connections are open; close some");
    LogRefusal("turned a client away: too many control connections");
    return;
  }
  served_.push_back({fd, InodeOf(fd)});
  serve_(fd);
}

bool Acceptor::HasRoom() {
  if (served_.size() < static_cast<size_t>(limits::kMaxControlConnections)) return true;
  served_.erase(std::remove_if(served_.begin(), served_.end(),
                               [](const Served& s) { return InodeOf(s.fd) != s.inode; }),
                served_.end());
  return served_.size() < static_cast<size_t>(limits::kMaxControlConnections);
}

void Acceptor::Refuse(int fd, absl::string_view reason) {
  const std::string line = absl::StrCat("p2pd: ", reason, "\n");
  // A full buffer loses the reason, never the thread's time.
  (void)!send(fd, line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  close(fd);
}

void Acceptor::LogRefusal(const std::string& line) {
  const auto logged = log_limit_.Pass(line, MonotonicNow());
  if (logged.has_value()) spdlog::warn("control: {}", *logged);
}

}  // namespace p2p::control

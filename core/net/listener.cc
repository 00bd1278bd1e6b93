#include "core/net/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "asio/post.hpp"
#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/net/congestion_control.h"
#include "core/net/descriptors.h"
#include "core/net/socket.h"

namespace p2p::net {
namespace {

// Newcomers taken before the other handlers of the loop have their turn.
constexpr int kAcceptsPerTurn = 64;

// Others are for files, control and who is dialled.
ListenerOptions WithinDescriptors(ListenerOptions options) {
  const int limit = DescriptorLimit();
  const int spare = options.spare_descriptors < 0 ? limit - limit / 2 : options.spare_descriptors;
  options.max_connections = std::min(options.max_connections, std::max(1, limit - spare));
  return options;
}

int OpenReserve() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

absl::Status ListenError(int error_number, const Endpoint& at) {
  const std::string host = FormatHost(at);
  switch (error_number) {
    case EADDRINUSE:
      return absl::AlreadyExistsError(
          absl::StrCat("port ", at.port(), " on ", host,
                       " is already in use; stop the other program or choose another with --listen "
                       "HOST:PORT"));
    case EADDRNOTAVAIL:
      return absl::InvalidArgumentError(
          absl::StrCat("this machine has no address ", host,
                       "; listen on one of its own or on all with --listen 0.0.0.0:", at.port()));
    case EACCES:
      return absl::PermissionDeniedError(
          absl::StrCat("port ", at.port(), " on ", host,
                       " is reserved for privileged programs; choose one above 1023 with --listen "
                       "HOST:PORT"));
    case EAFNOSUPPORT:
      return absl::InvalidArgumentError(
          absl::StrCat("this machine has no ", at.address().is_v4() ? "IPv4" : "IPv6",
                       "; choose another address with --listen HOST:PORT"));
    default:
      return ErrnoStatus(error_number, absl::StrCat("cannot listen on ", FormatEndpoint(at)));
  }
}

// A listening socket, or -errno.
int OpenListening(const Endpoint& at) {
  const int fd = OpenSocket(at.address().is_v4() ? AF_INET : AF_INET6);
  if (fd < 0) return fd;
  const int on = 1;
  const int off = 0;
  (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (at.address().is_v6()) {
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  PostponeBbr(fd);
  if (bind(fd, at.data(), static_cast<socklen_t>(at.size())) != 0 || listen(fd, SOMAXCONN) != 0) {
    const int error_number = errno;
    CloseSocket(fd);
    return -error_number;
  }
  return fd;
}

}  // namespace

// Shared with the asio handlers that are under way.
struct Listener::Impl : std::enable_shared_from_this<Listener::Impl> {
  Impl(EventLoop* its_loop, const ListenerOptions& options)
      : loop(its_loop),
        acceptor(its_loop->context()),
        pause(its_loop),
        admissions(AdmissionControl::Create(WithinDescriptors(options))),
        reserve_fd(OpenReserve()) {}
  ~Impl() {
    if (reserve_fd >= 0) CloseSocket(reserve_fd);
  }

  void Wait() {
    if (stopped) return;
    acceptor.async_wait(asio::ip::tcp::acceptor::wait_read,
                        [self = shared_from_this()](const asio::error_code&) { self->Turn(); });
  }

  void Turn() {
    bool ran_out = false;
    for (int i = 0; i < kAcceptsPerTurn && !stopped; ++i) {
      Endpoint from;
      const int fd = AcceptSocket(acceptor.native_handle(), &from);
      if (fd >= 0) {
        Admit(fd, from);
      } else if (fd == -EAGAIN) {
        return ran_out ? Pause() : Wait();
      } else if (fd == -EMFILE || fd == -ENFILE) {
        ran_out = true;
        if (!TakeWithReserve()) return Pause();
      } else if (fd != -ECONNABORTED && fd != -EPROTO) {
        return Pause();
      }
    }
    if (ran_out) return Pause();
    asio::post(loop->context(), [self = shared_from_this()] {
      if (!self->stopped) self->Turn();
    });
  }

  void Admit(int fd, const Endpoint& from) {
    Admission admission = admissions->TryAdmit(from.address(), MonotonicNow());
    if (admission == nullptr) return Refuse(fd);
    EventLoop* const home = pick_loop();
    asio::ip::tcp::socket socket(home->context());
    asio::error_code error;
    socket.assign(protocol, fd, error);
    if (error) return CloseSocket(fd);
    accept(home, std::move(socket), std::move(admission));
  }

  void Refuse(int fd) {
    SayLast(fd, refusal);
    CloseSocket(fd);
  }

  // Refuses a newcomer, who would else wait for an answer until he gives up; or admits him when
  // descriptors have become free meanwhile. False when there is none, or no reserve.
  bool TakeWithReserve() {
    if (reserve_fd < 0) return false;
    CloseSocket(reserve_fd);
    Endpoint from;
    const int fd = AcceptSocket(acceptor.native_handle(), &from);
    reserve_fd = OpenReserve();
    if (fd < 0) return false;
    if (reserve_fd >= 0) {
      Admit(fd, from);
    } else {
      Refuse(fd);
      reserve_fd = OpenReserve();
    }
    return true;
  }

  void Pause() {
    if (stopped) return;
    if (reserve_fd < 0) reserve_fd = OpenReserve();
    pause.Arm(MonotonicNow() + limits::kAcceptPause, [this] {
      const auto alive = shared_from_this();  // `accept` may destroy the listener
      Turn();
    });
  }

  void Stop() {
    stopped = true;
    pause.Disarm();
    asio::error_code ignored;
    acceptor.close(ignored);
  }

  EventLoop* const loop;
  asio::ip::tcp::acceptor acceptor;
  asio::ip::tcp protocol = asio::ip::tcp::v4();
  Timer pause;
  const std::shared_ptr<AdmissionControl> admissions;
  int reserve_fd;  // given up for a moment when there is no other descriptor
  bool stopped = false;
  std::string refusal;
  std::function<EventLoop*()> pick_loop;
  std::function<void(EventLoop*, asio::ip::tcp::socket, Admission)> accept;
};

Listener::Listener(std::shared_ptr<Impl> impl, Endpoint local)
    : impl_(std::move(impl)), local_(std::move(local)) {}

absl::StatusOr<std::unique_ptr<Listener>> Listener::Listen(
    EventLoop* loop, const Endpoint& at, const ListenerOptions& options, std::string refusal,
    std::function<EventLoop*()> pick_loop,
    std::function<void(EventLoop*, asio::ip::tcp::socket, Admission)> accept) {
  const int fd = OpenListening(at);
  if (fd < 0) return ListenError(-fd, at);
  auto impl = std::make_shared<Impl>(loop, options);
  impl->protocol = at.protocol();
  impl->refusal = std::move(refusal);
  impl->pick_loop = std::move(pick_loop);
  impl->accept = std::move(accept);
  asio::error_code error;
  impl->acceptor.assign(at.protocol(), fd, error);
  if (error) {
    CloseSocket(fd);
    return ListenError(error.value(), at);
  }
  Endpoint local = impl->acceptor.local_endpoint(error);
  if (error) return ListenError(error.value(), at);
  loop->Post([impl] { impl->Wait(); });
  return std::unique_ptr<Listener>(new Listener(std::move(impl), Unmapped(local)));
}

Listener::~Listener() { Stop(); }

void Listener::Stop() { impl_->Stop(); }

void Listener::SetOptions(const ListenerOptions& options) {
  impl_->admissions->SetOptions(options);
}

uint64_t Listener::refused() const { return impl_->admissions->refused(); }

}  // namespace p2p::net

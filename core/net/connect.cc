#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "asio/post.hpp"
#include "core/base/clock.h"
#include "core/net/congestion_control.h"
#include "core/net/connection.h"
#include "core/net/socket.h"

namespace p2p::net {
namespace {

using Done = std::function<void(absl::StatusOr<asio::ip::tcp::socket>)>;

// One attempt, kept alive by the wait for its socket. `done` is empty once it was called or the
// attempt cancelled.
struct Attempt : std::enable_shared_from_this<Attempt> {
  Attempt(EventLoop* its_loop, Done its_done)
      : loop(its_loop), socket(its_loop->context()), timer(its_loop), done(std::move(its_done)) {}

  void Begin(const Endpoint& to, absl::Duration timeout) {
    const int fd = OpenSocket(to.address().is_v4() ? AF_INET : AF_INET6);
    if (fd < 0) return FinishLater(SocketStatus(-fd));
    PostponeBbr(fd);
    asio::error_code error;
    socket.assign(to.protocol(), fd, error);
    if (error) {
      CloseSocket(fd);
      return FinishLater(SocketStatus(error.value()));
    }
    if (connect(fd, to.data(), static_cast<socklen_t>(to.size())) != 0 && errno != EINPROGRESS &&
        errno != EINTR) {
      return FinishLater(SocketStatus(errno));
    }
    timer.Arm(MonotonicNow() + timeout, [this, timeout] {
      Finish(absl::DeadlineExceededError(
          absl::StrCat("no answer within ", absl::FormatDuration(timeout))));
    });
    socket.async_wait(asio::ip::tcp::socket::wait_write,
                      [self = shared_from_this()](const asio::error_code&) {
                        if (self->done) self->Finish(self->Outcome());
                      });
  }

  absl::Status Outcome() {
    const int error_number = TakeSocketError(socket.native_handle());
    if (error_number != 0) return SocketStatus(error_number);
    // A port of the range for outgoing connections that nobody listens on may be taken by this very
    // socket: TCP then connects it to itself.
    asio::error_code error;
    if (socket.local_endpoint(error) == socket.remote_endpoint(error)) {
      return SocketStatus(ECONNREFUSED);
    }
    return error ? SocketStatus(error.value()) : absl::OkStatus();
  }

  void FinishLater(const absl::Status& status) {
    asio::post(loop->context(), [self = shared_from_this(), status] { self->Finish(status); });
  }

  void Finish(const absl::Status& status) {
    if (!done) return;
    const auto alive = shared_from_this();
    const Done call = std::exchange(done, nullptr);
    timer.Disarm();
    if (status.ok()) return call(std::move(socket));
    asio::error_code ignored;
    socket.close(ignored);
    call(status);
  }

  void Cancel() {
    done = nullptr;
    timer.Disarm();
    asio::error_code ignored;
    socket.close(ignored);
  }

  EventLoop* const loop;
  asio::ip::tcp::socket socket;
  Timer timer;
  Done done;
};

}  // namespace

std::function<void()> Connect(EventLoop* loop, const Endpoint& to, absl::Duration timeout,
                              Done done) {
  const auto attempt = std::make_shared<Attempt>(loop, std::move(done));
  attempt->Begin(to, timeout);
  return [weak = std::weak_ptr<Attempt>(attempt)] {
    if (const auto alive = weak.lock()) alive->Cancel();
  };
}

}  // namespace p2p::net

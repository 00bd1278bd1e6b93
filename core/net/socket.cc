#include "core/net/socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "core/base/status.h"

#if defined(__linux__) && !defined(P2P_PORTABLE)
#define P2P_LINUX_SOCKETS 1
#include <sys/sendfile.h>
#endif

namespace p2p::net {
namespace {

#ifdef MSG_NOSIGNAL
constexpr int kNoSignal = MSG_NOSIGNAL;
#else
constexpr int kNoSignal = 0;  // SO_NOSIGPIPE does it
#endif

void SetOption(int fd, int level, int name, int value) {
  (void)setsockopt(fd, level, name, &value, sizeof value);
}

#ifndef P2P_LINUX_SOCKETS
// -errno, with `fd` closed, when it cannot be prepared.
int Prepare(int fd) {
  if (fd < 0) return -errno;
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
      fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
    const int error_number = errno;
    close(fd);
    return -error_number;
  }
  return fd;
}
#endif

Endpoint NameOf(int fd, int (*ask)(int, sockaddr*, socklen_t*)) {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  return ask(fd, generic, &size) == 0 ? EndpointOf(*generic, size) : Endpoint();
}

#ifdef P2P_LINUX_SOCKETS
bool IsSocketError(int error_number) {
  switch (error_number) {
    case EAGAIN:
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ECONNREFUSED:
    case ENOTCONN:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
    case ENETRESET:
      return true;
    default:
      return false;
  }
}
#endif

}  // namespace

Endpoint EndpointOf(const sockaddr& address, socklen_t size) {
  Endpoint endpoint;
  std::memcpy(endpoint.data(), &address, std::min<size_t>(size, endpoint.capacity()));
  return Unmapped(endpoint);
}

Endpoint RemoteEndpoint(int fd) { return NameOf(fd, getpeername); }
Endpoint LocalEndpoint(int fd) { return NameOf(fd, getsockname); }

absl::Status SocketStatus(int error_number) {
  switch (error_number) {
    case ECONNREFUSED:
      return absl::UnavailableError("connection refused");
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
      return absl::UnavailableError("not reachable from here");
    case ETIMEDOUT:
      return absl::DeadlineExceededError("no answer");
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
      return absl::AbortedError("the other side reset the connection");
    case EAFNOSUPPORT:
      return absl::UnavailableError("this machine has no network of that kind");
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return absl::ResourceExhaustedError(ErrnoStatus(error_number, "no connection").message());
    default:
      return ErrnoStatus(error_number, "connection failed");
  }
}

int OpenSocket(int family) {
#ifdef P2P_LINUX_SOCKETS
  const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  return fd < 0 ? -errno : fd;
#else
  return Prepare(socket(family, SOCK_STREAM, IPPROTO_TCP));
#endif
}

int AcceptSocket(int listening, Endpoint* from) {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  int fd;
  do {
#ifdef P2P_LINUX_SOCKETS
    fd = accept4(listening, generic, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) fd = -errno;
#else
    fd = Prepare(accept(listening, generic, &size));
#endif
  } while (fd == -EINTR);
  if (fd >= 0) *from = EndpointOf(*generic, size);
  return fd;
}

void CloseSocket(int fd) { close(fd); }

int TakeSocketError(int fd) {
  int error_number = 0;
  socklen_t size = sizeof error_number;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error_number, &size) != 0) return errno;
  return error_number;
}

void TuneConnection(int fd, uint32_t not_sent_low_water_bytes) {
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
#ifdef SO_NOSIGPIPE
  SetOption(fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
#endif
  if (not_sent_low_water_bytes != 0) SetNotSentLowWater(fd, not_sent_low_water_bytes);
}

void SetNotSentLowWater(int fd, uint32_t bytes) {
#ifdef TCP_NOTSENT_LOWAT
  SetOption(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, static_cast<int>(bytes));
#else
  (void)fd;
  (void)bytes;
#endif
}

ssize_t Receive(int fd, absl::Span<uint8_t> buffer) {
  ssize_t got;
  do {
    got = recv(fd, buffer.data(), buffer.size(), 0);
  } while (got < 0 && errno == EINTR);
  return got < 0 ? -errno : got;
}

ssize_t SendPieces(int fd, absl::Span<const iovec> pieces, Follows follows) {
  int flags = kNoSignal;
#ifdef MSG_MORE
  if (follows != Follows::kNothing) flags |= MSG_MORE;
#endif
#ifdef P2P_LINUX_SOCKETS
  if (follows == Follows::kNextRecord) flags |= MSG_EOR;
#endif
  (void)follows;
  msghdr message = {};
  message.msg_iov = const_cast<iovec*>(pieces.data());
  message.msg_iovlen = pieces.size();
  ssize_t sent;
  do {
    sent = sendmsg(fd, &message, flags);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

void SayLast(int fd, absl::string_view text) {
  const iovec piece = {const_cast<char*>(text.data()), text.size()};
  if (!text.empty()) (void)SendPieces(fd, {&piece, 1}, Follows::kNothing);
  (void)shutdown(fd, SHUT_WR);
}

ssize_t ReadFromFile(int file_fd, uint64_t offset, absl::Span<uint8_t> buffer) {
  ssize_t got;
  do {
    got = pread(file_fd, buffer.data(), buffer.size(), static_cast<off_t>(offset));
  } while (got < 0 && errno == EINTR);
  return got < 0 ? -errno : got;
}

FileSent SendFromFile(int fd, int file_fd, uint64_t offset, size_t length,
                      absl::Span<uint8_t> scratch) {
#ifdef P2P_LINUX_SOCKETS
  off_t position = static_cast<off_t>(offset);
  ssize_t sent;
  do {
    sent = sendfile(fd, file_fd, &position, length);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return {static_cast<size_t>(sent), 0, /*of_file=*/sent == 0};
  if (IsSocketError(errno)) return {0, errno, /*of_file=*/false};
    // What is left may be the file's fault, or a file system that has no sendfile: copying tells
    // them apart.
#endif
  const ssize_t got =
      ReadFromFile(file_fd, offset, scratch.first(std::min(length, scratch.size())));
  if (got <= 0) return {0, static_cast<int>(-got), /*of_file=*/true};
  const iovec piece = {scratch.data(), static_cast<size_t>(got)};
  const bool more = static_cast<size_t>(got) < length;
  const ssize_t copied = SendPieces(fd, {&piece, 1}, more ? Follows::kMore : Follows::kNothing);
  if (copied < 0) return {0, static_cast<int>(-copied), /*of_file=*/false};
  return {static_cast<size_t>(copied), 0, /*of_file=*/false};
}

size_t SegmentBytes(int fd) {
  constexpr size_t kOfEthernet = 1'448;
  int bytes = 0;
  socklen_t size = sizeof bytes;
  const bool known = getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &bytes, &size) == 0 && bytes > 0;
  return known ? static_cast<size_t>(bytes) : kOfEthernet;
}

#ifdef P2P_LINUX_SOCKETS
namespace {

// What the C library's tcp_info does not have yet; see <linux/tcp.h>, which cannot stand beside it.
struct LongTcpInfo {
  tcp_info known;
  uint64_t not_used[4];
  uint32_t nor_used[3];
  uint32_t min_rtt;  // microseconds
  uint32_t neither[2];
  uint64_t delivery_rate;
};
static_assert(offsetof(LongTcpInfo, min_rtt) == 148);
static_assert(offsetof(LongTcpInfo, delivery_rate) == 160);

}  // namespace
#endif

TcpPath TcpPathOf(int fd) {
  TcpPath path;
#ifdef P2P_LINUX_SOCKETS
  LongTcpInfo info = {};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || size < sizeof info) return path;
  if (info.min_rtt != UINT32_MAX) path.least_round_trip = absl::Microseconds(info.min_rtt);
  path.bytes_a_second = info.delivery_rate;
#else
  (void)fd;
#endif
  return path;
}

absl::Duration TcpRoundTripTime(int fd) {
#ifdef P2P_LINUX_SOCKETS
  tcp_info info = {};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return absl::ZeroDuration();
  return absl::Microseconds(info.tcpi_rtt);
#else
  (void)fd;
  return absl::ZeroDuration();
#endif
}

}  // namespace p2p::net

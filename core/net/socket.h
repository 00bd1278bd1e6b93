// The socket calls of the system that core/net is made of, each with its portable branch. Errors
// are returned as negative errno values; interrupted calls are repeated, and no call raises SIGPIPE
// on the thread of a loop. Any thread; inside core/net only.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/base/buffers.h"
#include "core/net/address.h"

namespace p2p::net {

Endpoint EndpointOf(const sockaddr& address, socklen_t size);
// The two ends of a socket; unspecified where the system does not tell.
Endpoint RemoteEndpoint(int fd);
Endpoint LocalEndpoint(int fd);

// Why a connection failed, as a sentence. Unavailable: refused or not reachable. DeadlineExceeded:
// no answer. Aborted: reset by the other side. ResourceExhausted: this process has no descriptor or
// memory left.
absl::Status SocketStatus(int error_number);

// A new TCP socket, non-blocking and closed on exec. `family` is AF_INET or AF_INET6.
int OpenSocket(int family);
// The same for the next connection of a listening socket; `from` is unmapped.
int AcceptSocket(int listening, Endpoint* from);
void CloseSocket(int fd);
// The error that waits at the socket, which is taken away by this; 0 when none.
int TakeSocketError(int fd);

// What every connection gets: no delay, keep-alive, and the given limit (0 leaves the system's).
// Failures are ignored: they cost speed only.
void TuneConnection(int fd, uint32_t not_sent_low_water_bytes);
// The socket takes more only while fewer bytes than this are unsent. Where the system knows that.
void SetNotSentLowWater(int fd, uint32_t bytes);

// Bytes received; 0 at the end of the stream.
ssize_t Receive(int fd, absl::Span<uint8_t> buffer);
// What follows what is sent: nothing that is known of; more, at once, which may share the last
// packet; or more, at once, in a record of its own (on Linux).
enum class Follows { kNothing, kMore, kNextRecord };
// Bytes sent of `pieces`, in order.
ssize_t SendPieces(int fd, absl::Span<const iovec> pieces, Follows follows);

// The last text that goes out here, as far as the socket takes it at once; then the sending side
// has ended.
void SayLast(int fd, absl::string_view text);

// Bytes read; 0 where the file ends before.
ssize_t ReadFromFile(int file_fd, uint64_t offset, absl::Span<uint8_t> buffer);

// `bytes` are sent; `error_number` says why no more, of the socket or of the file.
struct FileSent {
  size_t bytes = 0;
  int error_number = 0;
  bool of_file = false;  // the file could not be read; error_number 0: it ends before `offset`
};
// Sends from `length` bytes at `offset` of `file_fd`. `scratch` is used where the system cannot
// send from files.
FileSent SendFromFile(int fd, int file_fd, uint64_t offset, size_t length,
                      absl::Span<uint8_t> scratch);

// Payload of one packet, as far as is known now; a guess where the system does not tell.
size_t SegmentBytes(int fd);
// The smoothed round-trip time as TCP measures it; zero where unknown.
absl::Duration TcpRoundTripTime(int fd);
// The least round trip, and what the path delivers: bytes a second, whatever this process gives it
// to send. Zero where unknown.
struct TcpPath {
  absl::Duration least_round_trip;
  uint64_t bytes_a_second = 0;
};
TcpPath TcpPathOf(int fd);

}  // namespace p2p::net

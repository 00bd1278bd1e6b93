#include <sys/socket.h>
#include <sys/types.h>

#include <cerrno>

#include "core/base/status.h"
#include "tracker/byte_stream.h"

namespace p2p::tracker {
namespace {

absl::StatusOr<size_t> Moved(ssize_t n) {
  if (n >= 0) return static_cast<size_t>(n);
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return size_t{0};
  return ErrnoStatus(errno, "the connection failed");
}

class PlainStream : public ByteStream {
 public:
  explicit PlainStream(int fd) : fd_(fd) {}

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    const ssize_t n = recv(fd_, buffer.data(), buffer.size(), 0);
    if (n == 0) return absl::UnavailableError("it ended the connection");
    return Moved(n);
  }
  absl::StatusOr<size_t> Write(absl::string_view bytes) override {
    return Moved(send(fd_, bytes.data(), bytes.size(), 0));
  }
  bool WaitsForRoom() const override { return true; }

 private:
  const int fd_;
};

}  // namespace

std::unique_ptr<ByteStream> MakePlainStream(int fd) { return std::make_unique<PlainStream>(fd); }

}  // namespace p2p::tracker

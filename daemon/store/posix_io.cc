#include "daemon/store/posix_io.h"

#include <unistd.h>

#include <cerrno>

namespace p2p::store {
namespace {

// A regular file that says EAGAIN this often in a row has something wrong with it.
constexpr int kMaxAgain = 100;

// Whether the call that set errno should simply be made again.
bool ShouldRetry(int* again) { return errno == EINTR || (errno == EAGAIN && ++*again < kMaxAgain); }

}  // namespace

void Descriptor::Close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

int ReadFully(PreadFunction pread_call, int fd, uint64_t offset, absl::Span<uint8_t> data) {
  int again = 0;
  while (!data.empty()) {
    const ssize_t got = pread_call(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (got < 0) {
      if (ShouldRetry(&again)) continue;
      return errno;
    }
    if (got == 0) return kEndOfFile;
    again = 0;
    offset += static_cast<uint64_t>(got);
    data.remove_prefix(static_cast<size_t>(got));
  }
  return 0;
}

int WriteFully(PwriteFunction pwrite_call, int fd, uint64_t offset,
               absl::Span<const uint8_t> data) {
  int again = 0;
  while (!data.empty()) {
    const ssize_t put = pwrite_call(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (put < 0) {
      if (ShouldRetry(&again)) continue;
      return errno;
    }
    // A write of nothing without a reason would loop for ever.
    if (put == 0) return EIO;
    again = 0;
    offset += static_cast<uint64_t>(put);
    data.remove_prefix(static_cast<size_t>(put));
  }
  return 0;
}

std::string ReadUpTo(int fd, size_t most) {
  std::string text(most, '\0');
  const ssize_t got = ::pread(fd, &text[0], most, 0);
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return text;
}

}  // namespace p2p::store

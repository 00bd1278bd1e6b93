// System calls on descriptors, done to the end: interrupted ones again, short ones on. Any thread.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/types/span.h"

namespace p2p::store {

// Owns a file descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Descriptor() { Close(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  // Whoever takes it closes it.
  int Release() { return std::exchange(fd_, -1); }

 private:
  void Close();

  int fd_ = -1;
};

using PreadFunction = ssize_t (*)(int, void*, size_t, off_t);
using PwriteFunction = ssize_t (*)(int, const void*, size_t, off_t);

// Not an errno: the file ended before the range did.
inline constexpr int kEndOfFile = -1;

// Read or write the whole range. 0, an errno, or kEndOfFile. The call itself is an argument so that
// tests can give one that is interrupted or does less than it was asked for.
int ReadFully(PreadFunction pread_call, int fd, uint64_t offset, absl::Span<uint8_t> data);
int WriteFully(PwriteFunction pwrite_call, int fd, uint64_t offset, absl::Span<const uint8_t> data);

// The beginning of a small file, at most `most` bytes; "" when it cannot be read.
std::string ReadUpTo(int fd, size_t most);

}  // namespace p2p::store

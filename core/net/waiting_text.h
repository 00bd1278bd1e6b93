// The text that waits in one connection to be sent, counted among that of all connections of the
// process: thousands of peers that do not read then hold no more than some that do not. Belongs to
// its connection.
#pragma once

#include <atomic>
#include <cstddef>

#include "core/base/limits.h"

namespace p2p::net {

class WaitingText {
 public:
  WaitingText() = default;
  WaitingText(const WaitingText&) = delete;
  WaitingText& operator=(const WaitingText&) = delete;
  ~WaitingText() { Set(0); }

  size_t bytes() const { return bytes_; }
  void Set(size_t bytes) {
    of_all_ += bytes - bytes_;  // wraps where it is less
    bytes_ = bytes;
  }
  // How much may wait in one connection. Any thread.
  static size_t Limit() {
    return of_all_ <= kMostOfAllBytes ? limits::kMaxSendBacklogBytes : kLeastBytes;
  }

 private:
  // With more than this in all connections, each may have no more than the least.
  static constexpr size_t kMostOfAllBytes = 64 << 20;
  static constexpr size_t kLeastBytes = 16 << 10;

  static inline std::atomic<size_t> of_all_{0};
  size_t bytes_ = 0;
};

}  // namespace p2p::net

// Bytes that many may hold together. Thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace p2p {

class ByteBudget {
 public:
  explicit ByteBudget(size_t most) : most_(most) {}
  size_t held() const { return held_; }

  // What one of them holds; given back with it.
  class Share {
   public:
    explicit Share(std::shared_ptr<ByteBudget> of) : of_(std::move(of)) {}
    ~Share() { of_->held_ -= held_; }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    // Holds so many bytes from now on, if they are more than so far. False, and as before, when all
    // together would hold too many.
    bool Grow(size_t bytes) {
      if (bytes <= held_) return true;
      const size_t more = bytes - held_;
      if (of_->held_.fetch_add(more) + more > of_->most_) {
        of_->held_ -= more;
        return false;
      }
      held_ = bytes;
      return true;
    }

   private:
    const std::shared_ptr<ByteBudget> of_;
    size_t held_ = 0;
  };

 private:
  const size_t most_;
  std::atomic<size_t> held_{0};
};

}  // namespace p2p

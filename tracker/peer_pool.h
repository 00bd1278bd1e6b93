// Registrations by their numbers, in no order, but whole ones first. Each registration knows its
// place, which the owner of the pool keeps up to date through `Places`. One owner, one thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace p2p::tracker {

class PeerPool {
 public:
  size_t size() const { return size_; }
  size_t whole_count() const { return whole_count_; }
  size_t capacity() const { return capacity_; }
  size_t Count(bool whole_only) const { return whole_only ? whole_count_ : size_; }
  uint32_t operator[](size_t i) const { return peers_[i]; }

  // `place_of(i)` is a reference to where registration i keeps its place in this pool.
  template <typename Places>
  void Swap(size_t a, size_t b, const Places& place_of) {
    std::swap(peers_[a], peers_[b]);
    place_of(peers_[a]) = static_cast<uint32_t>(a);
    place_of(peers_[b]) = static_cast<uint32_t>(b);
  }
  template <typename Places>
  void Add(uint32_t peer, bool partial, const Places& place_of) {
    if (size_ == capacity_) Grow();
    peers_[size_] = peer;
    place_of(peer) = size_++;
    if (!partial) Swap(place_of(peer), whole_count_++, place_of);
  }
  template <typename Places>
  void TakeOut(uint32_t peer, bool partial, const Places& place_of) {
    if (!partial) Swap(place_of(peer), --whole_count_, place_of);
    Swap(place_of(peer), size_ - 1, place_of);
    --size_;
    if (size_ < capacity_ / 4 && capacity_ > kSmallCapacity) Resize(capacity_ / 2);
  }

 private:
  static constexpr uint32_t kSmallCapacity = 64;

  // In steps that fill what the allocator gives; most names have few peers.
  void Grow() {
    Resize(capacity_ < kSmallCapacity ? (capacity_ == 0 ? 2 : capacity_ + 4)
                                      : capacity_ + capacity_ / 2);
  }
  void Resize(uint32_t capacity) {
    std::unique_ptr<uint32_t[]> resized(new uint32_t[capacity]);
    std::copy_n(peers_.get(), size_, resized.get());
    peers_ = std::move(resized);
    capacity_ = capacity;
  }

  std::unique_ptr<uint32_t[]> peers_;
  uint32_t size_ = 0;
  uint32_t whole_count_ = 0;
  uint32_t capacity_ = 0;
};

}  // namespace p2p::tracker

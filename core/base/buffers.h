// Chunk buffers from one capped pool, and slices of open files: how payload is passed between parts
// without a copy. ChunkPool is thread-safe; buffers and slices belong to whoever holds them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

namespace p2p {

class ChunkPool;

// A leased, page-aligned piece of memory; given back to its pool when destroyed. Empty when
// default-made.
class ChunkBuffer {
 public:
  ChunkBuffer() = default;
  ChunkBuffer(ChunkBuffer&& other) noexcept;
  ChunkBuffer& operator=(ChunkBuffer&& other) noexcept;
  ~ChunkBuffer();

  explicit operator bool() const { return data_ != nullptr; }
  uint8_t* data() { return data_; }
  // The bytes asked for at the lease.
  size_t size() const { return size_; }
  absl::Span<uint8_t> span() { return {data_, size_}; }
  absl::Span<const uint8_t> span() const { return {data_, size_}; }

 private:
  friend class ChunkPool;
  ChunkBuffer(std::shared_ptr<ChunkPool> pool, uint8_t* data, size_t size)
      : pool_(std::move(pool)), data_(data), size_(size) {}
  void Release();

  std::shared_ptr<ChunkPool> pool_;
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// At most `cap_bytes` are leased at a time, counted in 4 KiB pages. Buffers are kept for the next
// lease of as many pages, within the same cap, and given back to the system by Trim().
class ChunkPool : public std::enable_shared_from_this<ChunkPool> {
 public:
  static std::shared_ptr<ChunkPool> Create(size_t cap_bytes);
  ~ChunkPool();

  // An empty buffer when the cap is reached. `size` is at most limits::kChunkBytes.
  ChunkBuffer TryLease(size_t size);
  // Whoever was woken has it until its lease was tried: then the next one is woken if there is room
  // for it, too.
  using Turn = std::shared_ptr<void>;
  // Calls `wake` once, when a lease may succeed again: those that wait are woken one by one, as
  // they came, on the thread that gives a buffer or a turn back. At once when it may already.
  void WhenFree(std::function<void(Turn)> wake);
  // Frees the kept buffers: an idle daemon holds none.
  void Trim();
  size_t leased_bytes() const;
  // Leased and kept.
  size_t held_bytes() const;

 private:
  friend class ChunkBuffer;
  explicit ChunkPool(size_t cap_bytes) : cap_bytes_(cap_bytes) {}
  void GiveBack(uint8_t* data, size_t size);
  void WakeNext();
  Turn MakeTurn();
  bool HasRoom() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Takes kept buffers out until the cap has room for what is leased; the caller frees them.
  std::vector<uint8_t*> TakeSurplus() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t cap_bytes_;
  mutable absl::Mutex mutex_;
  size_t leased_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // By their size.
  absl::flat_hash_map<size_t, std::vector<uint8_t*>> kept_ ABSL_GUARDED_BY(mutex_);
  size_t kept_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // The system had no memory; what it gets back changes that.
  bool short_of_memory_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<std::function<void(Turn)>> waiting_ ABSL_GUARDED_BY(mutex_);
};

// `length` bytes at `offset` of an open file; `owner` keeps `fd` open.
struct FileSlice {
  std::shared_ptr<const void> owner;
  int fd = -1;
  uint64_t offset = 0;
  uint32_t length = 0;
};

}  // namespace p2p

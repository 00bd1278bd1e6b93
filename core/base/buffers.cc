#include "core/base/buffers.h"

#include <cstdlib>
#include <utility>

#include "core/base/limits.h"

namespace p2p {
namespace {

constexpr size_t kPageBytes = 4'096;

uint8_t* Allocate(size_t size) {
  return static_cast<uint8_t*>(std::aligned_alloc(kPageBytes, size));
}

bool SystemHasMemory() {
  uint8_t* const probe = Allocate(limits::kChunkBytes);
  std::free(probe);
  return probe != nullptr;
}

size_t RoundUp(size_t size) { return (size + kPageBytes - 1) / kPageBytes * kPageBytes; }

}  // namespace

ChunkBuffer::ChunkBuffer(ChunkBuffer&& other) noexcept
    : pool_(std::move(other.pool_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

ChunkBuffer& ChunkBuffer::operator=(ChunkBuffer&& other) noexcept {
  if (this != &other) {
    Release();
    pool_ = std::move(other.pool_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

ChunkBuffer::~ChunkBuffer() { Release(); }

void ChunkBuffer::Release() {
  if (data_ != nullptr) pool_->GiveBack(std::exchange(data_, nullptr), size_);
  pool_.reset();
}

std::shared_ptr<ChunkPool> ChunkPool::Create(size_t cap_bytes) {
  return std::shared_ptr<ChunkPool>(new ChunkPool(cap_bytes));
}

ChunkPool::~ChunkPool() { Trim(); }

ChunkBuffer ChunkPool::TryLease(size_t size) {
  const size_t rounded = RoundUp(size);
  uint8_t* data = nullptr;
  std::vector<uint8_t*> surplus;
  {
    absl::MutexLock lock(&mutex_);
    if (size == 0 || leased_bytes_ + rounded > cap_bytes_) return ChunkBuffer();
    leased_bytes_ += rounded;
    const auto kept = kept_.find(rounded);
    if (kept != kept_.end()) {
      data = kept->second.back();
      kept->second.pop_back();
      kept_bytes_ -= rounded;
      if (kept->second.empty()) kept_.erase(kept);
    } else {
      surplus = TakeSurplus();
    }
  }
  for (uint8_t* dropped : surplus) std::free(dropped);
  if (data == nullptr) data = Allocate(rounded);
  if (data == nullptr) {
    Trim();  // buffers of other sizes
    data = Allocate(rounded);
  }
  if (data == nullptr) {
    absl::MutexLock lock(&mutex_);
    leased_bytes_ -= rounded;
    short_of_memory_ = true;
    return ChunkBuffer();
  }
  return ChunkBuffer(shared_from_this(), data, size);
}

std::vector<uint8_t*> ChunkPool::TakeSurplus() {
  std::vector<uint8_t*> surplus;
  while (kept_bytes_ > 0 && leased_bytes_ + kept_bytes_ > cap_bytes_) {
    const auto any = kept_.begin();
    surplus.push_back(any->second.back());
    any->second.pop_back();
    kept_bytes_ -= any->first;
    if (any->second.empty()) kept_.erase(any);
  }
  return surplus;
}

bool ChunkPool::HasRoom() const { return leased_bytes_ + limits::kChunkBytes <= cap_bytes_; }

ChunkPool::Turn ChunkPool::MakeTurn() {
  return Turn(nullptr, [weak = weak_from_this()](void*) {
    if (const auto self = weak.lock()) self->WakeNext();
  });
}

void ChunkPool::WakeNext() {
  std::function<void(Turn)> wake;
  {
    absl::MutexLock lock(&mutex_);
    if (waiting_.empty() || short_of_memory_ || !HasRoom()) return;
    wake = std::move(waiting_.front());
    waiting_.pop_front();
  }
  wake(MakeTurn());
}

void ChunkPool::WhenFree(std::function<void(Turn)> wake) {
  {
    absl::MutexLock lock(&mutex_);
    // Where the system has no memory it is one of the leased buffers that will do.
    const bool is_short = leased_bytes_ > 0 && !SystemHasMemory();
    if (is_short || !HasRoom()) {
      waiting_.push_back(std::move(wake));
      return;
    }
  }
  wake(MakeTurn());
}

void ChunkPool::GiveBack(uint8_t* data, size_t size) {
  const size_t rounded = RoundUp(size);
  {
    absl::MutexLock lock(&mutex_);
    leased_bytes_ -= rounded;
    kept_[rounded].push_back(data);
    kept_bytes_ += rounded;
    short_of_memory_ = false;
  }
  WakeNext();
}

void ChunkPool::Trim() {
  absl::flat_hash_map<size_t, std::vector<uint8_t*>> kept;
  {
    absl::MutexLock lock(&mutex_);
    kept.swap(kept_);
    kept_bytes_ = 0;
  }
  for (const auto& [size, buffers] : kept) {
    for (uint8_t* data : buffers) std::free(data);
  }
}

size_t ChunkPool::held_bytes() const {
  absl::MutexLock lock(&mutex_);
  return leased_bytes_ + kept_bytes_;
}

size_t ChunkPool::leased_bytes() const {
  absl::MutexLock lock(&mutex_);
  return leased_bytes_;
}

}  // namespace p2p

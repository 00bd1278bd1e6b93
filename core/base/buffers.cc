#include "core/base/buffers.h"

#include <cstdlib>
#include <utility>

#include "core/base/limits.h"

namespace p2p {
namespace {

constexpr size_t kPageBytes = 4'096;

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
  uint8_t* dropped = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    if (size == 0 || leased_bytes_ + rounded > cap_bytes_) return ChunkBuffer();
    leased_bytes_ += rounded;
    if (rounded == limits::kChunkBytes && !kept_.empty()) {
      data = kept_.back();
      kept_.pop_back();
    } else if (!kept_.empty() && HeldBytes() > cap_bytes_) {
      // One is enough: no lease is larger than a kept buffer.
      dropped = kept_.back();
      kept_.pop_back();
    }
  }
  std::free(dropped);
  if (data == nullptr) data = static_cast<uint8_t*>(std::aligned_alloc(kPageBytes, rounded));
  if (data == nullptr) {
    absl::MutexLock lock(&mutex_);
    leased_bytes_ -= rounded;
    return ChunkBuffer();
  }
  return ChunkBuffer(shared_from_this(), data, size);
}

void ChunkPool::WhenFree(std::function<void()> wake) {
  {
    absl::MutexLock lock(&mutex_);
    if (leased_bytes_ + limits::kChunkBytes > cap_bytes_) {
      waiting_.push_back(std::move(wake));
      return;
    }
  }
  wake();
}

void ChunkPool::GiveBack(uint8_t* data, size_t size) {
  const size_t rounded = RoundUp(size);
  std::vector<std::function<void()>> wake;
  {
    absl::MutexLock lock(&mutex_);
    leased_bytes_ -= rounded;
    if (rounded == limits::kChunkBytes) kept_.push_back(std::exchange(data, nullptr));
    if (leased_bytes_ + limits::kChunkBytes <= cap_bytes_) wake.swap(waiting_);
  }
  std::free(data);
  for (auto& w : wake) w();
}

void ChunkPool::Trim() {
  std::vector<uint8_t*> kept;
  {
    absl::MutexLock lock(&mutex_);
    kept.swap(kept_);
  }
  for (uint8_t* data : kept) std::free(data);
}

size_t ChunkPool::HeldBytes() const { return leased_bytes_ + kept_.size() * limits::kChunkBytes; }

size_t ChunkPool::held_bytes() const {
  absl::MutexLock lock(&mutex_);
  return HeldBytes();
}

size_t ChunkPool::leased_bytes() const {
  absl::MutexLock lock(&mutex_);
  return leased_bytes_;
}

}  // namespace p2p

#include "daemon/session/chunk_receiver.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace p2p::session {

void ChunkReceiver::Begin(const ChunkPart& part, uint32_t length, std::vector<Hash256> proof) {
  part_ = part;
  proof_ = std::move(proof);
  length_ = length;
  received_ = 0;
}

bool ChunkReceiver::Lease() {
  if (!buffer_) buffer_ = pool_->TryLease(length_);
  return static_cast<bool>(buffer_);
}

size_t ChunkReceiver::Take(absl::string_view input) {
  const absl::Span<uint8_t> rest = Rest();
  const size_t size = std::min(rest.size(), input.size());
  if (size > 0) std::memcpy(rest.data(), input.data(), size);
  Advance(size);
  return size;
}

ChunkReceived ChunkReceiver::Finish() {
  length_ = 0;
  return ChunkReceived{part_, std::move(proof_), std::move(buffer_)};
}

void ChunkReceiver::Abandon() {
  length_ = 0;
  proof_.clear();
  buffer_ = ChunkBuffer();
}

}  // namespace p2p::session

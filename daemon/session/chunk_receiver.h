// Puts the payload of one chunk, or part of one, at a time into a leased buffer. Part of a session;
// on its loop.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/buffers.h"
#include "core/base/limits.h"
#include "daemon/session/peer_session.h"

namespace p2p::session {

class ChunkReceiver {
 public:
  explicit ChunkReceiver(std::shared_ptr<ChunkPool> pool) : pool_(std::move(pool)) {}

  // `length` is what was asked for: the caller has checked that the other side announces just that.
  void Begin(const ChunkPart& part, uint32_t length, std::vector<Hash256> proof = {});
  bool active() const { return length_ != 0; }
  const ChunkPart& part() const { return part_; }
  bool waits_for_buffer() const { return active() && !buffer_; }
  // False when there is no buffer and the pool has none.
  bool Lease();
  bool has_buffer() const { return static_cast<bool>(buffer_); }
  // Whether the pool has none for another chunk, so that somebody may wait for this one's.
  bool IsPoolEmpty() { return !pool_->TryLease(limits::kChunkBytes); }

  // Where the rest of the payload belongs.
  absl::Span<uint8_t> Rest() { return buffer_.span().subspan(received_); }
  // `size` bytes were put at the front of Rest().
  void Advance(size_t size) { received_ += size; }
  // Copies what belongs to the payload from the front of `input`; returns how much that was.
  size_t Take(absl::string_view input);

  bool Done() const { return active() && received_ == length_; }
  // The chunk that is done; the receiver is free again.
  ChunkReceived Finish();
  // Gives the buffer back.
  void Abandon();

 private:
  const std::shared_ptr<ChunkPool> pool_;
  ChunkPart part_;
  std::vector<Hash256> proof_;
  uint32_t length_ = 0;  // 0: no payload is expected
  size_t received_ = 0;
  ChunkBuffer buffer_;
};

}  // namespace p2p::session

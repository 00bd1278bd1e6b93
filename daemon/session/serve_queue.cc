#include "daemon/session/serve_queue.h"

#include <algorithm>

#include "daemon/session/peer_session.h"

namespace p2p::session {
namespace {

constexpr size_t kMaxChunksAhead = PeerSession::kServeAhead * 16;
constexpr uint64_t kMaxBytesAhead = uint64_t{PeerSession::kServeAhead} * limits::kChunkBytes;

}  // namespace

uint32_t ServeQueue::Add(ChunkRun run, uint32_t most) {
  const uint32_t taken = std::min(run.count, most - std::min(most, size_));
  if (taken == 0) return 0;
  size_ += taken;
  if (!runs_.empty() && runs_.back().first + runs_.back().count == run.first) {
    runs_.back().count += taken;
  } else {
    runs_.push_back({run.first, taken});
  }
  return taken;
}

std::vector<ChunkRun> ServeQueue::Cancel(ChunkRun run) {
  const uint32_t end = run.first + run.count;
  std::vector<ChunkRun> cancelled;
  std::deque<ChunkRun> kept;
  for (const ChunkRun& waiting : runs_) {
    const uint32_t waiting_end = waiting.first + waiting.count;
    const uint32_t from = std::max(waiting.first, run.first);
    const uint32_t to = std::min(waiting_end, end);
    if (from >= to) {
      kept.push_back(waiting);
      continue;
    }
    cancelled.push_back({from, to - from});
    size_ -= to - from;
    if (waiting.first < from) kept.push_back({waiting.first, from - waiting.first});
    if (to < waiting_end) kept.push_back({to, waiting_end - to});
  }
  if (!cancelled.empty()) runs_.swap(kept);
  return cancelled;
}

absl::optional<ChunkIndex> ServeQueue::TakeNext() {
  if (runs_.empty()) return absl::nullopt;
  ChunkRun& front = runs_.front();
  const ChunkIndex chunk(front.first);
  ++front.first;
  --size_;
  if (--front.count == 0) runs_.pop_front();
  return chunk;
}

bool ServeWindow::HasRoom() const {
  const size_t chunks = static_cast<size_t>(preparing_) + prepared_.size();
  if (chunks >= kMaxChunksAhead) return false;
  const uint64_t bytes = prepared_bytes_ + uint64_t(preparing_ + 1) * expected_bytes_;
  return bytes <= kMaxBytesAhead;
}

void ServeWindow::OnPrepared(uint32_t length, uint64_t end_position) {
  --preparing_;
  prepared_.push_back({length, end_position});
  prepared_bytes_ += length;
  // Rises at once, falls slowly: a run of small files may end in a large one.
  expected_bytes_ = std::max({length, expected_bytes_ / 2, 1u});
}

void ServeWindow::OnSentUpTo(uint64_t position) {
  while (!prepared_.empty() && prepared_.front().end_position <= position) {
    prepared_bytes_ -= prepared_.front().length;
    prepared_.pop_front();
  }
}

}  // namespace p2p::session

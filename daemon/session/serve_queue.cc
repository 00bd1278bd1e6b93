#include "daemon/session/serve_queue.h"

#include <algorithm>

#include "daemon/session/peer_session.h"

namespace p2p::session {
namespace {

constexpr size_t kMaxChunksAhead = PeerSession::kServeAhead * 16;
constexpr uint64_t kMaxBytesAhead = uint64_t{PeerSession::kServeAhead} * limits::kChunkBytes;
constexpr absl::Duration kAhead = absl::Milliseconds(25);
// Chunks that are compared for the next one to send.
constexpr uint32_t kMostCompared = 64;

}  // namespace

uint32_t ServeQueue::Add(ChunkRun run, uint32_t most) {
  const uint32_t taken = std::min(run.count, most - std::min(most, size_));
  if (taken == 0) return 0;
  size_ += taken;
  if (!runs_.empty() && runs_.back().first.whole() &&
      runs_.back().first.chunk.value() + runs_.back().count == run.first) {
    runs_.back().count += taken;
  } else {
    runs_.push_back({ChunkIndex(run.first), taken});
  }
  return taken;
}

bool ServeQueue::Add(const ChunkPart& part, uint32_t most) {
  if (size_ >= most) return false;
  ++size_;
  runs_.push_back({part, 1});
  return true;
}

std::vector<ChunkRun> ServeQueue::Cancel(ChunkRun run) {
  const uint32_t end = run.first + run.count;
  std::vector<ChunkRun> cancelled;
  std::deque<Run> kept;
  for (const Run& waiting : runs_) {
    const uint32_t first = waiting.first.chunk.value();
    const uint32_t waiting_end = first + waiting.count;
    const uint32_t from = std::max(first, run.first);
    const uint32_t to = std::min(waiting_end, end);
    if (!waiting.first.whole() || from >= to) {
      kept.push_back(waiting);
      continue;
    }
    cancelled.push_back({from, to - from});
    size_ -= to - from;
    if (first < from) kept.push_back({waiting.first, from - first});
    if (to < waiting_end) kept.push_back({ChunkIndex(to), waiting_end - to});
  }
  if (!cancelled.empty()) runs_.swap(kept);
  return cancelled;
}

bool ServeQueue::Cancel(const ChunkPart& part) {
  const auto at = std::find_if(runs_.begin(), runs_.end(),
                               [&](const Run& waiting) { return waiting.first == part; });
  if (at == runs_.end()) return false;
  runs_.erase(at);
  --size_;
  return true;
}

absl::optional<ChunkPart> ServeQueue::TakeNext(const SendTally* tally) {
  if (runs_.empty()) return absl::nullopt;
  size_t best_run = 0;
  uint32_t best_offset = 0;
  uint32_t least = UINT32_MAX;
  uint32_t compared = 0;
  for (size_t run = 0; tally != nullptr && run < runs_.size() && least > 0; ++run) {
    ChunkPart part = runs_[run].first;
    for (uint32_t i = 0; i < runs_[run].count && least > 0; ++i, ++part.chunk) {
      if (compared++ == kMostCompared) return TakeFrom(best_run, best_offset);
      const uint32_t count = tally->Of(part);
      if (count >= least) continue;
      least = count;
      best_run = run;
      best_offset = i;
    }
  }
  return TakeFrom(best_run, best_offset);
}

ChunkPart ServeQueue::TakeFrom(size_t run, uint32_t offset) {
  --size_;
  const auto at = runs_.begin() + static_cast<std::ptrdiff_t>(run);
  ChunkPart taken = at->first;
  taken.chunk += ChunkIndex(offset);
  const Run rest{taken.chunk + ChunkIndex(1), at->count - offset - 1};
  at->count = offset;
  if (offset == 0) {
    if (rest.count > 0) {
      *at = rest;
    } else {
      runs_.erase(at);
    }
  } else if (rest.count > 0) {
    runs_.insert(at + 1, rest);
  }
  return taken;
}

bool ServeWindow::HasRoom() const {
  const size_t chunks = static_cast<size_t>(preparing_) + prepared_.size();
  if (chunks == 0) return true;
  if (chunks >= kMaxChunksAhead) return false;
  const uint64_t bytes = prepared_bytes_ + uint64_t(preparing_ + 1) * expected_bytes_;
  return bytes <= ahead_bytes_;
}

void ServeWindow::OnPrepared(uint32_t length, uint64_t end_position, absl::Time now) {
  if (prepared_.empty()) BeginRound(now);
  --preparing_;
  prepared_.push_back({length, end_position});
  prepared_bytes_ += length;
  // Rises at once, falls slowly: a run of small files may end in a large one.
  expected_bytes_ = std::max({length, expected_bytes_ / 2, 1u});
}

void ServeWindow::OnSentUpTo(uint64_t position, absl::Time now) {
  while (!prepared_.empty() && prepared_.front().end_position <= position) {
    prepared_bytes_ -= prepared_.front().length;
    prepared_.pop_front();
  }
  round_bytes_ += position - counted_up_to_;
  counted_up_to_ = position;
  const absl::Duration elapsed = now - round_started_;
  if (elapsed >= kAhead) {
    const double rate = round_bytes_ / absl::ToDoubleSeconds(elapsed);
    ahead_bytes_ = static_cast<uint64_t>(rate * absl::ToDoubleSeconds(kAhead));
  } else if (round_bytes_ >= ahead_bytes_) {
    ahead_bytes_ *= 2;
  } else {
    return;
  }
  ahead_bytes_ = std::min(std::max(ahead_bytes_, limits::kMinSendAheadBytes), kMaxBytesAhead);
  BeginRound(now);
}

void ServeWindow::BeginRound(absl::Time now) {
  round_started_ = now;
  round_bytes_ = 0;
}

}  // namespace p2p::session

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

void ServeQueue::Push(const ChunkPart& part) {
  const Place place = next_place_++;
  waiting_.emplace_hint(waiting_.end(), place, part);
  index_.insert({part, place});
}

ChunkPart ServeQueue::Take(Waiting::iterator at) {
  const ChunkPart part = at->second;
  index_.erase({part, at->first});
  waiting_.erase(at);
  return part;
}

uint32_t ServeQueue::Add(ChunkRun run, uint32_t most) {
  const uint32_t taken = std::min(run.count, most - std::min(most, size()));
  for (uint32_t i = 0; i < taken; ++i) Push(ChunkIndex(run.first + i));
  return taken;
}

bool ServeQueue::Add(const ChunkPart& part, uint32_t most) {
  if (size() >= most) return false;
  Push(part);
  return true;
}

std::vector<ChunkRun> ServeQueue::Cancel(ChunkRun run) {
  const uint64_t end = uint64_t{run.first} + run.count;
  std::vector<ChunkRun> cancelled;
  const auto from = index_.lower_bound({ChunkIndex(run.first), 0});
  auto at = from;
  for (; at != index_.end() && at->part.whole() && at->part.chunk.value() < end; ++at) {
    const uint32_t chunk = at->part.chunk.value();
    if (!cancelled.empty() && cancelled.back().first + cancelled.back().count == chunk) {
      ++cancelled.back().count;
    } else {
      cancelled.push_back({chunk, 1});
    }
    waiting_.erase(at->place);
  }
  index_.erase(from, at);
  return cancelled;
}

bool ServeQueue::Cancel(const ChunkPart& part) {
  const auto at = index_.lower_bound({part, 0});
  if (at == index_.end() || at->part != part) return false;
  waiting_.erase(at->place);
  index_.erase(at);
  return true;
}

absl::optional<ChunkPart> ServeQueue::TakeNext(const SendTally* tally) {
  if (waiting_.empty()) return absl::nullopt;
  auto best = waiting_.begin();
  uint32_t least = UINT32_MAX;
  uint32_t compared = 0;
  for (auto at = best; tally != nullptr && at != waiting_.end() && least > 0; ++at) {
    if (compared++ == kMostCompared) break;
    const uint32_t count = tally->Of(at->second);
    if (count >= least) continue;
    least = count;
    best = at;
  }
  return Take(best);
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
  if (round_bytes_ >= ahead_bytes_) {
    // All of it: a longer round is then that of a loop with other work, not of a slow path.
    if (elapsed < kAhead) ahead_bytes_ *= 2;
  } else if (elapsed >= kAhead) {
    const double rate = round_bytes_ / absl::ToDoubleSeconds(elapsed);
    ahead_bytes_ = static_cast<uint64_t>(rate * absl::ToDoubleSeconds(kAhead));
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

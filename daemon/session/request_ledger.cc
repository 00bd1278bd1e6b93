#include "daemon/session/request_ledger.h"

namespace p2p::session {

bool RequestLedger::Add(ChunkIndex chunk, uint32_t length) {
  Entry& entry = entries_[chunk];
  if (entry.asked > entry.cancelled) return false;
  entry.length = length;
  ++entry.asked;
  ++size_;
  bytes_ += length;
  return true;
}

bool RequestLedger::Cancel(ChunkIndex chunk) {
  const auto at = entries_.find(chunk);
  if (at == entries_.end() || at->second.asked == at->second.cancelled) return false;
  ++at->second.cancelled;
  return true;
}

absl::optional<uint32_t> RequestLedger::Length(ChunkIndex chunk) const {
  const auto at = entries_.find(chunk);
  if (at == entries_.end()) return absl::nullopt;
  return at->second.length;
}

void RequestLedger::OnArrived(ChunkIndex chunk) {
  const auto at = entries_.find(chunk);
  if (at != entries_.end()) OnAnswer(at, /*cancelled=*/false);
}

RequestLedger::Rejection RequestLedger::OnRejected(ChunkIndex chunk) {
  const auto at = entries_.find(chunk);
  if (at == entries_.end()) return Rejection::kNotAsked;
  const bool still_asked = at->second.cancelled > 0 && at->second.asked > at->second.cancelled;
  OnAnswer(at, /*cancelled=*/true);
  return still_asked ? Rejection::kStillAsked : Rejection::kOver;
}

void RequestLedger::OnAnswer(absl::flat_hash_map<ChunkIndex, Entry>::iterator at, bool cancelled) {
  Entry& entry = at->second;
  --size_;
  bytes_ -= entry.length;
  if (--entry.asked == 0) {
    entries_.erase(at);
  } else if (entry.cancelled > 0 && (cancelled || entry.cancelled > entry.asked)) {
    --entry.cancelled;
  }
}

}  // namespace p2p::session

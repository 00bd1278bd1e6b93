#include "daemon/session/request_ledger.h"

namespace p2p::session {

bool RequestLedger::Add(const ChunkPart& part, uint32_t length) {
  Entry& entry = entries_[part];
  if (entry.asked > entry.cancelled) return false;
  entry.length = length;
  ++entry.asked;
  ++size_;
  bytes_ += length;
  return true;
}

bool RequestLedger::Cancel(const ChunkPart& part) {
  const auto at = entries_.find(part);
  if (at == entries_.end() || at->second.asked == at->second.cancelled) return false;
  ++at->second.cancelled;
  return true;
}

absl::optional<uint32_t> RequestLedger::Length(const ChunkPart& part) const {
  const auto at = entries_.find(part);
  if (at == entries_.end()) return absl::nullopt;
  return at->second.length;
}

void RequestLedger::OnArrived(const ChunkPart& part) {
  const auto at = entries_.find(part);
  if (at != entries_.end()) OnAnswer(at, /*cancelled=*/false);
}

RequestLedger::Rejection RequestLedger::OnRejected(const ChunkPart& part) {
  const auto at = entries_.find(part);
  if (at == entries_.end()) return Rejection::kNotAsked;
  const bool still_asked = at->second.cancelled > 0 && at->second.asked > at->second.cancelled;
  OnAnswer(at, /*cancelled=*/true);
  return still_asked ? Rejection::kStillAsked : Rejection::kOver;
}

void RequestLedger::OnAnswer(absl::flat_hash_map<ChunkPart, Entry>::iterator at, bool cancelled) {
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

// What the other side asks for and sends of the content: whole chunks, and leaves of them.
#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "daemon/session/extension_dialogue.h"

namespace p2p::session {
namespace {

namespace peer = wire::peer;

// Chunks that are refused are told of in so many lines at a time, while no more text than this
// waits: others' connections have their turn in between.
constexpr uint32_t kRejectsAtOnce = 256;
constexpr size_t kMostTextBeforeRejects = 32 << 10;

}  // namespace

void ExtensionDialogue::Reject(const ChunkPart& part, int code, absl::string_view reason) {
  if (part.whole()) {
    Say(peer::Reject{part.chunk, code, std::string(reason)});
  } else {
    Say(peer::RejectLeaves{part, code, std::string(reason)});
  }
}

void ExtensionDialogue::RejectRun(ChunkRun run, int code, const char* reason) {
  if (run.count == 0) return;
  refusals_.push_back({run, code, reason});
  refused_ += run.count;
  RejectNext();
}

void ExtensionDialogue::RejectNext() {
  const size_t most = std::min(kMostTextBeforeRejects, core_->backlog_limit_bytes);
  while (!refusals_.empty() && core_->outbox.waiting_text_bytes() <= most) {
    Refusal& next = refusals_.front();
    const uint32_t count = std::min(next.run.count, kRejectsAtOnce);
    core_->outbox.Urgent(
        peer::FormatRejects(ChunkIndex(next.run.first), count, next.code, next.reason));
    next.run.first += count;
    next.run.count -= count;
    refused_ -= count;
    if (next.run.count == 0) refusals_.pop_front();
  }
}

uint32_t ExtensionDialogue::MostWaiting() const {
  return limits::kMaxQueuedChunks - static_cast<uint32_t>(window_.preparing());
}

void ExtensionDialogue::On(const peer::Request& message) {
  const ChunkRun run = {message.first.value(), message.count};
  const Content content = ContentForOther();
  if (content == Content::kRefused) return RejectRun(run, 404, "no such content");
  if (content != Content::kOpen) return;
  if (!chunk_count_) return RejectRun(run, 409, "not there yet");
  if (!MayAskFor(uint64_t{run.first} + run.count)) return;
  const uint32_t taken = waiting_.Add(run, MostWaiting());
  RejectRun({run.first + taken, run.count - taken}, 429, "too many chunks asked for at once");
  ServeNext();
}

bool ExtensionDialogue::MayAskFor(uint64_t end) {
  if (end > *chunk_count_) core_->Fail(416, "a chunk beyond the last one was asked for");
  return end <= *chunk_count_;
}

void ExtensionDialogue::On(const peer::Cancel& message) {
  const Content content = ContentForOther();
  if (content != Content::kOpen) return;
  for (const ChunkRun& run : waiting_.Cancel({message.first.value(), message.count})) {
    RejectRun(run, 499, "cancelled");
  }
}

bool ExtensionDialogue::LeavesAgreed() {
  if (!leaves_agreed_) core_->Fail(400, "leaves were not agreed on in HELLO");
  return leaves_agreed_;
}

void ExtensionDialogue::On(const peer::HaveLeaves& message) {
  if (!LeavesAgreed() || !MayTellHave(uint64_t{message.part.chunk.value()} + 1)) return;
  core_->Emit(HaveLeavesReceived{message.part});
}

void ExtensionDialogue::On(const peer::RequestLeaves& message) {
  if (!LeavesAgreed()) return;
  const Content content = ContentForOther();
  if (content == Content::kRefused) return Reject(message.part, 404, "no such content");
  if (content != Content::kOpen) return;
  if (!chunk_count_) return Reject(message.part, 409, "not there yet");
  if (!MayAskFor(uint64_t{message.part.chunk.value()} + 1)) return;
  if (!waiting_.Add(message.part, MostWaiting())) {
    return Reject(message.part, 429, "too many chunks asked for at once");
  }
  ServeNext();
}

void ExtensionDialogue::On(const peer::CancelLeaves& message) {
  if (!LeavesAgreed() || ContentForOther() != Content::kOpen) return;
  if (waiting_.Cancel(message.part)) Reject(message.part, 499, "cancelled");
}

void ExtensionDialogue::ServeNext() {
  window_.OnSentUpTo(core_->outbox.sent_bytes(), core_->now);
  while (!core_->ended && window_.HasRoom()) {
    const absl::optional<ChunkPart> part = waiting_.TakeNext(tally_.get());
    if (!part) return;
    if (tally_ != nullptr) tally_->Add(*part);
    window_.OnAsked();
    preparing_.push_back(*part);
    core_->Emit(ServeChunk{*part});
  }
}

void ExtensionDialogue::On(const peer::Chunk& message) {
  const absl::optional<uint32_t> length = ledger_.Length(message.chunk);
  if (!length) return core_->Fail(400, "CHUNK that was not asked for");
  if (*length != message.payload_bytes) {
    return core_->Fail(
        400, absl::StrCat("CHUNK of ", message.payload_bytes, " bytes instead of ", *length));
  }
  receiver_->Begin(message.chunk, *length);
}

void ExtensionDialogue::On(const peer::Leaves& message) {
  if (!LeavesAgreed()) return;
  const absl::optional<uint32_t> length = ledger_.Length(message.part);
  if (!length) return core_->Fail(400, "LEAVES that were not asked for");
  const uint32_t bytes = message.payload_bytes - message.proof_bytes();
  if (*length != bytes) {
    return core_->Fail(400, absl::StrCat("LEAVES of ", bytes, " bytes instead of ", *length));
  }
  BeginPayload(message, message.proof_bytes());
  if (message.proof_count == 0) OnPayload(message);
}

void ExtensionDialogue::OnChunkArrived(const ChunkPart& part) { ledger_.OnArrived(part); }

void ExtensionDialogue::On(const peer::Reject& message) {
  OnRejected(message.chunk, message.code, message.reason);
}

void ExtensionDialogue::On(const peer::RejectLeaves& message) {
  if (LeavesAgreed()) OnRejected(message.part, message.code, message.reason);
}

void ExtensionDialogue::OnRejected(const ChunkPart& part, int code, const std::string& reason) {
  switch (ledger_.OnRejected(part)) {
    case RequestLedger::Rejection::kNotAsked:
      return core_->Fail(400, "REJECT of what was not asked for");
    case RequestLedger::Rejection::kStillAsked:
      return;
    case RequestLedger::Rejection::kOver:
      return core_->Emit(ChunkRejected{part, code, reason});
  }
}

}  // namespace p2p::session

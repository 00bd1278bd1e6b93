#include "tests/sim/sim_link.h"

#include <algorithm>
#include <utility>

namespace p2p::sim {

using session::PeerSession;

void SimLink::Connect(SimLink* dialled, Host* dialling_host, SimLink* accepted,
                      Host* accepting_host, absl::Duration one_way_latency) {
  dialled->dialled = true;
  dialled->out_ = std::make_unique<Stream>(dialled->events_, dialling_host, accepting_host,
                                           one_way_latency, dialled, accepted);
  accepted->out_ = std::make_unique<Stream>(dialled->events_, accepting_host, dialling_host,
                                            one_way_latency, accepted, dialled);
  dialled->other_ = accepted;
  accepted->other_ = dialled;
  dialled->latency_ = accepted->latency_ = one_way_latency;
}

void SimLink::Begin(session::PeerSessionOptions options, std::shared_ptr<ChunkPool> pool) {
  session_ = std::make_unique<PeerSession>(std::move(options), std::move(pool), events_->now());
  Settle();
}

void SimLink::OnPiece(Piece piece) {
  inbox_.push_back(std::move(piece));
  Settle();
}

void SimLink::Settle() {
  if (session_ == nullptr || std::exchange(settling_, true)) return;
  for (bool moved = true; moved && session_ != nullptr;) {
    moved = Read();
    for (session::Output& output : session_->TakeOutput()) {
      out_->Put(std::move(output));
      moved = true;
    }
    out_->Kick();
    if (const size_t sent = out_->TakeSent(); sent > 0) {
      session_->OnSent(sent, out_->unsent_text_bytes(), out_->unsent_bytes(), events_->now());
      moved = true;
    }
    for (session::PeerEvent& event : session_->TakeEvents()) {
      moved = true;
      if (absl::holds_alternative<session::SessionEnded>(event)) {
        Close();
      } else {
        user_->OnLinkEvent(this, event);
      }
      if (session_ == nullptr) break;
    }
  }
  settling_ = false;
  if (session_ == nullptr) return;
  const absl::Time wake = session_->WakeUpTime();
  if (wake < timer_due_) {
    timer_due_ = wake;
    events_->At(wake, this, kTimer);
  }
}

bool SimLink::Read() {
  static const std::string zeros(kPieceBytes, '\0');
  bool any = false;
  while (!inbox_.empty()) {
    const PeerSession::ReadPlan plan = session_->PlanRead();
    if (plan.mode == PeerSession::ReadMode::kPause) break;
    Piece& piece = inbox_.front();
    uint32_t read = 0;
    if (!piece.text.empty()) {
      read = static_cast<uint32_t>(piece.text.size());
      session_->OnBytes(std::exchange(piece.text, {}), events_->now());
    } else if (plan.mode == PeerSession::ReadMode::kPayload) {
      // Nobody looks at the bytes: whether they are right is the scenario's to say.
      read = std::min(piece.payload, static_cast<uint32_t>(plan.payload.size()));
      session_->OnPayload(read, events_->now());
      piece.payload -= read;
    } else {
      read = std::exchange(piece.payload, 0);
      session_->OnBytes(absl::string_view(zeros).substr(0, read), events_->now());
    }
    if (piece.size() == 0) inbox_.pop_front();
    other_->out_->OnRead(read);
    any = true;
  }
  return any;
}

void SimLink::OnEvent(uint32_t what) {
  if (session_ == nullptr) return;
  if (what == kOtherClosed) return End();
  // A timer that was put off is set again when it is due: most are.
  timer_due_ = absl::InfiniteFuture();
  if (session_->WakeUpTime() <= events_->now()) session_->OnTime(events_->now());
  Settle();
}

void SimLink::Close() {
  if (session_ == nullptr) return;
  events_->In(latency_, other_, kOtherClosed);
  End();
}

void SimLink::End() {
  out_->Close();
  other_->out_->Close();
  session_.reset();
  inbox_.clear();
  user_->OnLinkClosed(this);
}

}  // namespace p2p::sim

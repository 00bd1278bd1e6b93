#include "tests/sim/network.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace p2p::sim {
namespace {

// What one packet takes.
constexpr size_t kShortTextBytes = 1'400;

}  // namespace

void Host::OnEvent(uint32_t what) {
  if (what == kSent) {
    Stream* stream = std::exchange(sending_, nullptr);
    stream->listed_ = false;
    events_->In(stream->latency_, stream, 0);
    const Piece& piece = stream->wire_.back().piece;
    stream->untold_sent_ += piece.size();
    payload_sent += piece.payload;
    stream->Kick();
    SendNext();
    if (stream->open_) stream->sender_->OnStreamSent();
  } else {
    Stream* stream = std::exchange(receiving_, nullptr);
    stream->Deliver();
    ReceiveNext();
  }
}

void Host::SendNext() {
  while (!stalled_ && sending_ == nullptr && !ready_.empty()) {
    Stream* stream = ready_.front();
    ready_.pop_front();
    if (!stream->MaySend()) {
      stream->listed_ = false;
      continue;
    }
    Piece piece = stream->TakePiece();
    const uint64_t bytes = piece.size() + std::exchange(up_debt_bytes_, 0);
    stream->under_way_ += piece.size();
    stream->wire_.push_back({std::move(piece), false});
    sending_ = stream;
    events_->InSeconds(bytes / up_rate, this, kSent);
  }
}

void Host::ReceiveNext() {
  if (receiving_ != nullptr || arrived_.empty()) return;
  receiving_ = arrived_.front();
  arrived_.pop_front();
  const uint64_t bytes =
      receiving_->wire_.front().piece.size() + std::exchange(down_debt_bytes_, 0);
  events_->InSeconds(bytes / down_rate, this, kReceived);
}

Stream::Stream(EventQueue* events, Host* from, Host* to, absl::Duration latency, StreamUser* sender,
               StreamUser* receiver)
    : events_(events),
      from_(from),
      to_(to),
      latency_(latency),
      sender_(sender),
      receiver_(receiver) {
  const double rate = std::min(from->up_rate, to->down_rate);
  window_ = 2 * kPieceBytes + static_cast<uint64_t>(rate * absl::ToDoubleSeconds(latency));
}

void Stream::Put(session::Output output) {
  if (auto* text = absl::get_if<std::string>(&output)) {
    PutText(*text, /*urgent=*/false);
  } else if (auto* urgent = absl::get_if<session::UrgentText>(&output)) {
    PutText(urgent->text, /*urgent=*/true);
  } else if (auto* chunk = absl::get_if<session::ChunkToSend>(&output)) {
    PutChunk(std::move(chunk->header), chunk->slice.length);
  } else {
    PutChunk("", absl::get<FileSlice>(output).length);
  }
}

void Stream::PutText(absl::string_view text, bool urgent) {
  unsent_text_ += text.size();
  const auto end = urgent ? std::find_if(queue_.begin(), queue_.end(),
                                         [](const Piece& piece) { return piece.may_be_overtaken; })
                          : queue_.end();
  if (end != queue_.begin() && std::prev(end)->payload == 0) {
    std::prev(end)->text.append(text.data(), text.size());
  } else {
    queue_.insert(end, Piece{std::string(text), 0, false});
  }
}

void Stream::PutChunk(std::string header, uint32_t payload) {
  unsent_text_ += header.size();
  unsent_payload_ += payload;
  const bool overtaken = !header.empty();
  queue_.push_back({std::move(header), payload, overtaken});
}

void Stream::Kick() {
  if (!open_) return;
  if (MayPassQueues()) {
    wire_.push_back({TakePiece(), true});
    from_->up_debt_bytes_ += wire_.back().piece.size();
    untold_sent_ += wire_.back().piece.size();
    events_->In(latency_, this, 0);
  } else if (!listed_ && MaySend()) {
    listed_ = true;
    from_->ready_.push_back(this);
    from_->SendNext();
  }
}

bool Stream::MayPassQueues() const {
  return unsent_payload_ == 0 && unsent_text_ > 0 && unsent_text_ <= kShortTextBytes &&
         under_way_ == 0 && !from_->stalled_;
}

Piece Stream::TakePiece() {
  // A text alone does not cost the stream its turn.
  while (queue_.size() > 1 && queue_.front().payload == 0 &&
         queue_[0].text.size() + queue_[1].text.size() <= kPieceBytes) {
    queue_[1].text.insert(0, queue_[0].text);
    queue_.pop_front();
  }
  Piece& front = queue_.front();
  front.may_be_overtaken = false;
  Piece piece;
  if (front.text.size() <= kPieceBytes) {
    piece.text = std::exchange(front.text, {});
  } else {
    piece.text = front.text.substr(0, kPieceBytes);
    front.text.erase(0, kPieceBytes);
  }
  if (front.text.empty()) {
    piece.payload = std::min(front.payload, kPieceBytes);
    front.payload -= piece.payload;
    if (front.payload == 0) queue_.pop_front();
  }
  unsent_text_ -= piece.text.size();
  unsent_payload_ -= piece.payload;
  return piece;
}

size_t Stream::TakeSent() { return std::exchange(untold_sent_, 0); }

// A piece reached the receiver's downlink.
void Stream::OnEvent(uint32_t) {
  if (wire_[at_downlink_].passes_queues) {
    to_->down_debt_bytes_ += wire_.front().piece.size();
    return Deliver();
  }
  ++at_downlink_;
  to_->arrived_.push_back(this);
  to_->ReceiveNext();
}

void Stream::Deliver() {
  const bool passed_queues = wire_.front().passes_queues;
  Piece piece = std::move(wire_.front().piece);
  wire_.pop_front();
  if (!passed_queues) --at_downlink_;
  if (!open_) return;
  // Read or not: a text that passes never waits.
  if (passed_queues) under_way_ += piece.size();
  receiver_->OnPiece(std::move(piece));
}

void Stream::OnRead(uint32_t bytes) {
  under_way_ -= bytes;
  Kick();
}

}  // namespace p2p::sim

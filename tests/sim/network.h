// Hosts with an uplink and a downlink, and streams between them. Payload is only counted.
//
// An uplink sends pieces (kPieceBytes of payload at most) of its streams in turn; after the latency
// a piece passes the receiver's downlink, first come, first served. A stream has at most a window
// of bytes under way, as with TCP, so that slow receivers hold back their own streams only. A short
// text on a stream with nothing under way passes the queues at once, as a fair queue lets it.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "absl/strings/string_view.h"
#include "daemon/session/peer_session.h"
#include "tests/sim/event_queue.h"

namespace p2p::sim {

inline constexpr uint32_t kPieceBytes = 64 << 10;

// Text, then payload of one chunk; of each at most kPieceBytes.
struct Piece {
  std::string text;
  uint32_t payload = 0;
  // A chunk of which nothing has left: urgent texts overtake it.
  bool may_be_overtaken = false;
  uint32_t size() const { return static_cast<uint32_t>(text.size()) + payload; }
};

class Stream;

class Host : public EventHandler {
 public:
  // Rates in bytes a second.
  Host(EventQueue* events, double up, double down)
      : up_rate(up), down_rate(down), events_(events) {}

  bool sending() const { return sending_ != nullptr; }
  // Sends nothing more, but stays connected.
  void Stall() { stalled_ = true; }

  const double up_rate;
  const double down_rate;
  uint64_t payload_sent = 0;

 private:
  friend class Stream;
  enum What : uint32_t { kSent, kReceived };
  void OnEvent(uint32_t what) override;
  void SendNext();
  void ReceiveNext();

  EventQueue* const events_;
  bool stalled_ = false;
  std::deque<Stream*> ready_;
  Stream* sending_ = nullptr;
  std::deque<Stream*> arrived_;
  Stream* receiving_ = nullptr;
  // Short texts that went past the queue: the next piece takes longer for them.
  uint64_t up_debt_bytes_ = 0;
  uint64_t down_debt_bytes_ = 0;
};

// Told on one side that bytes left, on the other that a piece came.
class StreamUser {
 public:
  virtual ~StreamUser() = default;
  virtual void OnStreamSent() = 0;
  virtual void OnPiece(Piece piece) = 0;
};

// One direction of a connection.
class Stream : public EventHandler {
 public:
  Stream(EventQueue* events, Host* from, Host* to, absl::Duration latency, StreamUser* sender,
         StreamUser* receiver);

  void Put(session::Output output);
  // Begins to send what was put.
  void Kick();
  // Bytes that left since the last call; 0: none.
  size_t TakeSent();
  // What came was read: so many more may be under way.
  void OnRead(uint32_t bytes);
  // Nothing is sent or received any more.
  void Close() { open_ = false; }

  size_t unsent_text_bytes() const { return unsent_text_; }
  size_t unsent_bytes() const { return unsent_text_ + unsent_payload_; }

 private:
  friend class Host;
  void OnEvent(uint32_t what) override;
  Piece TakePiece();
  void PutText(absl::string_view text, bool urgent);
  void PutChunk(std::string header, uint32_t payload);
  bool MaySend() const { return open_ && unsent_bytes() > 0 && under_way_ < window_; }
  bool MayPassQueues() const;
  void Deliver();

  EventQueue* const events_;
  Host* const from_;
  Host* const to_;
  const absl::Duration latency_;
  StreamUser* const sender_;
  StreamUser* const receiver_;
  uint64_t window_;
  bool open_ = true;
  bool listed_ = false;  // in from_->ready_, or being sent
  std::deque<Piece> queue_;
  size_t unsent_text_ = 0;
  size_t unsent_payload_ = 0;
  size_t untold_sent_ = 0;
  struct OnTheWire {
    Piece piece;
    bool passes_queues;
  };
  std::deque<OnTheWire> wire_;  // from the one being sent to the one being received
  size_t at_downlink_ = 0;      // of wire_, from its front
  uint64_t under_way_ = 0;      // bytes that did not pass the queues and are not read
};

}  // namespace p2p::sim

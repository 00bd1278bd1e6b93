// One end of a connection: a PeerSession on top of two streams, as PeerLink has one on top of a
// socket.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "core/base/buffers.h"
#include "core/base/ids.h"
#include "daemon/session/peer_session.h"
#include "tests/sim/network.h"

namespace p2p::sim {

class SimLink;

// Where a link's news go.
class SimLinkUser {
 public:
  virtual ~SimLinkUser() = default;
  virtual void OnLinkEvent(SimLink* link, session::PeerEvent& event) = 0;
  // Last call.
  virtual void OnLinkClosed(SimLink* link) = 0;
};

class SimLink : public EventHandler, public StreamUser {
 public:
  // `other_peer`: the number of the peer at the other end.
  SimLink(LinkId link, EventQueue* events, SimLinkUser* user, uint32_t other_peer)
      : id(link), remote(other_peer), events_(events), user_(user) {}

  // Gives both ends their streams; the connection then stands.
  static void Connect(SimLink* dialled, Host* dialling_host, SimLink* accepted,
                      Host* accepting_host, absl::Duration one_way_latency);
  void Begin(session::PeerSessionOptions options, std::shared_ptr<ChunkPool> pool);

  // Runs `command` on the session, if it still stands.
  template <typename Command>
  void Do(Command command) {
    if (session_ == nullptr) return;
    command(*session_);
    Settle();
  }
  // The other side learns of it after the latency.
  void Close();

  bool open() const { return session_ != nullptr; }
  size_t unsent_bytes() const { return out_ == nullptr ? 0 : out_->unsent_bytes(); }

  const LinkId id;
  const uint32_t remote;
  // What the engine remembers of a link.
  bool dialled = false;
  bool asked_subscription = false;
  bool subscribed = false;
  bool leaves = false;

 private:
  enum What : uint32_t { kTimer, kOtherClosed };
  void OnEvent(uint32_t what) override;
  void OnStreamSent() override { Settle(); }
  void OnPiece(Piece piece) override;
  // Moves what the session produced to the stream, its user and the timer.
  void Settle();
  // Hands in what came, unless reading is paused; false when nothing was read.
  bool Read();
  void End();

  EventQueue* const events_;
  SimLinkUser* const user_;
  SimLink* other_ = nullptr;
  std::unique_ptr<Stream> out_;
  absl::Duration latency_;
  std::unique_ptr<session::PeerSession> session_;
  std::deque<Piece> inbox_;
  bool settling_ = false;
  absl::Time timer_due_ = absl::InfiniteFuture();
};

}  // namespace p2p::sim

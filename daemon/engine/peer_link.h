// One connection to a peer: a net::Connection driven by a session::PeerSession. Lives on one I/O
// loop; made, told what to do and closed by the engine. Events reach the engine loop in batches, in
// order.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/buffers.h"
#include "core/base/ids.h"
#include "core/net/connection.h"
#include "core/net/event_loop.h"
#include "core/net/listener.h"
#include "daemon/engine/rate_meter.h"
#include "daemon/session/peer_session.h"

namespace p2p::engine {

// Where a link's news go; called on the link's I/O loop.
class PeerLinkObserver {
 public:
  virtual ~PeerLinkObserver() = default;
  virtual void OnLinkEvents(LinkId link, std::vector<session::PeerEvent> events) = 0;
  // Last call. `reason` is a sentence.
  virtual void OnLinkClosed(LinkId link, std::string reason) = 0;
};

class PeerLink : public net::ConnectionHandler, public std::enable_shared_from_this<PeerLink> {
 public:
  PeerLink(LinkId id, net::EventLoop* loop, session::PeerSessionOptions options,
           net::ConnectionOptions connection_options, std::shared_ptr<ChunkPool> pool,
           RateMeter* all_sent, PeerLinkObserver* observer);
  ~PeerLink() override;

  // From the engine loop, once: take an accepted socket of this link's loop, or dial.
  void Adopt(asio::ip::tcp::socket socket, net::Admission admission);
  void Dial(const net::Endpoint& to);

  // Runs `command` on the session, in order, once the connection stands. From any thread.
  void Do(std::function<void(session::PeerSession&)> command);
  // From any thread. Finish sends first what it was told so far.
  void Close(std::string reason);
  void Finish(std::string reason);

  LinkId id() const { return id_; }
  // From the engine loop: so many of the events that it was told of are dealt with.
  void OnEventsHandled(size_t count);

  // Payload.
  const RateMeter& sent() const { return sent_; }

 private:
  absl::Span<uint8_t> ReadBuffer() override;
  void OnRead(size_t size) override;
  void OnEndOfStream() override;
  void OnSent(size_t sent_bytes) override;
  void OnFileError(const absl::Status& status) override;
  void OnClosed(const absl::Status& status) override;

  // Little is handed to a slow connection ahead, and BBR takes over where a queue stands.
  void FollowSendRate(absl::Time now);
  void WaitForPool();
  // Whether the engine is so far behind that nothing should be read; then it ends the wait.
  bool WaitsForEngine();
  void Begin(asio::ip::tcp::socket socket);
  void End(std::string reason);
  // Moves what the session produced to the connection, the engine and the timer.
  void Pump();
  // The engine is told, and woken, once for all that one turn of the loop brought.
  void TakeEvents();
  void TellEvents();
  void SendFile(FileSlice slice, std::string header);

  const LinkId id_;
  net::EventLoop* const loop_;
  const session::PeerSessionOptions options_;
  const net::ConnectionOptions connection_options_;
  const std::shared_ptr<ChunkPool> pool_;
  RateMeter* const all_sent_;  // of the whole daemon
  PeerLinkObserver* const observer_;
  RateMeter sent_;
  // Told to the engine and not dealt with yet. With many of them the connection is not read.
  std::atomic<size_t> events_ahead_{0};
  std::atomic<bool> waiting_for_engine_{false};

  // Below: the I/O loop's.
  std::unique_ptr<session::PeerSession> session_;
  std::unique_ptr<net::Connection> connection_;
  std::unique_ptr<net::Timer> timer_;
  net::Admission admission_;
  std::function<void()> cancel_dial_;
  std::vector<std::function<void(session::PeerSession&)>> early_commands_;
  std::vector<session::PeerEvent> events_;  // not yet told
  std::string close_reason_;
  absl::Time next_queue_look_ = absl::InfinitePast();
  bool queue_seen_ = false;
  bool reading_payload_ = false;
  bool waiting_for_pool_ = false;
  bool paused_ = false;
  bool finishing_ = false;
  bool ended_ = false;
};

}  // namespace p2p::engine

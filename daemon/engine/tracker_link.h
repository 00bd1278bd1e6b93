// One connection to a tracker: a net::Connection driven by a session::TrackerSession. Lives on one
// I/O loop for one connection; its owner makes a new one after it ended. News reach the engine loop
// through the observer.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "core/net/address.h"
#include "core/net/connection.h"
#include "core/net/event_loop.h"
#include "daemon/session/tracker_session.h"

namespace p2p::engine {

// Called on the link's I/O loop.
class TrackerLinkObserver {
 public:
  virtual ~TrackerLinkObserver() = default;
  virtual void OnTrackerConnected(uint64_t link, net::Endpoint remote) = 0;
  // What is known now of the protocol that the tracker speaks.
  virtual void OnTrackerEvents(uint64_t link, std::vector<session::TrackerEvent> events,
                               session::TrackerProtocol protocol) = 0;
  // Last call.
  virtual void OnTrackerClosed(uint64_t link, std::string reason,
                               session::TrackerProtocol protocol) = 0;
};

class TrackerLink : public net::ConnectionHandler,
                    public std::enable_shared_from_this<TrackerLink> {
 public:
  TrackerLink(uint64_t id, net::EventLoop* loop, TrackerLinkObserver* observer);
  ~TrackerLink() override;

  // From the engine loop, once. `listen_port` goes into the address that the tracker is told.
  void Dial(const net::HostPort& to, uint16_t listen_port, session::TrackerProtocol known);
  // Runs `command` on the session once the connection stands. From any thread.
  void Do(std::function<void(session::TrackerSession&)> command);
  // Sends what it was told so far, then closes.
  void Finish();

 private:
  absl::Span<uint8_t> ReadBuffer() override;
  void OnRead(size_t size) override;
  void OnEndOfStream() override;
  void OnSent(size_t sent_bytes) override;
  void OnFileError(const absl::Status& status) override;
  void OnClosed(const absl::Status& status) override;

  // Tries the addresses of one name in turn.
  void DialNext(std::vector<net::Endpoint> endpoints, size_t next, std::string last_error);
  void Begin(asio::ip::tcp::socket socket);
  void End(std::string reason);
  session::TrackerProtocol Protocol() const;
  void Pump();

  const uint64_t id_;
  net::EventLoop* const loop_;
  TrackerLinkObserver* const observer_;

  // Below: the I/O loop's.
  uint16_t listen_port_ = 0;
  session::TrackerProtocol known_ = session::TrackerProtocol::kUnknown;
  std::unique_ptr<session::TrackerSession> session_;
  std::unique_ptr<net::Connection> connection_;
  std::unique_ptr<net::Timer> timer_;
  std::function<void()> cancel_dial_;
  std::vector<std::function<void(session::TrackerSession&)>> early_commands_;
  std::string close_reason_;
  bool finishing_ = false;
  bool ended_ = false;
};

}  // namespace p2p::engine

#include "daemon/engine/tracker_link.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/limits.h"

namespace p2p::engine {

TrackerLink::TrackerLink(uint64_t id, net::EventLoop* loop, TrackerLinkObserver* observer)
    : id_(id), loop_(loop), observer_(observer) {}

TrackerLink::~TrackerLink() = default;

void TrackerLink::Dial(const net::HostPort& to, uint16_t listen_port,
                       session::TrackerProtocol known) {
  loop_->Post([self = shared_from_this(), to, listen_port, known] {
    self->listen_port_ = listen_port;
    self->known_ = known;
    net::Resolve(self->loop_, to, [self](absl::StatusOr<std::vector<net::Endpoint>> endpoints) {
      if (self->ended_) return;
      if (!endpoints.ok()) return self->End(std::string(endpoints.status().message()));
      self->DialNext(*std::move(endpoints), 0, "the host has no address");
    });
  });
}

void TrackerLink::DialNext(std::vector<net::Endpoint> endpoints, size_t next,
                           std::string last_error) {
  if (next >= endpoints.size()) return End(std::move(last_error));
  const net::Endpoint to = endpoints[next];
  cancel_dial_ =
      net::Connect(loop_, to, limits::kConnectTimeout,
                   [self = shared_from_this(), endpoints = std::move(endpoints),
                    next](absl::StatusOr<asio::ip::tcp::socket> socket) {
                     self->cancel_dial_ = nullptr;
                     if (self->ended_) return;
                     if (socket.ok()) {
                       self->Begin(*std::move(socket));
                     } else {
                       self->DialNext(endpoints, next + 1, std::string(socket.status().message()));
                     }
                   });
}

void TrackerLink::Begin(asio::ip::tcp::socket socket) {
  timer_ = std::make_unique<net::Timer>(loop_);
  connection_ =
      std::make_unique<net::Connection>(loop_, std::move(socket), net::ConnectionOptions(), this);
  const net::Endpoint self_address(connection_->local().address(), listen_port_);
  session_ = std::make_unique<session::TrackerSession>(net::FormatEndpoint(self_address),
                                                       MonotonicNow(), known_);
  observer_->OnTrackerConnected(id_, connection_->remote());
  for (auto& command : std::exchange(early_commands_, {})) command(*session_);
  connection_->Start();
  Pump();
}

void TrackerLink::Do(std::function<void(session::TrackerSession&)> command) {
  loop_->Post([self = shared_from_this(), command = std::move(command)] {
    if (self->ended_) return;
    if (self->session_ == nullptr) {
      self->early_commands_.push_back(command);
    } else {
      command(*self->session_);
      self->Pump();
    }
  });
}

void TrackerLink::Finish() {
  loop_->Post([self = shared_from_this()] {
    if (self->ended_) return;
    if (self->connection_ != nullptr) {
      self->connection_->FinishSending();
    } else {
      self->End("closed");
    }
  });
}

absl::Span<uint8_t> TrackerLink::ReadBuffer() { return loop_->Scratch(); }

void TrackerLink::OnRead(size_t size) {
  session_->OnBytes(absl::string_view(reinterpret_cast<const char*>(loop_->Scratch().data()), size),
                    MonotonicNow());
  Pump();
}

void TrackerLink::OnEndOfStream() {
  session_->OnEndOfStream(MonotonicNow());
  Pump();
}

void TrackerLink::OnSent(size_t) {}

void TrackerLink::OnFileError(const absl::Status&) {}

void TrackerLink::OnClosed(const absl::Status& status) {
  // An original tracker may answer HELLO with a reset: the session must know. What went wrong on
  // this side says nothing of the tracker.
  const bool by_tracker = status.ok() || absl::IsAborted(status);
  if (by_tracker && !session_->ended()) session_->OnEndOfStream(MonotonicNow());
  End(!close_reason_.empty() ? close_reason_
      : status.ok()          ? "the tracker closed the connection"
                             : std::string(status.message()));
}

void TrackerLink::End(std::string reason) {
  if (ended_) return;
  // The observer may let go of this link on another thread as soon as it is told.
  const auto self = shared_from_this();
  ended_ = true;
  if (cancel_dial_ != nullptr) std::exchange(cancel_dial_, nullptr)();
  timer_.reset();
  const session::TrackerProtocol protocol = Protocol();
  if (session_ != nullptr) {
    std::vector<session::TrackerEvent> events = session_->TakeEvents();
    if (!events.empty()) observer_->OnTrackerEvents(id_, std::move(events), protocol);
  }
  observer_->OnTrackerClosed(id_, std::move(reason), protocol);
  // Not from within a call of theirs.
  loop_->Post([self] {
    self->connection_.reset();
    self->session_.reset();
  });
}

session::TrackerProtocol TrackerLink::Protocol() const {
  using session::TrackerProtocol;
  const auto speaks = session_ == nullptr ? absl::nullopt : session_->speaks_extension();
  if (!speaks.has_value()) return known_;
  return *speaks ? TrackerProtocol::kExtension : TrackerProtocol::kOriginal;
}

void TrackerLink::Pump() {
  if (ended_) return;
  std::string output = session_->TakeOutput();
  if (!output.empty()) connection_->SendText(std::move(output));
  std::vector<session::TrackerEvent> events = session_->TakeEvents();
  for (const session::TrackerEvent& event : events) {
    if (const auto* ended = absl::get_if<session::TrackerEnded>(&event))
      close_reason_ = ended->reason;
  }
  if (!events.empty()) observer_->OnTrackerEvents(id_, std::move(events), Protocol());
  if (session_->ended()) {
    timer_->Disarm();
    if (!std::exchange(finishing_, true)) connection_->Close();
    return;
  }
  const absl::Time wake = session_->WakeUpTime();
  if (timer_->due() != wake) {
    timer_->Arm(wake, [this] {
      session_->OnTime(MonotonicNow());
      Pump();
    });
  }
}

}  // namespace p2p::engine

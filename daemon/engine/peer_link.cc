#include "daemon/engine/peer_link.h"

#include <algorithm>
#include <utility>

#include "core/base/clock.h"

namespace p2p::engine {
namespace {

// Lines, and the first bytes of a payload that follow a line in the same read, pass through here:
// enough for lines, and little of a chunk is copied.
constexpr size_t kLineReadBytes = 16 << 10;
// What the kernel may hold beyond what is on the wire. Nothing of it can be withdrawn, and what is
// said later waits behind it, so slow connections have little.
constexpr uint64_t kMinNotSentBytes = 16 << 10;
constexpr uint64_t kMaxNotSentBytes = 512 << 10;
// A slow connection whose round trip has become this long has a queue standing on its path: BBR
// then keeps it short, where others fill it until packets are lost. Fast ones are left alone: their
// round trips are long when the processor is busy.
constexpr uint64_t kSlowAheadBytes = 512 << 10;
constexpr absl::Duration kQueueRoundTrip = absl::Milliseconds(10);
constexpr absl::Duration kQueueLookInterval = absl::Milliseconds(100);
// What a peer says faster than the engine can deal with it stays in the kernel, and then with the
// peer.
constexpr size_t kMostEventsAhead = 1'024;

// What is made for a connection is of its own share of the loop's time, in the order of the calls.
void InTurn(net::EventLoop* loop, const net::Connection& connection, std::function<void()> task) {
  loop->turns().Add(net::SiteOf(net::BytesOf(connection.remote().address())), std::move(task));
}

}  // namespace

PeerLink::PeerLink(LinkId id, net::EventLoop* loop, session::PeerSessionOptions options,
                   net::ConnectionOptions connection_options, std::shared_ptr<ChunkPool> pool,
                   RateMeter* all_sent, PeerLinkObserver* observer)
    : id_(id),
      loop_(loop),
      options_(std::move(options)),
      connection_options_(std::move(connection_options)),
      pool_(std::move(pool)),
      all_sent_(all_sent),
      observer_(observer) {}

PeerLink::~PeerLink() = default;

void PeerLink::Adopt(asio::ip::tcp::socket socket, net::Admission admission) {
  auto shared_socket = std::make_shared<asio::ip::tcp::socket>(std::move(socket));
  loop_->Post([self = shared_from_this(), shared_socket, admission] {
    self->admission_ = admission;
    self->Begin(std::move(*shared_socket));
  });
}

void PeerLink::Dial(const net::Endpoint& to) {
  loop_->Post([self = shared_from_this(), to] {
    if (self->ended_) return;
    self->cancel_dial_ = net::Connect(self->loop_, to, limits::kConnectTimeout,
                                      [self](absl::StatusOr<asio::ip::tcp::socket> socket) {
                                        self->cancel_dial_ = nullptr;
                                        if (self->ended_) return;
                                        if (!socket.ok())
                                          return self->End(std::string(socket.status().message()));
                                        self->Begin(*std::move(socket));
                                      });
  });
}

void PeerLink::Begin(asio::ip::tcp::socket socket) {
  if (ended_) return;
  session_ = std::make_unique<session::PeerSession>(options_, pool_, MonotonicNow());
  timer_ = std::make_unique<net::Timer>(loop_);
  connection_ =
      std::make_unique<net::Connection>(loop_, std::move(socket), connection_options_, this);
  for (auto& command : std::exchange(early_commands_, {})) command(*session_);
  connection_->Start();
  Pump();
}

void PeerLink::Do(std::function<void(session::PeerSession&)> command) {
  loop_->Post([self = shared_from_this(), command = std::move(command)] {
    if (self->ended_) return;
    if (self->session_ == nullptr) {
      self->early_commands_.push_back(command);
      return;
    }
    InTurn(self->loop_, *self->connection_, [self, command] {
      if (self->ended_) return;
      command(*self->session_);
      self->Pump();
    });
  });
}

void PeerLink::Close(std::string reason) {
  loop_->Post([self = shared_from_this(), reason = std::move(reason)] {
    if (self->ended_) return;
    self->close_reason_ = reason;
    if (self->connection_ != nullptr) {
      InTurn(self->loop_, *self->connection_, [self] {
        if (!self->ended_) self->connection_->Close();
      });
    } else {
      self->End(reason);
    }
  });
}

void PeerLink::Finish(std::string reason) {
  loop_->Post([self = shared_from_this(), reason = std::move(reason)] {
    if (self->ended_) return;
    self->close_reason_ = reason;
    if (self->connection_ == nullptr) return self->End(reason);
    InTurn(self->loop_, *self->connection_, [self] {
      if (self->ended_ || std::exchange(self->finishing_, true)) return;
      self->connection_->FinishSending();
    });
  });
}

bool PeerLink::WaitsForEngine() {
  if (events_ahead_ <= kMostEventsAhead) return false;
  waiting_for_engine_ = true;
  // It may have caught up before it could see that.
  return events_ahead_ > kMostEventsAhead;
}

void PeerLink::OnEventsHandled(size_t count) {
  const size_t ahead = events_ahead_ -= count;
  if (ahead > kMostEventsAhead || !waiting_for_engine_.exchange(false)) return;
  loop_->Post([self = shared_from_this()] {
    if (!self->ended_ && self->session_ != nullptr) self->Pump();
  });
}

absl::Span<uint8_t> PeerLink::ReadBuffer() {
  if (WaitsForEngine()) {
    paused_ = true;
    return {};
  }
  session_->LimitBacklog(net::Connection::BacklogLimit());
  const session::PeerSession::ReadPlan plan = session_->PlanRead();
  reading_payload_ = plan.mode == session::PeerSession::ReadMode::kPayload;
  paused_ = plan.mode == session::PeerSession::ReadMode::kPause;
  if (reading_payload_) return plan.payload;
  if (!paused_ && plan.small_chunks) return loop_->Scratch();
  if (!paused_) return loop_->Scratch().subspan(0, kLineReadBytes);
  if (plan.waits_for_pool) WaitForPool();
  return {};
}

void PeerLink::WaitForPool() {
  if (std::exchange(waiting_for_pool_, true)) return;
  pool_->WhenFree(
      [weak = weak_from_this(), post = loop_->MakeWeakPoster()](const ChunkPool::Turn& turn) {
        post([weak, turn] {
          const auto self = weak.lock();
          if (self == nullptr) return;
          self->waiting_for_pool_ = false;
          if (self->ended_ || self->session_ == nullptr) return;
          self->session_->OnTime(MonotonicNow());
          self->Pump();
        });
      });
}

void PeerLink::OnRead(size_t size) {
  const absl::Time now = MonotonicNow();
  if (reading_payload_) {
    session_->OnPayload(size, now);
  } else {
    session_->OnBytes(
        absl::string_view(reinterpret_cast<const char*>(loop_->Scratch().data()), size), now);
  }
  Pump();
}

void PeerLink::OnEndOfStream() {
  session_->OnEndOfStream(MonotonicNow());
  Pump();
}

void PeerLink::OnSent(size_t sent_bytes) {
  const absl::Time now = MonotonicNow();
  session_->OnSent(sent_bytes, connection_->unsent_text_bytes(), connection_->unsent_bytes(), now);
  FollowSendRate(now);
  Pump();
}

void PeerLink::FollowSendRate(absl::Time now) {
  const uint64_t ahead = session_->send_ahead_bytes();
  connection_->SetNotSentLowWater(
      static_cast<uint32_t>(std::min(std::max(ahead / 4, kMinNotSentBytes), kMaxNotSentBytes)));
  if (queue_seen_ || ahead >= kSlowAheadBytes || now < next_queue_look_) return;
  next_queue_look_ = now + kQueueLookInterval;
  if (connection_->RoundTripTime() < kQueueRoundTrip) return;
  queue_seen_ = true;
  connection_->ChooseCongestionControlAgain();
}

void PeerLink::OnFileError(const absl::Status& status) {
  close_reason_ = std::string(status.message());
}

void PeerLink::OnClosed(const absl::Status& status) {
  End(!close_reason_.empty() ? close_reason_
      : status.ok()          ? "the connection was closed"
                             : std::string(status.message()));
}

void PeerLink::End(std::string reason) {
  if (ended_) return;
  // The observer may let go of this link on another thread as soon as it is told.
  const auto self = shared_from_this();
  ended_ = true;
  if (cancel_dial_ != nullptr) std::exchange(cancel_dial_, nullptr)();
  timer_.reset();
  if (session_ != nullptr) TakeEvents();
  TellEvents();
  observer_->OnLinkClosed(id_, std::move(reason));
  // Not from within a call of theirs.
  loop_->Post([self] {
    self->connection_.reset();
    self->session_.reset();
    self->admission_.reset();
  });
}

void PeerLink::TakeEvents() {
  for (session::PeerEvent& event : session_->TakeEvents()) {
    if (const auto* ended = absl::get_if<session::SessionEnded>(&event))
      close_reason_ = ended->reason;
    if (events_.empty()) loop_->Post([self = shared_from_this()] { self->TellEvents(); });
    events_.push_back(std::move(event));
  }
}

void PeerLink::TellEvents() {
  events_ahead_ += events_.size();
  if (!events_.empty()) observer_->OnLinkEvents(id_, std::exchange(events_, {}));
}

void PeerLink::SendFile(FileSlice slice, std::string header) {
  const absl::Time now = MonotonicNow();
  sent_.Add(slice.length, now);
  all_sent_->Add(slice.length, now);
  connection_->SendFile(std::move(slice), std::move(header));
}

void PeerLink::Pump() {
  if (ended_) return;
  for (session::Output& output : session_->TakeOutput()) {
    if (auto* text = absl::get_if<std::string>(&output)) {
      connection_->SendText(std::move(*text));
    } else if (auto* urgent = absl::get_if<session::UrgentText>(&output)) {
      connection_->SendUrgentText(std::move(urgent->text));
    } else if (auto* chunk = absl::get_if<session::ChunkToSend>(&output)) {
      SendFile(std::move(chunk->slice), std::move(chunk->header));
    } else {
      SendFile(std::move(absl::get<FileSlice>(output)), "");
    }
  }
  TakeEvents();
  if (session_->ended()) {
    timer_->Disarm();
    if (!std::exchange(finishing_, true)) connection_->FinishSending();
    return;
  }
  if (paused_) {
    const session::PeerSession::ReadPlan plan = session_->PlanRead();
    if (plan.mode != session::PeerSession::ReadMode::kPause) {
      connection_->ResumeReading();
    } else if (plan.waits_for_pool) {
      WaitForPool();  // another link may have taken what became free
    }
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

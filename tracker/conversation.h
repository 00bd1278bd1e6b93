// One client's connection to the tracker, as a state machine without I/O: bytes and `now` in;
// answers and a wake-up time out. Owned by the server's connection, on its loop.
//
// Requests are answered in order. What can not be answered yet, because the client does not read
// its answers, is held, at most one read's worth: the driver does not read while WantsRead() is
// false. Likewise what would take longer than a turn: the rest has its turn at WakeUpTime(), so
// that other connections do not wait for one that asks much at once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/limits.h"
#include "core/wire/error_line.h"
#include "core/wire/line_reader.h"
#include "core/wire/peer_address.h"
#include "core/wire/tracker_messages.h"
#include "tracker/service.h"

namespace p2p::tracker {

struct ConversationOptions {
  absl::Duration first_request_timeout = limits::kFirstRequestTimeout;
  // At least; a client that comes only to renew is kept through its ttl and a quarter more.
  absl::Duration idle_timeout = limits::kIdleTimeout;
  absl::Duration line_pause = limits::kLinePause;
  absl::Duration slow_reader_timeout = limits::kSlowReaderTimeout;
  size_t max_backlog_bytes = limits::kMaxSendBacklogBytes;
  int steps_per_turn = 2'048;  // a LOOKUP is one: some milliseconds
  // Told of each line that was no request, for the log. May be empty.
  std::function<void(const wire::IpAddress& source, absl::string_view line,
                     const wire::WireError& error)>
      on_fault;
  // Told of each request with its answer, for the access log. May be empty.
  std::function<void(const wire::IpAddress& source, absl::string_view line,
                     absl::string_view payload, absl::string_view answer)>
      on_request;
};

class Conversation {
 public:
  // `options` and `service` must outlive it. `client`: where it is seen.
  Conversation(const ConversationOptions* options, Service* service,
               const wire::PeerAddress& client, absl::Time now);

  // What somebody is told for whom there is no room: all of the conversation.
  static std::string NoRoomText();

  void OnBytes(absl::string_view bytes, absl::Time now);
  void OnEndOfStream(absl::Time now);
  // From now on no more than so many bytes wait to be sent, where the options allow as many.
  void LimitBacklog(size_t bytes) { backlog_limit_ = std::min(bytes, options_->max_backlog_bytes); }
  // `sent_bytes` left; the connection still holds `unsent_bytes`.
  void OnSent(size_t sent_bytes, size_t unsent_bytes, absl::Time now);
  void OnTime(absl::Time now);

  // `spare` is empty, but may have room for the answers to come. Output must have been taken.
  void LendBuffer(std::string spare) { output_ = std::move(spare); }
  std::string TakeOutput();
  // Requests answered since the last call.
  uint64_t TakeRequestCount() { return std::exchange(uncounted_requests_, 0); }
  absl::Time WakeUpTime() const;
  bool WantsRead() const { return state_ == State::kOpen && held_.empty() && !Backlogged(); }

  enum class State {
    kOpen,
    kFinished,   // no more answers will come: send what is there, then end the sending side
    kAbandoned,  // close the connection now
  };
  State state() const { return state_; }

 private:
  absl::Time IdleUntil() const;
  bool Backlogged() const { return output_.size() + unsent_ >= backlog_limit_; }
  void Process(absl::string_view input, absl::Time now);
  void WatchBacklog(absl::Time now);
  void Continue(absl::Time now);
  // Takes one line, or all of `input` when it holds no whole one.
  void TakeLine(absl::string_view* input, absl::Time now);
  void OnLine(absl::string_view line, absl::Time now);
  void OnRequest(const wire::TrackerRequest& request, absl::string_view line,
                 absl::string_view payload, absl::Time now);
  void TakePayload(absl::string_view* input, absl::Time now);
  void OnFault(absl::string_view line, const wire::RequestFault& fault);
  // The payload of a line that is refused; false when it is too long.
  bool SkipPayload(absl::string_view line);
  void SayHello();
  // Refuses; too many such lines are the end.
  void CountFault(absl::string_view line, const wire::WireError& error);
  void Refuse(absl::string_view line, const wire::WireError& error);
  // Refuses and sends no further answer.
  void RefuseAndFinish(absl::string_view line, const wire::WireError& error);
  bool HasUnendedLine() const;

  const ConversationOptions* const options_;
  Service* const service_;
  const wire::PeerAddress client_;

  State state_ = State::kOpen;
  wire::LineReader reader_;
  std::string held_;  // read, and waiting for the client to read its answers
  std::string output_;
  size_t unsent_ = 0;
  size_t backlog_limit_;
  size_t payload_to_skip_ = 0;
  // A request whose payload is coming in.
  struct Pending {
    wire::TrackerRequest request;
    std::string line;
    size_t payload_bytes;
    std::string payload;
  };
  std::unique_ptr<Pending> pending_;
  uint64_t uncounted_requests_ = 0;
  int bad_lines_ = 0;
  bool said_hello_ = false;
  bool had_request_ = false;
  bool end_of_stream_ = false;
  int steps_left_ = 0;  // of this turn
  // Where a turn ended before what is held did.
  absl::Time next_turn_ = absl::InfiniteFuture();
  bool line_ended_by_pause_ = false;  // its LF may still come, and is then no empty line
  bool heard_line_end_ = false;       // it is a client that ends its lines
  bool heard_byte_ = false;

  const absl::Time started_;
  absl::Time last_bytes_;
  absl::Time last_activity_;  // a whole line, or answers taken
  // While the client is not read: by then it must have taken limits::kMinTransferBytes.
  absl::Time must_take_by_ = absl::InfiniteFuture();
  size_t taken_ = 0;
};

}  // namespace p2p::tracker

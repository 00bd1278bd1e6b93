#include "tracker/conversation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/strip.h"
#include "absl/types/variant.h"
#include "core/wire/fields.h"
#include "core/wire/protocol_version.h"

namespace p2p::tracker {
namespace {

constexpr char kAgent[] = "p2p-tracker/" P2P_VERSION;

// The shortest time in which a timer has others run.
constexpr absl::Duration kBetweenTurns = absl::Microseconds(1);

// What a request costs more than a LOOKUP, in units of it.
struct MoreSteps {
  int operator()(const wire::FindRequest&) const { return 15; }
  int operator()(const wire::PeersRequest&) const { return 15; }
  int operator()(const wire::WithdrawRequest&) const { return 15; }
  int operator()(const wire::UnregisterRequest&) const { return 15; }
  int operator()(const wire::RenewRequest&) const { return 15; }
  int operator()(const wire::StatsRequest&) const { return 63; }
  template <typename Other>
  int operator()(const Other&) const {
    return 0;
  }
};

}  // namespace

Conversation::Conversation(const ConversationOptions* options, Service* service,
                           const wire::PeerAddress& client, absl::Time now)
    : options_(options),
      service_(service),
      client_(client),
      backlog_limit_(options->max_backlog_bytes),
      started_(now),
      last_bytes_(now),
      last_activity_(now) {}

std::string Conversation::NoRoomText() {
  return wire::FormatHelloAnswer(kAgent, absl::nullopt) +
         wire::FormatError(503, "too many connections");
}

void Conversation::OnBytes(absl::string_view bytes, absl::Time now) {
  last_bytes_ = now;
  steps_left_ = options_->steps_per_turn;
  if (!std::exchange(heard_byte_, true) && bytes.front() == wire::kTlsFirstByte) {
    state_ = State::kAbandoned;
    if (options_->on_fault) options_->on_fault(client_.ip, bytes, {400, "TLS is not spoken here"});
    return;
  }
  if (held_.empty()) {
    Process(bytes, now);
  } else {
    held_.append(bytes.data(), bytes.size());
  }
}

void Conversation::OnEndOfStream(absl::Time now) {
  end_of_stream_ = true;
  Continue(now);
}

void Conversation::OnSent(size_t sent_bytes, size_t unsent_bytes, absl::Time now) {
  unsent_ = unsent_bytes;
  taken_ += sent_bytes;
  if (sent_bytes > 0) last_activity_ = now;
  Continue(now);
}

// In this turn, unless it is over.
void Conversation::Continue(absl::Time now) {
  if (next_turn_ == absl::InfiniteFuture()) Process("", now);
}

void Conversation::OnTime(absl::Time now) {
  if (state_ != State::kOpen) return;
  const bool no_request = !had_request_ && now >= started_ + options_->first_request_timeout;
  const bool idle = now >= IdleUntil();
  if (no_request || idle || (now >= must_take_by_ && taken_ < limits::kMinTransferBytes)) {
    state_ = State::kAbandoned;
    return;
  }
  if (HasUnendedLine() && now >= last_bytes_ + options_->line_pause) {
    OnLine(reader_.TakePartial(), now);
    line_ended_by_pause_ = true;
  }
  if (now >= must_take_by_) must_take_by_ = absl::InfiniteFuture();
  WatchBacklog(now);
  if (now < next_turn_) return;
  steps_left_ = options_->steps_per_turn;
  Process("", now);
}

std::string Conversation::TakeOutput() {
  unsent_ += output_.size();
  return std::exchange(output_, std::string());
}

absl::Time Conversation::WakeUpTime() const {
  if (state_ != State::kOpen) return absl::InfiniteFuture();
  absl::Time wake_up = std::min({IdleUntil(), must_take_by_, next_turn_});
  if (!had_request_) wake_up = std::min(wake_up, started_ + options_->first_request_timeout);
  if (HasUnendedLine()) wake_up = std::min(wake_up, last_bytes_ + options_->line_pause);
  return wake_up;
}

absl::Time Conversation::IdleUntil() const {
  const absl::Duration ttl = service_->registry().options().ttl;
  return last_activity_ + std::max(options_->idle_timeout, ttl + ttl / 4);
}

bool Conversation::HasUnendedLine() const {
  return !said_hello_ && !heard_line_end_ && reader_.HasPartial();
}

// `input` follows what is held; one of them is empty.
void Conversation::Process(absl::string_view input, absl::Time now) {
  std::string held;
  held.swap(held_);
  if (!held.empty()) {
    input = held;
    last_bytes_ = now;  // it was not read meanwhile: a line whose end is yet to come has no pause
  }
  while (state_ == State::kOpen && !input.empty() && !Backlogged() && steps_left_ > 0) {
    TakeLine(&input, now);
  }
  if (state_ == State::kOpen) held_.assign(input.data(), input.size());
  const bool goes_on = !held_.empty() && !Backlogged();
  next_turn_ = goes_on ? now + kBetweenTurns : absl::InfiniteFuture();
  if (state_ == State::kOpen && end_of_stream_ && held_.empty()) {
    if (reader_.HasPartial()) OnLine(reader_.TakePartial(), now);
    if (state_ == State::kOpen) state_ = State::kFinished;
  }
  WatchBacklog(now);
}

void Conversation::WatchBacklog(absl::Time now) {
  if (!Backlogged()) {
    must_take_by_ = absl::InfiniteFuture();
  } else if (must_take_by_ == absl::InfiniteFuture()) {
    must_take_by_ = now + options_->slow_reader_timeout;
    taken_ = 0;
  }
}

void Conversation::TakeLine(absl::string_view* input, absl::Time now) {
  if (payload_to_skip_ > 0) {
    const size_t skipped = std::min(payload_to_skip_, input->size());
    payload_to_skip_ -= skipped;
    input->remove_prefix(skipped);
    return;
  }
  if (pending_ != nullptr) return TakePayload(input, now);
  if (line_ended_by_pause_) {
    // CR and LF may come apart.
    line_ended_by_pause_ = absl::ConsumePrefix(input, "\r");
    heard_line_end_ |= absl::ConsumePrefix(input, "\n");
    if (input->empty()) return;
    line_ended_by_pause_ = false;
  }
  absl::string_view line;
  switch (reader_.Next(input, &line)) {
    case wire::LineReader::Result::kLine:
      heard_line_end_ = true;
      return OnLine(line, now);
    case wire::LineReader::Result::kNeedMore:
      return;
    case wire::LineReader::Result::kTooLong:
      return RefuseAndFinish(*input, {413, "the line is longer than 4096 bytes"});
  }
}

void Conversation::OnLine(absl::string_view line, absl::Time now) {
  last_activity_ = now;
  --steps_left_;
  wire::TrackerRequest request;
  const auto fault = wire::ParseTrackerRequest(line, &request);
  if (fault.has_value()) return OnFault(line, *fault);
  if (!wire::HasPayload(line)) return OnRequest(request, line, "", now);
  pending_ = std::make_unique<Pending>(
      Pending{request, std::string(line), wire::PayloadBytes(line).value_or(0), ""});
}

void Conversation::TakePayload(absl::string_view* input, absl::Time now) {
  const absl::string_view taken =
      input->substr(0, pending_->payload_bytes - pending_->payload.size());
  pending_->payload.append(taken.data(), taken.size());
  input->remove_prefix(taken.size());
  if (pending_->payload.size() < pending_->payload_bytes) return;
  const std::unique_ptr<Pending> whole = std::move(pending_);
  last_activity_ = now;
  if (const auto fault = wire::TakePayload(whole->payload, &whole->request)) {
    return CountFault(whole->line, fault->error);
  }
  OnRequest(whole->request, whole->line, whole->payload, now);
}

void Conversation::OnRequest(const wire::TrackerRequest& request, absl::string_view line,
                             absl::string_view payload, absl::Time now) {
  had_request_ = true;
  ++uncounted_requests_;
  steps_left_ -= absl::visit(MoreSteps(), request);
  const size_t before = output_.size();
  if (absl::holds_alternative<wire::HelloRequest>(request)) {
    SayHello();
  } else {
    service_->Answer(request, client_.ip, now, &output_);
  }
  if (options_->on_request) {
    options_->on_request(client_.ip, line, payload, absl::string_view(output_).substr(before));
  }
}

void Conversation::SayHello() {
  said_hello_ = true;
  output_ += wire::FormatHelloAnswer(kAgent, client_);
}

void Conversation::OnFault(absl::string_view line, const wire::RequestFault& fault) {
  using Kind = wire::RequestFault::Kind;
  if (fault.kind == Kind::kForeign) return RefuseAndFinish(line, fault.error);
  if (fault.kind == Kind::kHello) {
    // Else this tracker would look like one that does not know HELLO.
    SayHello();
    return RefuseAndFinish(line, fault.error);
  }
  const bool later_version = fault.kind == Kind::kUnknownVerb && said_hello_;
  if ((later_version || wire::HasPayload(line)) && !SkipPayload(line)) return;
  // A client of a later version learns from the answer that this tracker does not know the verb.
  if (later_version) return Refuse(line, fault.error);
  CountFault(line, fault.error);
}

bool Conversation::SkipPayload(absl::string_view line) {
  payload_to_skip_ = wire::PayloadBytes(line).value_or(0);
  if (payload_to_skip_ <= limits::kMaxUnknownPayloadBytes) return true;
  RefuseAndFinish(line, {413, "the payload is larger than 1 MiB"});
  return false;
}

void Conversation::CountFault(absl::string_view line, const wire::WireError& error) {
  if (++bad_lines_ > limits::kMaxBadLines) {
    return RefuseAndFinish(line, {error.code, "too many malformed lines"});
  }
  Refuse(line, error);
}

void Conversation::Refuse(absl::string_view line, const wire::WireError& error) {
  output_ += wire::FormatError(error.code, error.text);
  if (options_->on_fault) options_->on_fault(client_.ip, line, error);
}

void Conversation::RefuseAndFinish(absl::string_view line, const wire::WireError& error) {
  Refuse(line, error);
  state_ = State::kFinished;
}

}  // namespace p2p::tracker

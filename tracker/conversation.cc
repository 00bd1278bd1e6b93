#include "tracker/conversation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/strip.h"
#include "core/wire/fields.h"

namespace p2p::tracker {

Conversation::Conversation(const ConversationOptions* options, Service* service,
                           const wire::IpAddress& source, absl::Time now)
    : options_(options),
      service_(service),
      source_(source),
      backlog_limit_(options->max_backlog_bytes),
      started_(now),
      last_bytes_(now),
      last_activity_(now) {}

void Conversation::OnBytes(absl::string_view bytes, absl::Time now) {
  last_bytes_ = now;
  if (held_.empty()) {
    Process(bytes, now);
  } else {
    held_.append(bytes.data(), bytes.size());
  }
}

void Conversation::OnEndOfStream(absl::Time now) {
  end_of_stream_ = true;
  Process("", now);
}

void Conversation::OnSent(size_t sent_bytes, size_t unsent_bytes, absl::Time now) {
  unsent_ = unsent_bytes;
  taken_ += sent_bytes;
  if (sent_bytes > 0) last_activity_ = now;
  Process("", now);
}

void Conversation::OnTime(absl::Time now) {
  if (state_ != State::kOpen) return;
  const bool no_request = !had_request_ && now >= started_ + options_->first_request_timeout;
  const bool idle = now >= IdleUntil();
  if (no_request || idle || (now >= must_take_by_ && taken_ < limits::kMinTransferBytes)) {
    state_ = State::kTimedOut;
    return;
  }
  if (HasUnendedLine() && now >= last_bytes_ + options_->line_pause) {
    OnLine(reader_.TakePartial(), now);
    line_ended_by_pause_ = true;
  }
  if (now >= must_take_by_) must_take_by_ = absl::InfiniteFuture();
  WatchBacklog(now);
}

std::string Conversation::TakeOutput() {
  unsent_ += output_.size();
  return std::exchange(output_, std::string());
}

absl::Time Conversation::WakeUpTime() const {
  if (state_ != State::kOpen) return absl::InfiniteFuture();
  absl::Time wake_up = std::min(IdleUntil(), must_take_by_);
  if (!had_request_) wake_up = std::min(wake_up, started_ + options_->first_request_timeout);
  if (HasUnendedLine()) wake_up = std::min(wake_up, last_bytes_ + options_->line_pause);
  return wake_up;
}

absl::Time Conversation::IdleUntil() const {
  const absl::Duration ttl = service_->registry().options().ttl;
  return last_activity_ + std::max(options_->idle_timeout, ttl + ttl / 4);
}

bool Conversation::HasUnendedLine() const { return !said_hello_ && reader_.HasPartial(); }

// `input` follows what is held; one of them is empty.
void Conversation::Process(absl::string_view input, absl::Time now) {
  std::string held;
  held.swap(held_);
  if (!held.empty()) input = held;
  while (state_ == State::kOpen && !input.empty() && !Backlogged()) TakeLine(&input, now);
  if (state_ == State::kOpen) held_.assign(input.data(), input.size());
  if (state_ == State::kOpen && end_of_stream_ && held_.empty()) {
    if (reader_.HasPartial()) OnLine(reader_.TakePartial(), now);
    state_ = State::kFinished;
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
  if (std::exchange(line_ended_by_pause_, false)) {
    if (!absl::ConsumePrefix(input, "\r\n")) absl::ConsumePrefix(input, "\n");
    if (input->empty()) return;
  }
  absl::string_view line;
  switch (reader_.Next(input, &line)) {
    case wire::LineReader::Result::kLine:
      return OnLine(line, now);
    case wire::LineReader::Result::kNeedMore:
      return;
    case wire::LineReader::Result::kTooLong:
      return RefuseAndFinish(*input, {413, "the line is longer than 4096 bytes"});
  }
}

void Conversation::OnLine(absl::string_view line, absl::Time now) {
  last_activity_ = now;
  wire::TrackerRequest request;
  const auto fault = wire::ParseTrackerRequest(line, &request);
  if (fault.has_value()) return OnFault(line, *fault);
  had_request_ = true;
  if (absl::holds_alternative<wire::HelloRequest>(request)) said_hello_ = true;
  ++uncounted_requests_;
  const size_t before = output_.size();
  service_->Answer(request, source_, now, &output_);
  if (options_->on_request) {
    options_->on_request(source_, line, absl::string_view(output_).substr(before));
  }
}

void Conversation::OnFault(absl::string_view line, const wire::RequestFault& fault) {
  if (fault.kind == wire::RequestFault::Kind::kForeign) return RefuseAndFinish(line, fault.error);
  if (fault.kind == wire::RequestFault::Kind::kUnknownVerb && said_hello_) {
    return OnUnknownVerb(line, fault.error);
  }
  if (++bad_lines_ > limits::kMaxBadLines) {
    return RefuseAndFinish(line, {fault.error.code, "too many malformed lines"});
  }
  Refuse(line, fault.error);
}

// A client of a later version: it learns from the answer that this tracker does not know the verb.
void Conversation::OnUnknownVerb(absl::string_view line, const wire::WireError& error) {
  payload_to_skip_ = wire::PayloadBytes(line).value_or(0);
  if (payload_to_skip_ > limits::kMaxUnknownPayloadBytes) {
    return RefuseAndFinish(line, {413, "the payload is larger than 1 MiB"});
  }
  Refuse(line, error);
}

void Conversation::Refuse(absl::string_view line, const wire::WireError& error) {
  output_ += wire::FormatError(error.code, error.text);
  if (options_->on_fault) options_->on_fault(source_, line, error);
}

void Conversation::RefuseAndFinish(absl::string_view line, const wire::WireError& error) {
  Refuse(line, error);
  state_ = State::kFinished;
}

}  // namespace p2p::tracker

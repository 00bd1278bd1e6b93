#include "daemon/session/tracker_session.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/text.h"
#include "core/wire/line_reader.h"
#include "core/wire/peer_address.h"
#include "core/wire/protocol_version.h"
#include "core/wire/tracker_messages.h"
#include "daemon/session/tracker_question.h"

namespace p2p::session {

struct TrackerSession::Impl {
  enum class State { kHelloSent, kExtension, kOriginal, kEnded };

  Impl(std::string self_address, absl::Time now, TrackerProtocol known);

  void Ask(Question question, absl::Time now);
  void Pump(absl::Time now);
  size_t Window() const;

  void OnBytes(absl::string_view bytes, absl::Time now);
  void OnEndOfStream(absl::Time now);
  void OnTime(absl::Time now);
  absl::Time WakeUpTime() const;
  absl::optional<bool> SpeaksExtension() const;

  void OnLine(absl::string_view line, absl::Time now);
  void OnHelloAnswer(absl::string_view line, absl::Time now);
  void OnRefused(Question* question, const wire::WireError& error);
  void TakePayload(absl::string_view* bytes, absl::Time now);
  void AnswerDone(absl::Time now);
  bool HasUnendedAnswer() const {
    return state != State::kExtension && !heard_line_end && reader.HasPartial();
  }

  // Whether the front question has its answer with this; else its payload follows, or the session
  // ended over it.
  bool OnAnswer(Question* question, absl::string_view line);
  bool OnNumber(Question* question, absl::string_view line);
  bool OnPeerList(const Question& question, absl::string_view line);
  bool OnFoundHeader(const Question& question, absl::string_view line);
  bool OnFound(const Question& question, const wire::FoundHeader& header);

  void EndOverDowngrade() {
    End("the tracker did not answer HELLO, which it did before", /*at_fault=*/true);
  }
  void EndOverGarbage(absl::string_view why, absl::string_view line);
  void Lose(uint64_t token, const std::string& reason);
  void End(std::string reason, bool at_fault = false);

  const std::string self_text;
  const absl::optional<wire::PeerAddress> self;
  const bool known_to_extend;
  State state;
  absl::optional<bool> speaks_extension_at_end;
  bool hello_unanswered = false;  // given up; the answer may still come

  std::deque<Question> questions;  // in order; the first ones are under way
  size_t in_flight = 0;            // lines sent and not answered
  absl::Time waiting_since;        // for the next answer
  absl::Time last_bytes;

  wire::LineReader reader;
  bool line_ended_by_pause = false;                // its LF may still come
  bool heard_line_end = false;                     // it is a tracker that ends its lines
  absl::optional<wire::FoundHeader> found_header;  // its payload is coming in
  std::string payload;
  std::string output;
  std::vector<TrackerEvent> events;
  std::string end_reason;
};

TrackerSession::Impl::Impl(std::string self_address, absl::Time now, TrackerProtocol known)
    : self_text(std::move(self_address)),
      self(wire::PeerAddress::Parse(self_text)),
      known_to_extend(known == TrackerProtocol::kExtension),
      state(known == TrackerProtocol::kOriginal ? State::kOriginal : State::kHelloSent),
      waiting_since(now),
      last_bytes(now) {
  if (state == State::kHelloSent) output = wire::FormatHelloRequest();
}

// --- Questions

void TrackerSession::Impl::Ask(Question question, absl::Time now) {
  if (state == State::kEnded) return Lose(question.token, end_reason);
  if (questions.empty() && state != State::kHelloSent) waiting_since = now;
  questions.push_back(std::move(question));
  Pump(now);
}

// Lines that may be under way. Original trackers may take one request for each read of theirs, so
// they get one.
size_t TrackerSession::Impl::Window() const {
  if (state == State::kExtension) return limits::kMaxPipelinedRequests;
  return state == State::kOriginal ? 1 : 0;
}

void TrackerSession::Impl::Pump(absl::Time now) {
  if (Window() == 0) return;
  const bool original = state == State::kOriginal;
  while (!questions.empty() && questions.front().NeedsNoTracker(original)) {
    events.push_back(questions.front().LocalAnswer());
    questions.pop_front();
    waiting_since = now;
  }
  for (Question& question : questions) {
    // Its answer waits for its turn.
    if (question.NeedsNoTracker(original)) continue;
    while (question.sent < question.lines) {
      if (in_flight >= Window()) return;
      output += question.NextLine(original, self_text);
      ++in_flight;
    }
  }
}

// --- Answers

void TrackerSession::Impl::OnBytes(absl::string_view bytes, absl::Time now) {
  last_bytes = now;
  while (state != State::kEnded && !bytes.empty()) {
    if (found_header.has_value()) {
      TakePayload(&bytes, now);
      continue;
    }
    absl::string_view line;
    switch (reader.Next(&bytes, &line)) {
      case wire::LineReader::Result::kLine:
        heard_line_end = true;
        OnLine(line, now);
        break;
      case wire::LineReader::Result::kNeedMore:
        return;
      case wire::LineReader::Result::kTooLong:
        return End("the tracker's answer is longer than 4096 bytes", /*at_fault=*/true);
    }
  }
}

void TrackerSession::Impl::OnLine(absl::string_view line, absl::Time now) {
  if (std::exchange(line_ended_by_pause, false) && line.empty()) return;
  if (state == State::kHelloSent) return OnHelloAnswer(line, now);
  if (hello_unanswered && wire::ParseHelloAnswer(line).has_value()) {
    // It does speak the extension, so the original protocol is not for it.
    state = State::kExtension;
    return End("the tracker was late with its HELLO");
  }
  const absl::optional<wire::WireError> error = wire::ParseErrorLine(line);
  if (in_flight == 0) {
    // It has no room for this connection, or does not want it any more.
    if (error.has_value()) return End(absl::StrCat("the tracker said: ", Printable(error->text)));
    return EndOverGarbage("it says what was not asked for", line);
  }
  Question* const question = &questions.front();
  waiting_since = now;
  if (error.has_value()) {
    OnRefused(question, *error);
  } else if (!OnAnswer(question, line)) {
    return;
  }
  AnswerDone(now);
}

void TrackerSession::Impl::OnHelloAnswer(absl::string_view line, absl::Time now) {
  if (const auto hello = wire::ParseHelloAnswer(line)) {
    state = State::kExtension;
    if (hello->version < wire::kProtocolVersion) {
      return End(absl::StrCat("the tracker speaks version ", hello->version,
                              " of the protocol and must be updated"),
                 /*at_fault=*/true);
    }
  } else if (wire::ParseErrorLine(line).has_value()) {
    if (known_to_extend) return EndOverDowngrade();
    state = State::kOriginal;
  } else {
    return EndOverGarbage("it answers HELLO with neither HELLO nor ERROR", line);
  }
  waiting_since = now;
  Pump(now);
}

void TrackerSession::Impl::OnRefused(Question* question, const wire::WireError& error) {
  if (question->IsBatch()) return question->TakeRefusal(error);
  events.push_back(TrackerRefused{question->token, error.code, error.text});
}

bool TrackerSession::Impl::OnAnswer(Question* question, absl::string_view line) {
  switch (question->kind) {
    case Question::Kind::kAnnounce:
    case Question::Kind::kRenew:
    case Question::Kind::kWithdraw:
      return OnNumber(question, line);
    case Question::Kind::kFindName:
      if (state == State::kExtension) return OnFoundHeader(*question, line);
      return OnPeerList(*question, line);
    case Question::Kind::kFindPeers:
      break;
  }
  return OnFoundHeader(*question, line);
}

bool TrackerSession::Impl::OnNumber(Question* question, absl::string_view line) {
  const absl::StatusOr<uint64_t> number = wire::ParseOk(line);
  if (!number.ok()) {
    EndOverGarbage(number.status().message(), line);
    return false;
  }
  if (question->kind == Question::Kind::kWithdraw) {
    events.push_back(Withdrawn{question->token});
    return true;
  }
  question->TakeTtl(*number);
  return true;
}

bool TrackerSession::Impl::OnPeerList(const Question& question, absl::string_view line) {
  const absl::StatusOr<wire::PeerList> list = wire::ParsePeerList(line);
  if (!list.ok()) {
    EndOverGarbage(list.status().message(), line);
    return false;
  }
  NameFound found;
  found.token = question.token;
  found.originals = NameFound::Original{list->size, OtherPeers(list->peers, self)};
  events.push_back(std::move(found));
  return true;
}

bool TrackerSession::Impl::OnFoundHeader(const Question& question, absl::string_view line) {
  const absl::StatusOr<wire::FoundHeader> header = wire::ParseFoundHeader(line);
  if (!header.ok()) {
    EndOverGarbage(header.status().message(), line);
    return false;
  }
  if (header->payload_bytes == 0) return OnFound(question, *header);
  found_header = *header;
  return false;
}

void TrackerSession::Impl::TakePayload(absl::string_view* bytes, absl::Time now) {
  const absl::string_view taken = bytes->substr(0, found_header->payload_bytes - payload.size());
  payload.append(taken.data(), taken.size());
  bytes->remove_prefix(taken.size());
  if (payload.size() < found_header->payload_bytes) return;
  const wire::FoundHeader header = *std::exchange(found_header, absl::nullopt);
  if (OnFound(questions.front(), header)) AnswerDone(now);
}

bool TrackerSession::Impl::OnFound(const Question& question, const wire::FoundHeader& header) {
  const std::string text = std::exchange(payload, std::string());
  const auto versions = wire::ParseFoundPayload(header, text);
  if (!versions.ok()) {
    EndOverGarbage(versions.status().message(), text);
    return false;
  }
  absl::optional<TrackerEvent> answer = question.FoundAnswer(*versions, self);
  if (!answer.has_value()) {
    EndOverGarbage("it tells of another content", "");
    return false;
  }
  events.push_back(*std::move(answer));
  return true;
}

// One line of the front question has its whole answer.
void TrackerSession::Impl::AnswerDone(absl::Time now) {
  Question& question = questions.front();
  --in_flight;
  if (++question.answered == question.lines) {
    if (question.IsBatch()) events.push_back(question.BatchAnswer());
    questions.pop_front();
  }
  Pump(now);
}

// --- Time and end

void TrackerSession::Impl::OnEndOfStream(absl::Time now) {
  if (state != State::kEnded && !found_header.has_value() && reader.HasPartial()) {
    OnLine(reader.TakePartial(), now);
  }
  if (state == State::kHelloSent && !known_to_extend) {
    state = State::kOriginal;
    return End(
        "the tracker closed the connection over HELLO; it may know only the original protocol");
  }
  End("the tracker closed the connection");
}

void TrackerSession::Impl::OnTime(absl::Time now) {
  if (state == State::kEnded) return;
  if (HasUnendedAnswer() && now >= last_bytes + limits::kLinePause) {
    OnLine(reader.TakePartial(), now);
    line_ended_by_pause = true;
  }
  if (state == State::kHelloSent && now >= waiting_since + limits::kHelloTimeout) {
    if (known_to_extend) return EndOverDowngrade();
    state = State::kOriginal;
    hello_unanswered = true;
    waiting_since = now;
    Pump(now);
  }
  if (in_flight > 0 && now >= waiting_since + limits::kTrackerAnswerTimeout) {
    End(absl::StrCat("the tracker did not answer for ",
                     HumanDuration(limits::kTrackerAnswerTimeout)),
        /*at_fault=*/true);
  }
}

absl::Time TrackerSession::Impl::WakeUpTime() const {
  if (state == State::kEnded) return absl::InfiniteFuture();
  absl::Time wake_up = absl::InfiniteFuture();
  if (state == State::kHelloSent) wake_up = waiting_since + limits::kHelloTimeout;
  if (in_flight > 0) wake_up = waiting_since + limits::kTrackerAnswerTimeout;
  if (HasUnendedAnswer()) wake_up = std::min(wake_up, last_bytes + limits::kLinePause);
  return wake_up;
}

absl::optional<bool> TrackerSession::Impl::SpeaksExtension() const {
  switch (state) {
    case State::kHelloSent:
      return absl::nullopt;
    case State::kExtension:
      return true;
    case State::kOriginal:
      return false;
    case State::kEnded:
      break;
  }
  return speaks_extension_at_end;
}

void TrackerSession::Impl::EndOverGarbage(absl::string_view why, absl::string_view line) {
  End(absl::StrCat("the tracker's answer is not one of this protocol: ", why, ": ",
                   Printable(line, 80)),
      /*at_fault=*/true);
}

void TrackerSession::Impl::Lose(uint64_t token, const std::string& reason) {
  events.push_back(TrackerRefused{token, 0, reason});
}

void TrackerSession::Impl::End(std::string reason, bool at_fault) {
  if (state == State::kEnded) return;
  speaks_extension_at_end = SpeaksExtension();
  state = State::kEnded;
  end_reason = reason;
  for (const Question& question : questions) Lose(question.token, end_reason);
  questions.clear();
  output.clear();
  payload = std::string();
  events.push_back(TrackerEnded{std::move(reason), at_fault});
}

// --- The class itself

TrackerSession::TrackerSession(std::string self_address, absl::Time now, TrackerProtocol known)
    : impl_(std::make_unique<Impl>(std::move(self_address), now, known)) {}
TrackerSession::~TrackerSession() = default;

void TrackerSession::OnBytes(absl::string_view bytes, absl::Time now) {
  impl_->OnBytes(bytes, now);
}
void TrackerSession::OnEndOfStream(absl::Time now) { impl_->OnEndOfStream(now); }
void TrackerSession::OnTime(absl::Time now) { impl_->OnTime(now); }
std::string TrackerSession::TakeOutput() { return std::exchange(impl_->output, std::string()); }
std::vector<TrackerEvent> TrackerSession::TakeEvents() { return std::exchange(impl_->events, {}); }
absl::Time TrackerSession::WakeUpTime() const { return impl_->WakeUpTime(); }
bool TrackerSession::ended() const { return impl_->state == Impl::State::kEnded; }
absl::optional<bool> TrackerSession::speaks_extension() const { return impl_->SpeaksExtension(); }

void TrackerSession::Announce(uint64_t token, std::vector<Announcement> announcements,
                              absl::Time now) {
  impl_->Ask(Question::Announce(token, std::move(announcements)), now);
}
void TrackerSession::Renew(uint64_t token, uint64_t count, absl::Time now) {
  impl_->Ask(Question::Renew(token, count), now);
}
void TrackerSession::Withdraw(uint64_t token, const ContentId& content_id, absl::Time now) {
  impl_->Ask(Question::Withdraw(token, content_id), now);
}
void TrackerSession::WithdrawAll(uint64_t token, absl::Time now) {
  impl_->Ask(Question::Withdraw(token, absl::nullopt), now);
}
void TrackerSession::FindName(uint64_t token, absl::string_view name, absl::Time now) {
  impl_->Ask(Question::FindName(token, name), now);
}
void TrackerSession::FindPeers(uint64_t token, const ContentId& content_id, absl::Time now) {
  impl_->Ask(Question::FindPeers(token, content_id), now);
}

}  // namespace p2p::session

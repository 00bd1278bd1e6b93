#include "ctl/follow.h"

#include <signal.h>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "ctl/exit_codes.h"
#include "ctl/format.h"
#include "ctl/json.h"
#include "ctl/output.h"

namespace p2p::ctl {
namespace {

constexpr absl::Duration kLineInterval = absl::Seconds(1);
// How soon Ctrl-C is noticed.
constexpr absl::Duration kLookInterval = absl::Milliseconds(100);

volatile sig_atomic_t interrupted = 0;

}  // namespace

void CatchInterrupts() {
  struct sigaction action {};
  action.sa_handler = +[](int) { interrupted = 1; };
  // A second Ctrl-C ends p2pctl at once.
  action.sa_flags = SA_RESETHAND;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
}

bool Interrupted() { return interrupted != 0; }

ProgressPrinter::Style ProgressPrinter::StyleFor(const Session& session) {
  if (session.json) return Style::kJson;
  return OutputIsTerminal() ? Style::kLive : Style::kPlain;
}

double ProgressPrinter::ReadRate(const v1::Transfer& transfer, absl::Time now) {
  const double seconds = absl::ToDoubleSeconds(now - state_since_);
  // Too early a figure would only jump.
  if (seconds < 0.5 || transfer.bytes_done() < done_at_state_) return 0;
  return static_cast<double>(transfer.bytes_done() - done_at_state_) / seconds;
}

absl::optional<std::string> ProgressPrinter::Next(const v1::Transfer& transfer, absl::Time now) {
  if (style_ == Style::kJson) return JsonLine(ToJson(transfer)) + "\n";
  const bool new_state = !begun_ || transfer.state() != state_;
  if (new_state) {
    state_since_ = now;
    done_at_state_ = transfer.bytes_done();
  }
  const bool news = new_state || transfer.error() != waits_for_;
  begun_ = true;
  state_ = transfer.state();
  waits_for_ = transfer.error();
  const std::string line = ProgressLine(transfer, ReadRate(transfer, now));
  if (style_ == Style::kLive) return line;
  if (!news && now < next_line_) return absl::nullopt;
  next_line_ = now + kLineInterval;
  return line + "\n";
}

namespace {

void ShowNote(ProgressPrinter::Style style, const std::string& note) {
  if (note.empty() || style == ProgressPrinter::Style::kJson) return;
  if (style == ProgressPrinter::Style::kLive) ShowLive("");
  Print(note);
}

void Show(ProgressPrinter::Style style, ProgressPrinter* printer, const v1::Transfer& transfer) {
  const absl::optional<std::string> text = printer->Next(transfer, MonotonicNow());
  if (!text) return;
  if (style == ProgressPrinter::Style::kLive) {
    ShowLive(*text);
  } else {
    Print(*text);
  }
}

// Reads until the end; the live line is still there then.
void FollowStream(TransferStream* stream, ProgressPrinter::Style style,
                  const std::function<bool(const v1::Transfer&)>& reached,
                  const std::function<std::string(const v1::Transfer&)>& note,
                  FollowResult* result) {
  ProgressPrinter printer(style);
  for (;;) {
    if (Interrupted()) {
      result->end = FollowEnd::kInterrupted;
      return;
    }
    v1::WatchTransfersResponse message;
    switch (stream->Next(kLookInterval, &message)) {
      case TransferStream::Event::kNothing:
        continue;
      case TransferStream::Event::kEnd:
        result->status = stream->status();
        if (result->status.ok())
          result->status = absl::UnavailableError("the daemon ended the watch");
        return;
      case TransferStream::Event::kMessage:
        break;
    }
    for (const v1::Transfer& transfer : message.transfers()) {
      result->last = transfer;
      if (note != nullptr) ShowNote(style, note(transfer));
      Show(style, &printer, transfer);
      if (!reached(transfer)) continue;
      result->end = FollowEnd::kReached;
      return;
    }
    if (!message.removed_ids().empty()) {
      result->end = FollowEnd::kRemoved;
      return;
    }
  }
}

}  // namespace

FollowResult Follow(const Session& session, Client* client, const v1::Transfer& transfer,
                    const std::function<bool(const v1::Transfer&)>& reached,
                    const std::function<std::string(const v1::Transfer&)>& note) {
  CatchInterrupts();
  FollowResult result;
  result.last = transfer;
  v1::WatchTransfersRequest request;
  request.set_transfer(absl::StrCat(transfer.id()));
  const ProgressPrinter::Style style = ProgressPrinter::StyleFor(session);
  const std::unique_ptr<TransferStream> stream = client->Watch(request);
  FollowStream(stream.get(), style, reached, note, &result);
  if (style == ProgressPrinter::Style::kLive) ShowLive("");
  // Removed between the call before and the watch.
  if (result.end == FollowEnd::kFailed && absl::IsNotFound(result.status)) {
    result.end = FollowEnd::kRemoved;
  }
  return result;
}

int FailFollow(const FollowResult& result) {
  const uint64_t id = result.last.id();
  switch (result.end) {
    case FollowEnd::kReached:
      return kDone;
    case FollowEnd::kRemoved:
      Complain(absl::StrCat("transfer ", id, " (", Printable(result.last.name()),
                            ") was removed by someone else"));
      return kFailed;
    case FollowEnd::kInterrupted:
      Complain(absl::StrCat("the ", KindName(result.last.kind()),
                            " goes on in the daemon; p2pctl watch ", id,
                            " follows it, p2pctl pause ", id, " stops it"));
      return kInterrupted;
    case FollowEnd::kFailed:
      break;
  }
  return Fail(result.status);
}

}  // namespace p2p::ctl

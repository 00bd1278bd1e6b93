#include "daemon/session/peer_session_impl.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/limits.h"
#include "core/wire/peer_messages.h"
#include "core/wire/protocol_version.h"

namespace p2p::session {
namespace {

// An extension session that heard nothing for so long asks whether the other side is there.
constexpr absl::Duration kPingAfter = absl::Seconds(60);
// Lines are judged until they have brought so much to send; what follows is judged when some of
// that has left.
constexpr uint64_t kTurnTextBytes = 64 << 10;

}  // namespace

PeerSession::Impl::Impl(PeerSessionOptions options, std::shared_ptr<ChunkPool> pool, absl::Time now)
    : core{std::move(options), now, {}, {}},
      receiver(std::move(pool)),
      extension(&core, &receiver),
      server(&core),
      client(&core, &receiver),
      start(now),
      last_received(now),
      last_active(now) {
  if (!core.options.dialled) return;
  mode = core.options.original ? Mode::kOriginalClient : Mode::kAwaitsHello;
  if (mode == Mode::kAwaitsHello) extension.SayHello();
}

void PeerSession::Impl::Hear(absl::Time time) {
  SetNow(time);
  last_received = last_active = core.now;
  pinged = false;
}

void PeerSession::Impl::Pump(absl::string_view fresh) {
  if (core.ended) return Release();
  if (held.empty()) {
    Consume(&fresh);
    held.assign(fresh.data(), fresh.size());
  } else {
    held.append(fresh.data(), fresh.size());
    absl::string_view rest = held;
    Consume(&rest);
    held.erase(0, held.size() - rest.size());
  }
  if (held.empty()) std::string().swap(held);
  if (held.empty() && end_of_stream && !core.ended) Finish();
  if (core.ended) Release();
  Settle();
}

void PeerSession::Impl::Consume(absl::string_view* input) {
  const uint64_t turn_ends = core.outbox.put_bytes() + kTurnTextBytes;
  while (!core.ended && !input->empty()) {
    if (receiver.active()) {
      if (!receiver.Lease()) return;
      const size_t taken = receiver.Take(*input);
      input->remove_prefix(taken);
      OnChunkBytes(taken);
    } else if (mode == Mode::kOriginalClient) {
      client.OnBytes(input);
    } else if (mode == Mode::kExtension && extension.InPayload()) {
      const size_t before = input->size();
      extension.TakePayload(input);
      recv_watch.Progress(before - input->size());
      if (!extension.InPayload()) recv_watch.Restart();
    } else if (mode == Mode::kOriginalServer && server.closing()) {
      input->remove_prefix(input->size());
    } else if (Blocked() || core.outbox.put_bytes() >= turn_ends) {
      return;
    } else if (mode == Mode::kAwaitsFirst && input->front() == wire::kTlsFirstByte &&
               !lines.HasPartial()) {
      core.End("it speaks TLS, which is not spoken here", /*protocol_error=*/true);
    } else {
      ConsumeLine(input);
    }
  }
}

void PeerSession::Impl::ConsumeLine(absl::string_view* input) {
  if (line_ended_by_pause) {
    line_ended_by_pause = absl::ConsumePrefix(input, "\r");
    heard_line_end |= absl::ConsumePrefix(input, "\n");
    if (input->empty()) return;
    line_ended_by_pause = false;
  }
  absl::string_view line;
  switch (lines.Next(input, &line)) {
    case wire::LineReader::Result::kLine:
      heard_line_end = true;
      return OnLine(line);
    case wire::LineReader::Result::kNeedMore:
      return;
    case wire::LineReader::Result::kTooLong:
      return OnTooLongLine();
  }
}

void PeerSession::Impl::OnLine(absl::string_view line) {
  switch (mode) {
    case Mode::kAwaitsHello:
      return wire::peer::IsHello(line) ? OnHello(line) : OnOriginalAnswer();
    case Mode::kAwaitsFirst:
      if (wire::peer::IsHello(line)) return OnHello(line);
      mode = Mode::kOriginalServer;
      return server.OnLine(line);
    case Mode::kExtension:
      return extension.OnLine(line);
    case Mode::kOriginalServer:
      return server.OnLine(line);
    case Mode::kOriginalClient:
      return;
  }
}

void PeerSession::Impl::OnHello(absl::string_view line) {
  // Also where it is refused: else this side would look like one that does not know HELLO.
  if (mode == Mode::kAwaitsFirst) extension.SayHello();
  mode = Mode::kExtension;
  absl::StatusOr<wire::peer::Message> message = wire::peer::Parse(line);
  if (!message.ok()) return core.Fail(400, message.status().message());
  const auto& hello = absl::get<wire::peer::Hello>(*message);
  if (hello.version < wire::kProtocolVersion) return core.Fail(426, wire::kWrongVersionText);
  extension.OnHello(hello);
  const bool leaves = hello.leaves && core.options.leaves;
  core.Emit(PeerHello{hello.peer_id, hello.listen_port, leaves, hello.agent,
                      hello.you ? hello.you->ToString() : ""});
}

// The answer to HELLO was none.
void PeerSession::Impl::OnOriginalAnswer() {
  core.Emit(PeerIsOriginal{});
  core.ended = true;
}

void PeerSession::Impl::OnTooLongLine() {
  if (mode == Mode::kAwaitsHello) return OnOriginalAnswer();
  if (mode == Mode::kExtension) {
    return core.Fail(413, absl::StrCat("line longer than ", limits::kMaxLineBytes, " bytes"));
  }
  mode = Mode::kOriginalServer;
  server.OnTooLongLine();
}

void PeerSession::Impl::OnChunkBytes(size_t size) {
  recv_watch.Progress(size);
  core.Progress(size, receiver.Done());
  if (!receiver.Done()) return;
  ChunkReceived received = receiver.Finish();
  extension.OnChunkArrived(received.part);
  client.OnChunkArrived();
  recv_watch.Restart();
  buffer_wait.Wait(absl::ZeroDuration());
  core.Emit(std::move(received));
}

// All that the other side sent is judged, and it sends no more.
void PeerSession::Impl::Finish() {
  if (mode == Mode::kAwaitsHello) return OnOriginalAnswer();
  if (Serves() && lines.HasPartial()) OnLine(lines.TakePartial());
  if (mode == Mode::kOriginalServer) return server.OnEndOfStream();
  core.End(Requested() > 0 ? "the other side closed before it sent what was asked for"
                           : "the other side closed the connection",
           /*protocol_error=*/false);
}

// An ended session holds no memory while the driver still sends its last words.
void PeerSession::Impl::Release() {
  receiver.Abandon();
  extension.Release();
  std::string().swap(held);
}

bool PeerSession::Impl::Blocked() const {
  return core.outbox.waiting_text_bytes() > core.backlog_limit_bytes ||
         (mode == Mode::kExtension && extension.Blocked()) ||
         (mode == Mode::kOriginalServer && server.full());
}

void PeerSession::Impl::Settle() {
  const bool awaits = Requested() > 0 || extension.AwaitsPayload();
  recv_watch.Run(!core.ended && awaits && !Blocked() && !receiver.waits_for_buffer());
  manifest_wait.Wait(core.ended ? absl::ZeroDuration() : extension.ManifestPatience());
  buffer_wait.Wait(!core.ended && receiver.has_buffer() ? limits::kSlowReaderTimeout
                                                        : absl::ZeroDuration());
  send_watch.Run(!core.ended && !core.outbox.Drained());
}

void PeerSession::Impl::TickWatches() {
  recv_watch.Tick(core.now);
  manifest_wait.Tick(core.now);
  buffer_wait.Tick(core.now);
  send_watch.Tick(core.now);
}

void PeerSession::Impl::CheckTimes() {
  const absl::Time now = core.now;
  if (mode == Mode::kAwaitsHello && now >= start + limits::kHelloTimeout) {
    return OnOriginalAnswer();
  }
  if (AwaitsFirstRequest() && now >= start + limits::kFirstRequestTimeout) {
    return core.End("no request in time", false);
  }
  if (recv_watch.Expired(now)) return core.End("the other side sends too slowly", false);
  if (manifest_wait.Expired(now)) return core.End("the manifest did not come in time", false);
  if (buffer_wait.Expired(now)) {
    if (receiver.IsPoolEmpty())
      return core.End("the other side sends too slowly while others wait for memory", false);
    buffer_wait.Wait(absl::ZeroDuration());
  }
  if (send_watch.Expired(now)) return core.End("the other side reads too slowly", false);
  if (!Listening()) last_received = last_active = now;
  if (MayIdle() && now >= last_active + limits::kIdleTimeout) return core.End("idle", false);
  if (mode == Mode::kExtension && !pinged && now >= last_received + kPingAfter) {
    pinged = true;
    extension.Ping();
  }
  if (PauseEndsLine() && now >= last_received + limits::kLinePause) {
    line_ended_by_pause = true;
    OnLine(lines.TakePartial());
  }
}

absl::Time PeerSession::Impl::WakeUpTime() {
  if (core.ended) return absl::InfiniteFuture();
  const absl::Time next = NextDeadline();
  if (told_wake_up <= core.now || told_wake_up > next) told_wake_up = next;
  return told_wake_up;
}

absl::Time PeerSession::Impl::NextDeadline() const {
  absl::Time wake = std::min(recv_watch.WakeUpTime(core.now), send_watch.WakeUpTime(core.now));
  wake = std::min({wake, manifest_wait.WakeUpTime(core.now), buffer_wait.WakeUpTime(core.now)});
  if (mode == Mode::kAwaitsHello) wake = std::min(wake, start + limits::kHelloTimeout);
  if (AwaitsFirstRequest()) wake = std::min(wake, start + limits::kFirstRequestTimeout);
  if (MayIdle()) wake = std::min(wake, last_active + limits::kIdleTimeout);
  if (mode == Mode::kExtension && !pinged) wake = std::min(wake, last_received + kPingAfter);
  if (PauseEndsLine()) wake = std::min(wake, last_received + limits::kLinePause);
  return wake;
}

}  // namespace p2p::session

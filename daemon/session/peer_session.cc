#include "daemon/session/peer_session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/limits.h"
#include "core/wire/line_reader.h"
#include "core/wire/peer_messages.h"
#include "daemon/session/chunk_receiver.h"
#include "daemon/session/extension_dialogue.h"
#include "daemon/session/original_dialogue.h"
#include "daemon/session/rate_watch.h"
#include "daemon/session/session_core.h"

namespace p2p::session {
namespace {

// An extension session that heard nothing for so long asks whether the other side is there.
constexpr absl::Duration kPingAfter = absl::Seconds(60);
// While an answer of ours must come first, so much input is still taken in.
constexpr size_t kHeldBytes = 64 << 10;

}  // namespace

struct PeerSession::Impl {
  // What the next line is judged by.
  enum class Mode {
    kAwaitsHello,     // dialled: HELLO was said
    kAwaitsFirst,     // accepted: nothing was heard yet
    kExtension,       // both have said HELLO
    kOriginalServer,  // the other side asks with GET_CHUNK
    kOriginalClient,  // we ask with GET_CHUNK
  };

  Impl(PeerSessionOptions options, std::shared_ptr<ChunkPool> pool, absl::Time now)
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

  bool Serves() const { return mode == Mode::kAwaitsFirst || mode == Mode::kOriginalServer; }
  int Requested() const { return extension.requested() + (client.asked() ? 1 : 0); }

  // --- Bytes
  // ---------------------------------------------------------------------------------------

  void Hear(absl::Time time) {
    SetNow(time);
    last_received = last_active = core.now;
    pinged = false;
  }

  void SetNow(absl::Time time) { core.now = std::max(core.now, time); }

  // No line may be judged now.
  bool Blocked() const {
    return core.outbox.waiting_text_bytes() > limits::kMaxSendBacklogBytes ||
           (mode == Mode::kExtension && extension.Blocked()) ||
           (mode == Mode::kOriginalServer && server.full());
  }

  // Judges what is held and then `fresh`, as far as that may be done now; holds the rest.
  void Pump(absl::string_view fresh) {
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

  // An ended session holds no memory while the driver still sends its last words.
  void Release() {
    receiver.Abandon();
    std::string().swap(held);
  }

  void Consume(absl::string_view* input) {
    while (!core.ended && !input->empty()) {
      if (receiver.active()) {
        if (!receiver.Lease()) return;
        const size_t taken = receiver.Take(*input);
        input->remove_prefix(taken);
        OnChunkBytes(taken);
      } else if (mode == Mode::kOriginalClient) {
        client.OnBytes(input);
      } else if (mode == Mode::kExtension && extension.InPayload()) {
        extension.TakePayload(input);
      } else if (mode == Mode::kOriginalServer && server.closing()) {
        input->remove_prefix(input->size());
      } else if (Blocked()) {
        return;
      } else {
        ConsumeLine(input);
      }
    }
  }

  void ConsumeLine(absl::string_view* input) {
    if (line_ended_by_pause) {
      line_ended_by_pause = absl::ConsumePrefix(input, "\r");
      absl::ConsumePrefix(input, "\n");
      if (input->empty()) return;
      line_ended_by_pause = false;
    }
    absl::string_view line;
    switch (lines.Next(input, &line)) {
      case wire::LineReader::Result::kLine:
        return OnLine(line);
      case wire::LineReader::Result::kNeedMore:
        return;
      case wire::LineReader::Result::kTooLong:
        return OnTooLongLine();
    }
  }

  void OnLine(absl::string_view line) {
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

  void OnHello(absl::string_view line) {
    absl::StatusOr<wire::peer::Message> message = wire::peer::Parse(line);
    if (!message.ok()) return core.Fail(400, message.status().message());
    const auto& hello = absl::get<wire::peer::Hello>(*message);
    if (mode == Mode::kAwaitsFirst) extension.SayHello();
    mode = Mode::kExtension;
    core.Emit(PeerHello{hello.peer_id, hello.listen_port, hello.agent});
  }

  // The answer to HELLO was none.
  void OnOriginalAnswer() {
    core.Emit(PeerIsOriginal{});
    core.ended = true;
  }

  void OnTooLongLine() {
    if (mode == Mode::kAwaitsHello) return OnOriginalAnswer();
    if (mode == Mode::kExtension) {
      return core.Fail(413, absl::StrCat("line longer than ", limits::kMaxLineBytes, " bytes"));
    }
    mode = Mode::kOriginalServer;
    server.OnTooLongLine();
  }

  void OnChunkBytes(size_t size) {
    recv_watch.Progress(size);
    core.Progress(size, receiver.Done());
    if (!receiver.Done()) return;
    ChunkReceived received = receiver.Finish();
    extension.OnChunkArrived(received.chunk);
    client.OnChunkArrived();
    recv_watch.Restart();
    core.Emit(std::move(received));
  }

  // All that the other side sent is judged, and it sends no more.
  void Finish() {
    if (mode == Mode::kAwaitsHello) return OnOriginalAnswer();
    if (Serves() && lines.HasPartial()) OnLine(lines.TakePartial());
    if (mode == Mode::kOriginalServer) return server.OnEndOfStream();
    core.End(Requested() > 0 ? "the other side closed before it sent what was asked for"
                             : "the other side closed the connection",
             /*protocol_error=*/false);
  }

  // --- Time
  // ----------------------------------------------------------------------------------------

  // Starts and stops what is watched, after anything that may have changed it.
  void Settle() {
    recv_watch.Run(!core.ended && Requested() > 0 && !Blocked() && !receiver.waits_for_buffer());
    send_watch.Run(!core.ended && !core.outbox.Drained());
  }

  void TickWatches() {
    recv_watch.Tick(core.now);
    send_watch.Tick(core.now);
  }

  // Whether the silence of the other side counts.
  bool Listening() const { return !Blocked() && !receiver.waits_for_buffer(); }
  // Whether an idle session may close: the original protocol has no PING, so an answer on its way
  // keeps it.
  bool MayIdle() const {
    return mode != Mode::kOriginalServer || (server.queued() == 0 && core.outbox.Drained());
  }
  bool AwaitsFirstRequest() const { return Serves() && !server.has_had_request(); }
  // An unended line counts as ended when the other side pauses.
  bool PauseEndsLine() const { return Serves() && lines.HasPartial() && !Blocked(); }

  void CheckTimes() {
    const absl::Time now = core.now;
    if (mode == Mode::kAwaitsHello && now >= start + limits::kHelloTimeout) {
      return OnOriginalAnswer();
    }
    if (AwaitsFirstRequest() && now >= start + limits::kFirstRequestTimeout) {
      return core.End("no request in time", false);
    }
    if (recv_watch.Expired(now)) return core.End("the other side sends too slowly", false);
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

  absl::Time WakeUpTime() const {
    if (core.ended) return absl::InfiniteFuture();
    absl::Time wake = std::min(recv_watch.WakeUpTime(core.now), send_watch.WakeUpTime(core.now));
    if (mode == Mode::kAwaitsHello) wake = std::min(wake, start + limits::kHelloTimeout);
    if (AwaitsFirstRequest()) wake = std::min(wake, start + limits::kFirstRequestTimeout);
    if (MayIdle()) wake = std::min(wake, last_active + limits::kIdleTimeout);
    if (mode == Mode::kExtension && !pinged) wake = std::min(wake, last_received + kPingAfter);
    if (PauseEndsLine()) {
      wake = std::min(wake, last_received + limits::kLinePause);
    }
    return wake;
  }

  SessionCore core;
  ChunkReceiver receiver;
  ExtensionDialogue extension;
  OriginalServer server;
  OriginalClient client;
  wire::LineReader lines;
  Mode mode = Mode::kAwaitsFirst;
  std::string held;  // input that may not be judged yet
  bool end_of_stream = false;
  bool line_ended_by_pause = false;  // its end may still come, and is then no empty line

  const absl::Time start;
  absl::Time last_received;
  absl::Time last_active;  // received or sent
  bool pinged = false;
  RateWatch recv_watch;  // while we wait for chunks
  RateWatch send_watch;  // while the other side has something to read
};

PeerSession::PeerSession(PeerSessionOptions options, std::shared_ptr<ChunkPool> pool,
                         absl::Time now)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(pool), now)) {}

PeerSession::~PeerSession() = default;

PeerSession::ReadPlan PeerSession::PlanRead() {
  Impl& impl = *impl_;
  ReadPlan plan;
  plan.mode = ReadMode::kPause;
  if (impl.receiver.waits_for_buffer() && impl.receiver.Lease()) impl.Pump({});
  if (impl.core.ended || impl.end_of_stream) return plan;
  if (impl.receiver.active()) {
    plan.waits_for_pool = impl.receiver.waits_for_buffer();
    if (plan.waits_for_pool) return plan;
    plan.mode = ReadMode::kPayload;
    plan.payload = impl.receiver.Rest();
    return plan;
  }
  const bool extension_waits =
      impl.mode == Impl::Mode::kExtension && impl.held.size() < kHeldBytes &&
      impl.core.outbox.waiting_text_bytes() <= limits::kMaxSendBacklogBytes;
  if (!impl.Blocked() || extension_waits) plan.mode = ReadMode::kLines;
  return plan;
}

void PeerSession::OnBytes(absl::string_view bytes, absl::Time now) {
  impl_->Hear(now);
  impl_->Pump(bytes);
  impl_->TickWatches();
}

void PeerSession::OnPayload(size_t size, absl::Time now) {
  if (impl_->core.ended) return;
  impl_->Hear(now);
  impl_->receiver.Advance(size);
  impl_->OnChunkBytes(size);
  impl_->Settle();
  impl_->TickWatches();
}

void PeerSession::OnEndOfStream(absl::Time now) {
  impl_->Hear(now);
  impl_->end_of_stream = true;
  impl_->Pump({});
}

void PeerSession::OnSent(size_t sent, size_t unsent_text_bytes, size_t unsent_bytes,
                         absl::Time now) {
  Impl& impl = *impl_;
  impl.SetNow(now);
  impl.core.outbox.OnSent(sent, unsent_text_bytes, unsent_bytes);
  if (impl.core.ended) return;
  // What the kernel takes at once proves nothing; a backlog that drains shows that the other side
  // reads.
  if (sent > 0 && (unsent_bytes > 0 || impl.mode != Impl::Mode::kExtension)) {
    impl.last_active = impl.core.now;
  }
  impl.send_watch.Progress(sent);
  impl.extension.OnSent();
  impl.server.OnSent();
  impl.Pump({});
  impl.TickWatches();
}

void PeerSession::OnTime(absl::Time now) {
  impl_->SetNow(now);
  if (impl_->core.ended) return;
  impl_->TickWatches();
  impl_->CheckTimes();
  impl_->Pump({});
  impl_->TickWatches();
}

std::vector<Output> PeerSession::TakeOutput() { return impl_->core.outbox.Take(); }
std::vector<PeerEvent> PeerSession::TakeEvents() { return std::exchange(impl_->core.events, {}); }
absl::Time PeerSession::WakeUpTime() const { return impl_->WakeUpTime(); }
bool PeerSession::ended() const { return impl_->core.ended; }

// A command on an ended session does nothing; one that answers may let held lines go on.
#define P2P_SESSION_COMMAND(call)  \
  do {                             \
    if (impl_->core.ended) return; \
    impl_->call;                   \
    impl_->Pump({});               \
  } while (false)

void PeerSession::Open(const ContentId& content_id) {
  P2P_SESSION_COMMAND(extension.Open(content_id));
}
void PeerSession::AskWhich(absl::string_view name) {
  P2P_SESSION_COMMAND(extension.AskWhich(name));
}
void PeerSession::AskManifest(uint32_t max_hashes) {
  P2P_SESSION_COMMAND(extension.AskManifest(max_hashes));
}
void PeerSession::AskHashes(FileIndex file, uint32_t first) {
  P2P_SESSION_COMMAND(extension.AskHashes(file, first));
}
void PeerSession::Subscribe() { P2P_SESSION_COMMAND(extension.Subscribe()); }
void PeerSession::AskPeers() { P2P_SESSION_COMMAND(extension.AskPeers()); }

void PeerSession::RequestChunks(ChunkIndex first, absl::Span<const uint32_t> lengths,
                                absl::Time now) {
  impl_->SetNow(now);
  P2P_SESSION_COMMAND(extension.RequestChunks(first, lengths));
  impl_->TickWatches();
}

void PeerSession::CancelChunk(ChunkIndex chunk) {
  P2P_SESSION_COMMAND(extension.CancelChunk(chunk));
}

void PeerSession::RequestOriginalChunk(absl::string_view name, ChunkIndex chunk, uint32_t length,
                                       absl::Time now) {
  impl_->SetNow(now);
  P2P_SESSION_COMMAND(client.Request(name, chunk, length));
  impl_->TickWatches();
}

void PeerSession::AcceptOpen(uint32_t chunk_count) {
  P2P_SESSION_COMMAND(extension.AcceptOpen(chunk_count));
}
void PeerSession::RefuseOpen(int code, absl::string_view reason) {
  P2P_SESSION_COMMAND(extension.RefuseOpen(code, reason));
}
void PeerSession::AnswerWhich(absl::Span<const ContentId> content_ids) {
  P2P_SESSION_COMMAND(extension.AnswerWhich(content_ids));
}
void PeerSession::SendManifest(std::shared_ptr<const std::string> info) {
  P2P_SESSION_COMMAND(extension.SendManifest(std::move(info)));
}
void PeerSession::RefuseManifest(int code, absl::string_view reason) {
  P2P_SESSION_COMMAND(extension.RefuseManifest(code, reason));
}
void PeerSession::SendHashes(FileIndex file, const content::HashRange& range) {
  P2P_SESSION_COMMAND(extension.SendHashes(file, range));
}
void PeerSession::RefuseHashes(FileIndex file, uint32_t first, int code, absl::string_view reason) {
  P2P_SESSION_COMMAND(extension.RefuseHashes(file, first, code, reason));
}
void PeerSession::SendHave(ChunkIndex first, uint32_t count) {
  P2P_SESSION_COMMAND(extension.SendHave(first, count));
}
void PeerSession::SendHaveBits(ChunkIndex first, absl::string_view bits) {
  P2P_SESSION_COMMAND(extension.SendHaveBits(first, bits));
}
void PeerSession::SendLost(ChunkIndex first, uint32_t count) {
  P2P_SESSION_COMMAND(extension.SendLost(first, count));
}
void PeerSession::SendPeers(absl::Span<const std::string> addresses) {
  P2P_SESSION_COMMAND(extension.SendPeers(addresses));
}
void PeerSession::SendChunk(ChunkIndex chunk, FileSlice slice) {
  P2P_SESSION_COMMAND(extension.SendChunk(chunk, std::move(slice)));
}
void PeerSession::RefuseChunk(ChunkIndex chunk, int code, absl::string_view reason) {
  P2P_SESSION_COMMAND(extension.RefuseChunk(chunk, code, reason));
}
void PeerSession::SendOriginalChunk(FileSlice slice) {
  P2P_SESSION_COMMAND(server.SendChunk(std::move(slice)));
}
void PeerSession::SendOriginalError(int code, absl::string_view reason) {
  P2P_SESSION_COMMAND(server.SendError(code, reason));
}
void PeerSession::SetChunkCount(uint32_t chunk_count) {
  P2P_SESSION_COMMAND(extension.SetChunkCount(chunk_count));
}

#undef P2P_SESSION_COMMAND

int PeerSession::queued_to_serve() const {
  return impl_->extension.queued_to_serve() + impl_->server.queued();
}
int PeerSession::requested() const { return impl_->Requested(); }

}  // namespace p2p::session

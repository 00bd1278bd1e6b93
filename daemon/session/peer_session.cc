#include "daemon/session/peer_session.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "daemon/session/peer_session_impl.h"

namespace p2p::session {
namespace {

// Chunks up to this are read several at a time.
constexpr uint64_t kSmallChunkBytes = limits::kLeafBytes;
// While an answer of ours must come first, so much input is still taken in.
constexpr size_t kHeldBytes = 64 << 10;

}  // namespace

std::string NoRoomText(const PeerSessionOptions& options) {
  return absl::StrCat(wire::peer::Format(HelloOf(options)),
                      wire::FormatError(503, "too many connections"));
}

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
  const uint64_t mean_bytes = impl.extension.mean_requested_bytes();
  plan.small_chunks = mean_bytes > 0 && mean_bytes <= kSmallChunkBytes;
  if (impl.receiver.active()) {
    plan.waits_for_pool = impl.receiver.waits_for_buffer();
    if (plan.waits_for_pool) return plan;
    plan.mode = plan.small_chunks ? ReadMode::kLines : ReadMode::kPayload;
    plan.payload = impl.receiver.Rest();
    return plan;
  }
  const bool extension_waits =
      impl.mode == Impl::Mode::kExtension && impl.held.size() < kHeldBytes &&
      impl.core.outbox.waiting_text_bytes() <= impl.core.backlog_limit_bytes;
  const bool goes_on = !impl.Blocked() && impl.held.size() < kHeldBytes;
  if (goes_on || extension_waits) plan.mode = ReadMode::kLines;
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
void PeerSession::SkipManifest() { P2P_SESSION_COMMAND(extension.SkipManifest()); }
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

void PeerSession::RequestLeaves(const ChunkPart& part, uint32_t length, absl::Time now) {
  impl_->SetNow(now);
  P2P_SESSION_COMMAND(extension.RequestLeaves(part, length));
  impl_->TickWatches();
}

void PeerSession::Cancel(const ChunkPart& part) { P2P_SESSION_COMMAND(extension.Cancel(part)); }

void PeerSession::RequestOriginalChunk(absl::string_view name, ChunkIndex chunk, uint32_t length,
                                       absl::Time now) {
  impl_->SetNow(now);
  P2P_SESSION_COMMAND(client.Request(name, chunk, length));
  impl_->TickWatches();
}

void PeerSession::AcceptOpen(uint32_t chunk_count) {
  P2P_SESSION_COMMAND(extension.AcceptOpen(chunk_count));
}
void PeerSession::RefuseOpen(int code, absl::string_view reason, std::vector<std::string> peers) {
  P2P_SESSION_COMMAND(extension.RefuseOpen(code, reason, std::move(peers)));
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
void PeerSession::SendHaveLeaves(const ChunkPart& part) {
  P2P_SESSION_COMMAND(extension.SendHaveLeaves(part));
}
void PeerSession::SendPeers(absl::Span<const std::string> addresses) {
  P2P_SESSION_COMMAND(extension.SendPeers(addresses));
}
void PeerSession::SendChunk(ChunkIndex chunk, FileSlice slice) {
  P2P_SESSION_COMMAND(extension.SendChunk(chunk, std::move(slice)));
}
void PeerSession::SendLeaves(const ChunkPart& part, absl::Span<const Hash256> proof,
                             FileSlice slice) {
  P2P_SESSION_COMMAND(extension.SendLeaves(part, proof, std::move(slice)));
}
void PeerSession::Refuse(const ChunkPart& part, int code, absl::string_view reason) {
  P2P_SESSION_COMMAND(extension.Refuse(part, code, reason));
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

void PeerSession::UseSendTally(std::shared_ptr<SendTally> tally) {
  impl_->extension.UseSendTally(std::move(tally));
}

void PeerSession::LimitBacklog(size_t bytes) { impl_->core.backlog_limit_bytes = bytes; }

uint64_t PeerSession::send_ahead_bytes() const { return impl_->extension.send_ahead_bytes(); }

int PeerSession::queued_to_serve() const {
  return impl_->extension.queued_to_serve() + impl_->server.queued();
}
int PeerSession::requested() const { return impl_->Requested(); }

}  // namespace p2p::session

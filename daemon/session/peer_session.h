// One conversation with a peer, as a state machine without I/O: bytes and `now` in; bytes, events
// and a wake-up time out. Owned by its driver, on the loop of its connection.
//
// A dialled session says HELLO first unless it is told to speak the original protocol. An accepted
// one waits: the first line decides which of the two protocols is spoken.
//
// Every call, PlanRead and the commands included, may add output and events and may begin or end a
// pause. So after each of them take the output and the events and, where reading is paused, ask
// PlanRead again. When the chunk pool has room again, call OnTime first.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "absl/types/variant.h"
#include "core/base/buffers.h"
#include "core/base/byte_budget.h"
#include "core/base/chunk_part.h"
#include "core/base/ids.h"
#include "core/base/limits.h"
#include "core/base/send_tally.h"
#include "core/content/merkle.h"

namespace p2p::session {

// --- Events: what the other side said or asked

// The other side speaks the extension.
struct PeerHello {
  PeerId peer_id;
  uint16_t listen_port = 0;  // 0: takes no connections
  bool leaves = false;       // may be asked for some of a chunk's leaves
  std::string agent;
  std::string you;  // the address under which it sees this side; "" where it does not say
};
// Dialled with HELLO and the answer was none: the other side speaks only the original protocol. The
// session has ended; dial again with `original`.
struct PeerIsOriginal {};
// OPEN from the other side: answer with AcceptOpen or RefuseOpen. At most one content a connection.
struct OpenAsked {
  ContentId content_id;
};
// The other side's answer to our OPEN.
struct OpenAnswered {
  bool accepted = false;
  std::string reason;  // when not accepted
  int code = 0;        // likewise, as in docs/protocol.md
};
// WHICH: which contents does this peer share under that name? Answer with AnswerWhich.
struct WhichAsked {
  std::string name;
};
struct WhichAnswered {
  std::vector<ContentId> content_ids;
};
struct ManifestAsked {
  uint32_t max_hashes = 0;
};
struct ManifestReceived {
  std::string info;
  std::shared_ptr<ByteBudget::Share> held;  // as long as it is not verified
};
// So much of it came as is worth waiting for a second: limits::kMinManifestRate.
struct ManifestProgress {};
struct HashesAsked {
  FileIndex file;
  uint32_t first = 0;
};
struct HashesReceived {
  FileIndex file;
  content::HashRange range;
};  // not verified yet
// The other side refused GET-MANIFEST or GET-HASHES.
struct ManifestRefused {
  std::string reason;
};
struct HashesRefused {
  FileIndex file;
  uint32_t first = 0;
  std::string reason;
};
// The other side wants our have-set and its changes: answer with SendHave, then with changes.
struct SubscribeAsked {};
struct HaveReceived {
  ChunkIndex first;
  uint32_t count = 0;
};
struct LostReceived {
  ChunkIndex first;
  uint32_t count = 0;
};
struct HaveBitsReceived {
  ChunkIndex first;
  std::string bits;
};
// These leaves of a chunk that is not whole there.
struct HaveLeavesReceived {
  ChunkPart part;
};
struct PeersAsked {};
struct PeersReceived {
  std::vector<std::string> addresses;
};
// Prepare a chunk, or leaves of one, to be sent, then call SendChunk, SendLeaves or Refuse. So much
// is asked for at a time as leaves soon; the rest waits in the session and may still be cancelled.
struct ServeChunk {
  ChunkPart part;
};
// The same for the original protocol: answer with SendOriginalChunk or SendOriginalError. The next
// one is asked for after that answer: answers are in the order of the requests.
struct ServeOriginalChunk {
  std::string name;
  uint64_t chunk_id = 0;
};
// What was asked for, unverified: a whole chunk, for an original peer too, or leaves with what
// proves them against the chunk's hash.
struct ChunkReceived {
  ChunkPart part;
  std::vector<Hash256> proof;
  ChunkBuffer data;
};
// Part of a chunk came in (for rates); several reads may be summed up in one event.
struct ProgressMade {
  uint64_t bytes = 0;
};
// The other side will not send this. `code` as in docs/protocol.md.
struct ChunkRejected {
  ChunkPart part;
  int code = 0;
  std::string reason;
};
// The session is over: the driver closes the connection after sending what TakeOutput() still
// gives. `protocol_error` when the other side broke the rules.
struct SessionEnded {
  std::string reason;
  bool protocol_error = false;
  int code = 0;  // of the other side's ERROR, if that ended it
};

using PeerEvent =
    absl::variant<PeerHello, PeerIsOriginal, OpenAsked, OpenAnswered, WhichAsked, WhichAnswered,
                  ManifestAsked, ManifestReceived, ManifestProgress, HashesAsked, HashesReceived,
                  ManifestRefused, HashesRefused, SubscribeAsked, HaveReceived, LostReceived,
                  HaveBitsReceived, HaveLeavesReceived, PeersAsked, PeersReceived, ServeChunk,
                  ServeOriginalChunk, ChunkReceived, ProgressMade, ChunkRejected, SessionEnded>;

// Text that need not wait behind chunks which have not begun to leave.
struct UrgentText {
  std::string text;
};
// Nothing comes between the two.
struct ChunkToSend {
  std::string header;
  FileSlice slice;
};
// What to send, in order where nothing else is said.
using Output = absl::variant<std::string, UrgentText, FileSlice, ChunkToSend>;

struct PeerSessionOptions {
  bool dialled = false;
  bool original = false;  // dialled only: speak the original protocol from the start
  PeerId self;
  uint16_t listen_port = 0;
  bool leaves = true;  // offers leaves of chunks, if the other side does
  std::string agent;   // "p2pd/0.1.0"
  std::string other;   // the address under which the other side is seen: it is told
  // Of all manifests that come in and are not verified.
  std::shared_ptr<ByteBudget> manifests =
      std::make_shared<ByteBudget>(limits::kMaxUnverifiedManifestBytes);
};

// What somebody is told for whom there is no room: all of the conversation.
std::string NoRoomText(const PeerSessionOptions& options);

class PeerSession {
 public:
  // Chunks that the session at most asks its driver to prepare before earlier ones have left. Of
  // shorter ones up to 16 times as many, as long as they are no more bytes than so many whole ones.
  static constexpr int kServeAhead = 4;

  PeerSession(PeerSessionOptions options, std::shared_ptr<ChunkPool> pool, absl::Time now);
  ~PeerSession();

  // --- Input

  // Where the next bytes of the connection belong. kLines: read into the driver's scratch memory
  // and pass them to OnBytes; `small_chunks`: as much as fits, for several chunks are worth one
  // read more than the copy costs. kPayload: read straight into `payload`, then call OnPayload.
  // kPause: do not read: either every chunk buffer is leased (wait for ChunkPool::WhenFree, then
  // ask again) or too much is queued for the other side.
  enum class ReadMode { kLines, kPayload, kPause };
  struct ReadPlan {
    ReadMode mode = ReadMode::kLines;
    absl::Span<uint8_t> payload;
    bool small_chunks = false;
    bool waits_for_pool = false;
  };
  ReadPlan PlanRead();
  void OnBytes(absl::string_view bytes, absl::Time now);
  void OnPayload(size_t size, absl::Time now);
  void OnEndOfStream(absl::Time now);
  // `unsent_bytes`: what the connection still holds after `sent` bytes left.
  void OnSent(size_t sent, size_t unsent_text_bytes, size_t unsent_bytes, absl::Time now);
  void OnTime(absl::Time now);

  // --- Output
  std::vector<Output> TakeOutput();
  std::vector<PeerEvent> TakeEvents();
  absl::Time WakeUpTime() const;
  bool ended() const;

  // --- Commands: ours to the other side

  // Only where this side dialled. May be called before the HELLO of the other side is here: sent
  // along with ours.
  void Open(const ContentId& content_id);
  void AskWhich(absl::string_view name);
  // Also asks for up to `max_hashes` chunk hashes, which follow as HASHES.
  void AskManifest(uint32_t max_hashes);
  // It is known by now, and is not asked for any more: what is still on its way is skipped.
  void SkipManifest();
  void AskHashes(FileIndex file, uint32_t first);
  void Subscribe();
  void AskPeers();
  // Asks for chunks first..first+lengths.size()-1, whose lengths are given.
  void RequestChunks(ChunkIndex first, absl::Span<const uint32_t> lengths, absl::Time now);
  // Leaves of a chunk, `length` bytes. Only where PeerHello says so.
  void RequestLeaves(const ChunkPart& part, uint32_t length, absl::Time now);
  // The answer may still be what was asked for; else ChunkRejected(499) follows.
  void Cancel(const ChunkPart& part);
  // Original peers: one at a time.
  void RequestOriginalChunk(absl::string_view name, ChunkIndex chunk, uint32_t length,
                            absl::Time now);

  // --- Commands: answers
  void AcceptOpen(uint32_t chunk_count);  // bounds what the other side may ask for
  // `peers`: addresses for the other side if it asks for peers all the same.
  void RefuseOpen(int code, absl::string_view reason, std::vector<std::string> peers = {});
  void AnswerWhich(absl::Span<const ContentId> content_ids);
  void SendManifest(std::shared_ptr<const std::string> info);
  void RefuseManifest(int code, absl::string_view reason);
  void SendHashes(FileIndex file, const content::HashRange& range);
  void RefuseHashes(FileIndex file, uint32_t first, int code, absl::string_view reason);
  void SendHave(ChunkIndex first, uint32_t count);
  void SendHaveBits(ChunkIndex first, absl::string_view bits);
  void SendLost(ChunkIndex first, uint32_t count);
  // Leaves of a chunk that is not whole here. Nothing where the other side does not know of leaves.
  void SendHaveLeaves(const ChunkPart& part);
  void SendPeers(absl::Span<const std::string> addresses);
  void SendChunk(ChunkIndex chunk, FileSlice slice);
  void SendLeaves(const ChunkPart& part, absl::Span<const Hash256> proof, FileSlice slice);
  void Refuse(const ChunkPart& part, int code, absl::string_view reason);
  void SendOriginalChunk(FileSlice slice);
  // 500 also ends the session: a disk that fails is no use to the other side.
  void SendOriginalError(int code, absl::string_view reason);

  // Bounds have messages once the manifest is known (dialled sessions; AcceptOpen does it for
  // accepted ones).
  void SetChunkCount(uint32_t chunk_count);

  // With more text than this waiting to be sent, nothing more is read; 1 MiB unless it is said.
  void LimitBacklog(size_t bytes);

  // What is sent is counted there, and of what waits that is sent first which was sent least often.
  void UseSendTally(std::shared_ptr<SendTally> tally);

  // How much may stand ready beyond what is on the wire, by how fast this connection sends.
  uint64_t send_ahead_bytes() const;
  // Chunks asked of us and not yet handed to SendChunk; chunks we asked for and do not have.
  int queued_to_serve() const;
  int requested() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace p2p::session

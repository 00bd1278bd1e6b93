// What is said after HELLO: judges every message of the other side by the rules of
// docs/protocol.md, turns it into events, and formats ours. Both sides ask and answer. Part of a
// session; on its loop.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "core/wire/peer_messages.h"
#include "daemon/session/chunk_receiver.h"
#include "daemon/session/request_ledger.h"
#include "daemon/session/serve_queue.h"
#include "daemon/session/session_core.h"

namespace p2p::session {

wire::peer::Hello HelloOf(const PeerSessionOptions& options);

class ExtensionDialogue {
 public:
  ExtensionDialogue(SessionCore* core, ChunkReceiver* receiver)
      : core_(core), receiver_(receiver) {}

  // --- Input
  void OnLine(absl::string_view line);
  // Payload that is no chunk's: collected here as it comes, so that memory follows what was really
  // sent.
  bool InPayload() const { return payload_left_ > 0; }
  void TakePayload(absl::string_view* input);
  void OnHello(const wire::peer::Hello& hello);
  void OnChunkArrived(const ChunkPart& part);
  void OnSent() {
    RejectNext();
    ServeNext();
  }
  // A payload that was asked for, or has begun, is to come.
  bool AwaitsPayload() const {
    return manifests_asked_ > 0 || !hashes_asked_.empty() || payload_left_ > 0;
  }
  // How long the manifest may take from when it was asked for; zero when none is awaited.
  absl::Duration ManifestPatience() const;
  // The session has ended: holds no memory any longer.
  void Release();
  // An answer of ours must come first: no further line may be handed in.
  bool Blocked() const;

  // --- Commands and answers: see PeerSession
  void SayHello();
  void Open(const ContentId& content_id);
  void AskWhich(absl::string_view name);
  void AskManifest(uint32_t max_hashes);
  void SkipManifest();
  void AskHashes(FileIndex file, uint32_t first);
  void Subscribe();
  void AskPeers();
  void RequestChunks(ChunkIndex first, absl::Span<const uint32_t> lengths);
  void RequestLeaves(const ChunkPart& part, uint32_t length);
  void Cancel(const ChunkPart& part);
  void Ping();

  void AcceptOpen(uint32_t chunk_count);
  void RefuseOpen(int code, absl::string_view reason, std::vector<std::string> peers);
  void AnswerWhich(absl::Span<const ContentId> content_ids);
  void SendManifest(std::shared_ptr<const std::string> info);
  void RefuseManifest(int code, absl::string_view reason);
  void SendHashes(FileIndex file, const content::HashRange& range);
  void RefuseHashes(FileIndex file, uint32_t first, int code, absl::string_view reason);
  void SendHave(ChunkIndex first, uint32_t count);
  void SendHaveBits(ChunkIndex first, absl::string_view bits);
  void SendLost(ChunkIndex first, uint32_t count);
  void SendHaveLeaves(const ChunkPart& part);
  void SendPeers(absl::Span<const std::string> addresses);
  void SendChunk(ChunkIndex chunk, FileSlice slice);
  void SendLeaves(const ChunkPart& part, absl::Span<const Hash256> proof, FileSlice slice);
  void Refuse(const ChunkPart& part, int code, absl::string_view reason);
  void UseSendTally(std::shared_ptr<SendTally> tally) { tally_ = std::move(tally); }
  void SetChunkCount(uint32_t chunk_count) { chunk_count_ = chunk_count; }

  int queued_to_serve() const { return static_cast<int>(waiting_.size()) + window_.preparing(); }
  int requested() const { return ledger_.size(); }
  uint64_t send_ahead_bytes() const { return window_.ahead_bytes(); }
  uint64_t mean_requested_bytes() const { return ledger_.MeanLength(); }

 private:
  enum class Content { kNone, kAsked, kOpen, kRefused };
  using HashesKey = std::pair<FileIndex, uint32_t>;

  // One for each message, in the order of docs/protocol.md.
  void On(const wire::peer::Hello& message);
  void On(const wire::peer::Open& message);
  void On(const wire::peer::Opened& message);
  void On(const wire::peer::Refused& message);
  void On(const wire::peer::Which& message);
  void On(const wire::peer::Contents& message);
  void On(const wire::peer::GetManifest& message);
  void On(const wire::peer::Manifest& message);
  void On(const wire::peer::NoManifest& message);
  void On(const wire::peer::GetHashes& message);
  void On(const wire::peer::Hashes& message);
  void On(const wire::peer::NoHashes& message);
  void On(const wire::peer::Subscribe& message);
  void On(const wire::peer::Have& message);
  void On(const wire::peer::Lost& message);
  void On(const wire::peer::HaveBits& message);
  void On(const wire::peer::Request& message);
  void On(const wire::peer::Cancel& message);
  void On(const wire::peer::Chunk& message);
  void On(const wire::peer::Reject& message);
  void On(const wire::peer::HaveLeaves& message);
  void On(const wire::peer::RequestLeaves& message);
  void On(const wire::peer::CancelLeaves& message);
  void On(const wire::peer::Leaves& message);
  void On(const wire::peer::RejectLeaves& message);
  void On(const wire::peer::GetPeers& message);
  void On(const wire::peer::Peers& message);
  void On(const wire::peer::Ping& message);
  void On(const wire::peer::Pong& message);
  void On(const wire::peer::Error& message);
  void On(const wire::peer::Unknown& message);

  // Payloads that are whole.
  // False, and the session has ended, when all connections together have too much of it.
  bool TakeManifest(absl::string_view taken);
  bool HasRoomForManifest();
  void ReleaseManifest();
  void OnPayload(const wire::peer::Manifest& message);
  void OnPayload(const wire::peer::Hashes& message);
  void OnPayload(const wire::peer::HaveBits& message);
  void OnPayload(const wire::peer::Leaves& message);
  void OnPayload(const wire::peer::Peers& message);
  void OnPayload(const wire::peer::Unknown& message);

  template <typename T>
  void Say(const T& message) {
    core_->outbox.Urgent(wire::peer::Format(message));
  }
  // What must not come before a manifest that is being sent.
  template <typename T>
  void SayInOrder(const T& message) {
    core_->outbox.InOrder(wire::peer::Format(message));
  }
  void BeginPayload(wire::peer::Message message, uint32_t payload_bytes);
  // Whether the other side may speak of the content. If it may not, kNone ends the session;
  // kRefused is for an accepted session whose OPEN was refused: what was sent behind it is refused
  // as well.
  Content ContentForOther();
  // Ends the session unless we subscribed and the run lies within the content.
  bool MayTellHave(uint64_t end);
  // Ends the session unless both sides said in HELLO that they know leaves.
  bool LeavesAgreed();
  // Ends the session unless the content has so many chunks.
  bool MayAskFor(uint64_t end);
  // The queue has room for so many.
  uint32_t MostWaiting() const;
  void OnRejected(const ChunkPart& part, int code, const std::string& reason);
  void Put(const ChunkPart& part, std::string header, FileSlice slice);
  // Whether the driver was to prepare it; it no longer is.
  bool TakePreparing(const ChunkPart& part);
  void Reject(const ChunkPart& part, int code, absl::string_view reason);
  void SayPeers(absl::Span<const std::string> addresses);
  void RejectRun(ChunkRun run, int code, const char* reason);
  // As many lines as one turn may bring.
  void RejectNext();
  void ServeNext();

  SessionCore* const core_;
  ChunkReceiver* const receiver_;

  bool leaves_agreed_ = false;
  Content content_ = Content::kNone;
  absl::optional<uint32_t> chunk_count_;

  // What is collected for, and the bytes so far.
  wire::peer::Message payload_message_;
  uint32_t payload_left_ = 0;
  std::string payload_;

  // Our questions that are not answered.
  int which_asked_ = 0;
  int manifests_asked_ = 0;
  uint32_t manifest_bytes_ = 0;  // of the one that comes, and what has come of it
  uint32_t manifest_received_ = 0;
  std::string manifest_;
  std::shared_ptr<ByteBudget::Share> manifest_share_;  // of a large one
  bool skips_manifest_ = false;                        // it is known by now
  uint64_t manifest_hashes_left_ = 0;  // HASHES that may come unasked behind a manifest
  absl::flat_hash_set<HashesKey> hashes_asked_;
  int peers_asked_ = 0;
  bool subscribed_ = false;
  RequestLedger ledger_;

  // Questions of the other side that the driver has not answered.
  bool manifest_wanted_ = false;
  std::vector<HashesKey> hashes_wanted_;
  int which_wanted_ = 0;
  int peers_wanted_ = 0;
  std::vector<std::string> peers_when_refused_;
  bool other_subscribed_ = false;
  // Chunks that were asked for and are refused, as long as it was not told, and their number.
  struct Refusal {
    ChunkRun run;
    int code;
    const char* reason;
  };
  std::deque<Refusal> refusals_;
  uint32_t refused_ = 0;
  ServeQueue waiting_;
  ServeWindow window_;
  std::vector<ChunkPart> preparing_;
  std::shared_ptr<SendTally> tally_;
};

}  // namespace p2p::session

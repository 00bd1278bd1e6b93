// A peer session with a driver that needs no socket and believes nothing: for targets in which the
// other side says whatever it likes. The content that is asked for and served is made up: small
// chunks, whose bytes nobody looks at.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/limits.h"
#include "core/base/names.h"
#include "core/wire/peer_address.h"
#include "core/wire/peer_messages.h"
#include "daemon/session/peer_session.h"
#include "tests/fuzz/fuzz.h"

namespace p2p::session {

class PeerDriver {
 public:
  static constexpr uint32_t kChunks = 40;
  // Of all chunks together, for sessions that ask for many.
  static constexpr size_t kPoolBytes = 64 << 10;
  static constexpr char kName[] = "hello.txt";

  enum class Role { kAccepted, kDialled, kDialledOriginal };

  PeerDriver(Role role, bool answers_at_once)
      : answers_at_once_(answers_at_once),
        pool_(ChunkPool::Create(kPoolBytes)),
        session_(std::make_unique<PeerSession>(Options(role), pool_, now_)) {
    Drain();
  }
  ~PeerDriver() {
    asked_.clear();
    session_.reset();
    P2P_FUZZ_CHECK(pool_->leased_bytes() == 0);
  }

  static uint32_t LengthOf(const ChunkPart& part) {
    return part.whole() ? 1 + part.chunk.value() % 5 : part.leaf_count;
  }
  static ContentId SomeContent() {
    ContentId id;
    id.hash.bytes.fill(0xcc);
    return id;
  }

  PeerSession& session() { return *session_; }
  absl::Time now() const { return now_; }

  // What the other side sends, read as the session plans it.
  void Feed(absl::string_view bytes) {
    unread_.append(bytes.data(), bytes.size());
    Read();
  }
  void Read() {
    while (!unread_.empty() && !session_->ended()) {
      const PeerSession::ReadPlan plan = session_->PlanRead();
      Drain();
      if (plan.mode == PeerSession::ReadMode::kPause) return;
      if (plan.mode == PeerSession::ReadMode::kPayload) {
        P2P_FUZZ_CHECK(!plan.payload.empty());
        const size_t size = std::min(plan.payload.size(), unread_.size());
        std::memcpy(plan.payload.data(), unread_.data(), size);
        unread_.erase(0, size);
        session_->OnPayload(size, now_);
      } else {
        session_->OnBytes(std::exchange(unread_, std::string()), now_);
      }
      Drain();
    }
  }

  void EndOfStream() {
    session_->OnEndOfStream(now_);
    Drain();
  }

  // Wakes the session whenever it asks to be.
  void Advance(absl::Duration duration) {
    const absl::Time until = now_ + duration;
    for (int wakes = 0; session_->WakeUpTime() <= until; ++wakes) {
      P2P_FUZZ_CHECK(wakes < 1'000);
      now_ = std::max(now_, session_->WakeUpTime());
      session_->OnTime(now_);
      Drain();
    }
    now_ = until;
    session_->OnTime(now_);
    Drain();
  }

  // The connection takes so much of what is queued.
  void Sent(size_t most) {
    const size_t sent = std::min(most, queued_);
    queued_ -= sent;
    session_->OnSent(sent, std::min(queued_, text_), queued_, now_);
    Drain();
  }

  // Answers the oldest question that the other side asked: with what it wants, or not.
  void Answer(bool yes) {
    if (asked_.empty()) return;
    PeerEvent event = std::move(asked_.front());
    asked_.erase(asked_.begin());
    absl::visit([&](auto& e) { AnswerTo(e, yes); }, event);
    Drain();
  }

  // All that are asked and all that these answers bring; nothing leaves meanwhile.
  void AnswerAll() {
    while (!asked_.empty()) Answer(true);
  }

  // What was told that does not depend on how far the answers of this side had left.
  const std::string& log() const { return log_; }
  // Everything that was put on the wire, without payloads.
  const std::string& said() const { return said_; }

  void Drain() {
    for (const Output& output : session_->TakeOutput()) {
      if (const auto* text = absl::get_if<std::string>(&output)) {
        AddText(*text);
      } else if (const auto* urgent = absl::get_if<UrgentText>(&output)) {
        AddText(urgent->text);
      } else if (const auto* chunk = absl::get_if<ChunkToSend>(&output)) {
        AddText(chunk->header);
        queued_ += chunk->slice.length;
      } else {
        queued_ += absl::get<FileSlice>(output).length;
      }
    }
    for (PeerEvent& event : session_->TakeEvents()) {
      P2P_FUZZ_CHECK(!told_end_);
      absl::visit([this](auto& e) { On(e); }, event);
    }
    P2P_FUZZ_CHECK(session_->requested() >= 0 && session_->queued_to_serve() >= 0);
    if (!answers_at_once_ || draining_) return;
    // Answers bring further questions.
    draining_ = true;
    while (queued_ > 0 || !asked_.empty()) {
      if (queued_ > 0) Sent(queued_);
      Answer(true);
    }
    draining_ = false;
  }

 private:
  static PeerSessionOptions Options(Role role) {
    PeerSessionOptions options;
    options.dialled = role != Role::kAccepted;
    options.original = role == Role::kDialledOriginal;
    options.self.hash.bytes.fill(0xaa);
    options.listen_port = 9001;
    options.agent = "p2pd/0";
    return options;
  }

  void AddText(const std::string& text) {
    queued_ += text.size();
    text_ += text.size();
    said_ += text;
  }

  static FileSlice SliceOf(uint32_t length) {
    FileSlice slice;
    slice.length = length;
    return slice;
  }

  // --- Questions of the other side: kept until Answer().

  template <typename T>
  void Ask(const T& event, absl::string_view log) {
    absl::StrAppend(&log_, log, "\n");
    asked_.emplace_back(event);
    // The session does not let one connection ask without end.
    P2P_FUZZ_CHECK(asked_.size() <= 256);
  }
  void On(const OpenAsked& e) { Ask(e, "open?"); }
  void On(const WhichAsked& e) {
    P2P_FUZZ_CHECK(CheckName(e.name).ok());
    Ask(e, absl::StrCat("which? ", e.name));
  }
  void On(const ManifestAsked& e) { Ask(e, absl::StrCat("manifest? ", e.max_hashes)); }
  void On(const HashesAsked& e) { Ask(e, absl::StrCat("hashes? ", e.file.value(), " ", e.first)); }
  void On(const SubscribeAsked& e) { Ask(e, "subscribe?"); }
  void On(const PeersAsked& e) { Ask(e, "peers?"); }
  // How much is prepared at a time depends on what has left.
  void On(const ServeChunk& e) {
    P2P_FUZZ_CHECK(e.part.chunk.value() < kChunks);
    asked_.emplace_back(e);
    P2P_FUZZ_CHECK(asked_.size() <= 256);
  }
  void On(const ServeOriginalChunk& e) {
    P2P_FUZZ_CHECK(CheckName(e.name).ok());
    Ask(e, absl::StrCat("original? ", e.name, " ", e.chunk_id));
  }

  // --- What the other side told

  void On(const PeerHello& e) {
    P2P_FUZZ_CHECK(fuzz::IsShowable(e.agent));
    absl::StrAppend(&log_, "hello ", e.agent, " ", e.listen_port, e.leaves, "\n");
  }
  void On(const PeerIsOriginal&) { End("original"); }
  void On(const OpenAnswered& e) {
    absl::StrAppend(&log_, "opened ", e.accepted, " ", e.code, " ", e.reason, "\n");
  }
  void On(const WhichAnswered& e) {
    P2P_FUZZ_CHECK(e.content_ids.size() <= wire::peer::kMaxContents);
    absl::StrAppend(&log_, "contents ", e.content_ids.size(), "\n");
  }
  void On(const ManifestReceived& e) { absl::StrAppend(&log_, "manifest ", e.info, "\n"); }
  void On(const ManifestProgress&) {}  // as often as the pieces in which it came
  void On(const HashesReceived& e) {
    P2P_FUZZ_CHECK(!e.range.hashes.empty());
    P2P_FUZZ_CHECK(e.range.hashes.size() <= limits::kMaxHashesPerMessage);
    absl::StrAppend(&log_, "hashes ", e.file.value(), " ", e.range.first, " ",
                    e.range.hashes.size(), " ", e.range.proof.size(), "\n");
  }
  void On(const ManifestRefused& e) { absl::StrAppend(&log_, "no manifest ", e.reason, "\n"); }
  void On(const HashesRefused& e) { absl::StrAppend(&log_, "no hashes ", e.reason, "\n"); }
  void On(const HaveReceived& e) { Run("have", e.first, e.count); }
  void On(const LostReceived& e) { Run("lost", e.first, e.count); }
  void Run(absl::string_view what, ChunkIndex first, uint32_t count) {
    P2P_FUZZ_CHECK(count > 0 && uint64_t{first.value()} + count <= kChunks);
    absl::StrAppend(&log_, what, " ", first.value(), " ", count, "\n");
  }
  void On(const HaveBitsReceived& e) {
    P2P_FUZZ_CHECK(!e.bits.empty() && e.first.value() + 8 * (e.bits.size() - 1) < kChunks);
    absl::StrAppend(&log_, "bits ", e.first.value(), " ", e.bits, "\n");
  }
  void On(const HaveLeavesReceived& e) {
    P2P_FUZZ_CHECK(e.part.chunk.value() < kChunks && !e.part.whole());
    absl::StrAppend(&log_, "have ", Text(e.part), "\n");
  }
  void On(const PeersReceived& e) {
    P2P_FUZZ_CHECK(e.addresses.size() <= static_cast<size_t>(limits::kMaxPeersPerAnswer));
    for (const std::string& address : e.addresses) {
      P2P_FUZZ_CHECK(wire::PeerAddress::Parse(address).has_value());
    }
    absl::StrAppend(&log_, "peers ", absl::StrJoin(e.addresses, " "), "\n");
  }
  void On(const ChunkReceived& e) {
    P2P_FUZZ_CHECK(e.data.size() == LengthOf(e.part));
    absl::StrAppend(&log_, "chunk ", Text(e.part), " ", e.proof.size(), " ",
                    fuzz::AsText(e.data.span().data(), e.data.size()), "\n");
  }
  void On(const ProgressMade& e) { P2P_FUZZ_CHECK(e.bytes > 0); }
  void On(const ChunkRejected& e) {
    absl::StrAppend(&log_, "rejected ", Text(e.part), " ", e.code, " ", e.reason, "\n");
  }
  void On(const SessionEnded& e) {
    P2P_FUZZ_CHECK(fuzz::IsShowable(e.reason));
    End(absl::StrCat("ended ", e.reason, e.protocol_error));
  }
  void End(absl::string_view how) {
    told_end_ = true;
    absl::StrAppend(&log_, how, "\n");
  }
  static std::string Text(const ChunkPart& part) {
    return absl::StrCat(part.chunk.value(), "/", part.first_leaf, "+", part.leaf_count);
  }

  // --- Answers

  void AnswerTo(OpenAsked&, bool yes) {
    if (yes) return session_->AcceptOpen(kChunks);
    session_->RefuseOpen(503, "busy", {"192.0.2.9:9001"});
  }
  void AnswerTo(WhichAsked& e, bool yes) {
    std::vector<ContentId> ids(yes && e.name == kName ? 1 : 0, SomeContent());
    session_->AnswerWhich(ids);
  }
  void AnswerTo(ManifestAsked&, bool yes) {
    if (yes) return session_->SendManifest(std::make_shared<const std::string>("d4:infoe"));
    session_->RefuseManifest(404, "not known here yet");
  }
  void AnswerTo(HashesAsked& e, bool yes) {
    if (!yes) return session_->RefuseHashes(e.file, e.first, 404, "not known here");
    session_->SendHashes(e.file, {e.first, {Hash256(), Hash256()}, {Hash256()}});
  }
  void AnswerTo(SubscribeAsked&, bool yes) {
    if (yes) return session_->SendHave(ChunkIndex(0), kChunks);
    session_->SendHaveBits(ChunkIndex(0), "\x80");
    session_->SendHaveLeaves({ChunkIndex(3), 0, 4});
  }
  void AnswerTo(PeersAsked&, bool yes) {
    const std::vector<std::string> peers(yes ? 1 : 0, "192.0.2.8:9001");
    session_->SendPeers(peers);
  }
  void AnswerTo(ServeChunk& e, bool yes) {
    if (!yes) return session_->Refuse(e.part, 409, "not there yet");
    if (e.part.whole()) return session_->SendChunk(e.part.chunk, SliceOf(LengthOf(e.part)));
    session_->SendLeaves(e.part, {Hash256()}, SliceOf(LengthOf(e.part)));
  }
  void AnswerTo(ServeOriginalChunk& e, bool yes) {
    if (!yes) return session_->SendOriginalError(500, "the disk fails");
    if (e.name != kName) return session_->SendOriginalError(404, "unknown file");
    if (e.chunk_id >= kChunks) return session_->SendOriginalError(416, "no such chunk");
    session_->SendOriginalChunk(SliceOf(LengthOf(ChunkIndex(static_cast<uint32_t>(e.chunk_id)))));
  }
  template <typename T>
  void AnswerTo(T&, bool) {}

  const bool answers_at_once_;
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  const std::shared_ptr<ChunkPool> pool_;
  std::unique_ptr<PeerSession> session_;
  std::vector<PeerEvent> asked_;
  std::string unread_;  // sent by the other side
  size_t queued_ = 0;   // bytes in the connection
  size_t text_ = 0;     // text ever put in; a bound on the text in the connection
  std::string said_;
  std::string log_;
  bool told_end_ = false;
  bool draining_ = false;
};

}  // namespace p2p::session

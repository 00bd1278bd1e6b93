// What our side says in the extension: its questions, and the driver's answers.
#include <algorithm>

#include "core/base/limits.h"
#include "core/base/names.h"
#include "core/wire/address_list.h"
#include "daemon/session/extension_dialogue.h"

namespace p2p::session {
namespace {

namespace peer = wire::peer;

}  // namespace

// --- Questions

wire::peer::Hello HelloOf(const PeerSessionOptions& options) {
  peer::Hello hello;
  hello.peer_id = options.self;
  hello.listen_port = options.listen_port;
  hello.leaves = options.leaves;
  hello.agent = options.agent;
  hello.you = wire::PeerAddress::Parse(options.other);
  return hello;
}

void ExtensionDialogue::SayHello() { Say(HelloOf(core_->options)); }

void ExtensionDialogue::OnHello(const peer::Hello& hello) {
  leaves_agreed_ = hello.leaves && core_->options.leaves;
}

void ExtensionDialogue::Open(const ContentId& content_id) {
  if (content_ != Content::kNone) return;
  content_ = Content::kAsked;
  Say(peer::Open{content_id});
}

void ExtensionDialogue::AskWhich(absl::string_view name) {
  // A name that breaks the rules is shared by nobody.
  if (!CheckName(name).ok()) return core_->Emit(WhichAnswered{});
  ++which_asked_;
  Say(peer::Which{std::string(name)});
}

void ExtensionDialogue::AskManifest(uint32_t max_hashes) {
  ++manifests_asked_;
  manifest_hashes_left_ += max_hashes;
  Say(peer::GetManifest{max_hashes});
}

void ExtensionDialogue::SkipManifest() {
  skips_manifest_ = true;
  ReleaseManifest();
}

void ExtensionDialogue::AskHashes(FileIndex file, uint32_t first) {
  if (hashes_asked_.emplace(file, first).second) Say(peer::GetHashes{file, first});
}

void ExtensionDialogue::Subscribe() {
  if (subscribed_) return;
  subscribed_ = true;
  Say(peer::Subscribe{});
}

void ExtensionDialogue::AskPeers() {
  ++peers_asked_;
  Say(peer::GetPeers{});
}

void ExtensionDialogue::RequestChunks(ChunkIndex first, absl::Span<const uint32_t> lengths) {
  uint32_t run_first = first.value();
  uint32_t run_count = 0;
  const auto say_run = [&] {
    if (run_count > 0) Say(peer::Request{ChunkIndex(run_first), run_count});
    run_count = 0;
  };
  for (uint32_t i = 0; i < lengths.size(); ++i) {
    const uint32_t chunk = first.value() + i;
    if (!ledger_.Add(ChunkIndex(chunk), lengths[i])) {
      say_run();
      continue;
    }
    if (run_count == 0) run_first = chunk;
    if (++run_count == limits::kMaxQueuedChunks) say_run();
  }
  say_run();
}

void ExtensionDialogue::RequestLeaves(const ChunkPart& part, uint32_t length) {
  if (leaves_agreed_ && ledger_.Add(part, length)) Say(peer::RequestLeaves{part});
}

void ExtensionDialogue::Cancel(const ChunkPart& part) {
  if (receiver_->active() && receiver_->part() == part) return;
  if (!ledger_.Cancel(part)) return;
  if (part.whole()) {
    Say(peer::Cancel{part.chunk, 1});
  } else {
    Say(peer::CancelLeaves{part});
  }
}

void ExtensionDialogue::Ping() { Say(peer::Ping{}); }

// --- Answers

void ExtensionDialogue::AcceptOpen(uint32_t chunk_count) {
  if (core_->options.dialled || content_ != Content::kAsked) return;
  content_ = Content::kOpen;
  if (chunk_count > 0) chunk_count_ = chunk_count;
  Say(peer::Opened{chunk_count});
}

void ExtensionDialogue::RefuseOpen(int code, absl::string_view reason,
                                   std::vector<std::string> peers) {
  if (core_->options.dialled || content_ != Content::kAsked) return;
  peers_when_refused_ = std::move(peers);
  content_ = Content::kRefused;
  Say(peer::Refused{code, std::string(reason)});
}

void ExtensionDialogue::AnswerWhich(absl::Span<const ContentId> content_ids) {
  if (which_wanted_ == 0) return;
  --which_wanted_;
  content_ids = content_ids.subspan(0, peer::kMaxContents);
  Say(peer::Contents{{content_ids.begin(), content_ids.end()}});
}

void ExtensionDialogue::SendManifest(std::shared_ptr<const std::string> info) {
  if (!manifest_wanted_) return;
  manifest_wanted_ = false;
  core_->outbox.SharedText(std::move(info), [](size_t total, size_t first, size_t size) {
    return wire::peer::Format(peer::Manifest{
        static_cast<uint32_t>(total), static_cast<uint32_t>(first), static_cast<uint32_t>(size)});
  });
}

void ExtensionDialogue::RefuseManifest(int code, absl::string_view reason) {
  if (!manifest_wanted_) return;
  manifest_wanted_ = false;
  Say(peer::NoManifest{code, std::string(reason)});
}

void ExtensionDialogue::SendHashes(FileIndex file, const content::HashRange& range) {
  const auto wanted =
      std::find(hashes_wanted_.begin(), hashes_wanted_.end(), HashesKey(file, range.first));
  if (wanted != hashes_wanted_.end()) hashes_wanted_.erase(wanted);
  SayInOrder(peer::Hashes{file, range.first, static_cast<uint32_t>(range.hashes.size()),
                          static_cast<uint32_t>(range.proof.size())});
  std::string payload;
  payload.reserve(32 * (range.hashes.size() + range.proof.size()));
  for (const Hash256& hash : range.hashes) payload.append(hash.AsView().data(), 32);
  for (const Hash256& hash : range.proof) payload.append(hash.AsView().data(), 32);
  core_->outbox.InOrder(std::move(payload));
}

void ExtensionDialogue::RefuseHashes(FileIndex file, uint32_t first, int code,
                                     absl::string_view reason) {
  const auto wanted =
      std::find(hashes_wanted_.begin(), hashes_wanted_.end(), HashesKey(file, first));
  if (wanted == hashes_wanted_.end()) return;
  hashes_wanted_.erase(wanted);
  Say(peer::NoHashes{file, first, code, std::string(reason)});
}

void ExtensionDialogue::SendHave(ChunkIndex first, uint32_t count) {
  if (other_subscribed_ && count > 0) SayInOrder(peer::Have{first, count});
}

void ExtensionDialogue::SendLost(ChunkIndex first, uint32_t count) {
  if (other_subscribed_ && count > 0) SayInOrder(peer::Lost{first, count});
}

void ExtensionDialogue::SendHaveBits(ChunkIndex first, absl::string_view bits) {
  if (!other_subscribed_) return;
  for (uint32_t at = first.value(); !bits.empty();) {
    const absl::string_view part = bits.substr(0, limits::kMaxHaveBitsBytes);
    SayInOrder(peer::HaveBits{ChunkIndex(at), static_cast<uint32_t>(part.size())});
    core_->outbox.InOrder(std::string(part));
    bits.remove_prefix(part.size());
    at += static_cast<uint32_t>(8 * part.size());
  }
}

void ExtensionDialogue::SendPeers(absl::Span<const std::string> addresses) {
  if (peers_wanted_ == 0) return;
  --peers_wanted_;
  SayPeers(addresses);
}

void ExtensionDialogue::SayPeers(absl::Span<const std::string> addresses) {
  std::string list = wire::FormatAddressList(addresses.subspan(0, limits::kMaxPeersPerAnswer));
  Say(peer::Peers{static_cast<uint32_t>(list.size())});
  core_->outbox.Urgent(std::move(list));
}

void ExtensionDialogue::SendHaveLeaves(const ChunkPart& part) {
  if (other_subscribed_ && leaves_agreed_) SayInOrder(peer::HaveLeaves{part});
}

void ExtensionDialogue::SendChunk(ChunkIndex chunk, FileSlice slice) {
  std::string header = wire::peer::Format(peer::Chunk{chunk, slice.length});
  Put(chunk, std::move(header), std::move(slice));
}

void ExtensionDialogue::SendLeaves(const ChunkPart& part, absl::Span<const Hash256> proof,
                                   FileSlice slice) {
  peer::Leaves leaves{part, static_cast<uint32_t>(proof.size()), 0};
  leaves.payload_bytes = leaves.proof_bytes() + slice.length;
  std::string header = wire::peer::Format(leaves);
  for (const Hash256& hash : proof) header.append(hash.AsView().data(), hash.AsView().size());
  Put(part, std::move(header), std::move(slice));
}

void ExtensionDialogue::Put(const ChunkPart& part, std::string header, FileSlice slice) {
  if (!TakePreparing(part)) return;
  const uint32_t length = slice.length;
  core_->outbox.Chunk(std::move(header), std::move(slice));
  window_.OnPrepared(length, core_->outbox.put_bytes(), core_->now);
  ServeNext();
}

void ExtensionDialogue::Refuse(const ChunkPart& part, int code, absl::string_view reason) {
  if (!TakePreparing(part)) return;
  window_.OnRefused();
  Reject(part, code, reason);
  ServeNext();
}

bool ExtensionDialogue::TakePreparing(const ChunkPart& part) {
  const auto asked = std::find(preparing_.begin(), preparing_.end(), part);
  if (asked == preparing_.end()) return false;
  preparing_.erase(asked);
  return true;
}

}  // namespace p2p::session

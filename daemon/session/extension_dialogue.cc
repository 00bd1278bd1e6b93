#include "daemon/session/extension_dialogue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/wire/address_list.h"

namespace p2p::session {
namespace {

namespace peer = wire::peer;

// Questions of the other side that may wait for their answers at a time; then its lines are not
// read. A HASHES answer is a quarter of a megabyte, the others are a line.
constexpr size_t kMaxHashesWanted = 4;
constexpr int kMaxLinesWanted = 16;

}  // namespace

void ExtensionDialogue::OnLine(absl::string_view line) {
  absl::StatusOr<peer::Message> message = peer::Parse(line);
  if (!message.ok()) return core_->Fail(400, message.status().message());
  absl::visit([this](const auto& m) { On(m); }, *message);
}

bool ExtensionDialogue::Blocked() const {
  return (!core_->options.dialled && content_ == Content::kAsked) || manifest_wanted_ ||
         hashes_wanted_.size() >= kMaxHashesWanted ||
         which_wanted_ + peers_wanted_ >= kMaxLinesWanted || refused_ >= limits::kMaxQueuedChunks;
}

// --- Payloads

void ExtensionDialogue::BeginPayload(peer::Message message, uint32_t payload_bytes) {
  payload_message_ = std::move(message);
  payload_left_ = payload_bytes;
}

void ExtensionDialogue::TakePayload(absl::string_view* input) {
  const absl::string_view taken = input->substr(0, payload_left_);
  if (absl::holds_alternative<peer::Manifest>(payload_message_)) {
    if (!TakeManifest(taken)) return;
  } else if (!absl::holds_alternative<peer::Unknown>(payload_message_)) {
    payload_.append(taken.data(), taken.size());
  }
  input->remove_prefix(taken.size());
  payload_left_ -= static_cast<uint32_t>(taken.size());
  if (payload_left_ > 0) return;
  if (auto* manifest = absl::get_if<peer::Manifest>(&payload_message_)) {
    OnPayload(*manifest);
  } else if (auto* hashes = absl::get_if<peer::Hashes>(&payload_message_)) {
    OnPayload(*hashes);
  } else if (auto* bits = absl::get_if<peer::HaveBits>(&payload_message_)) {
    OnPayload(*bits);
  } else if (auto* leaves = absl::get_if<peer::Leaves>(&payload_message_)) {
    OnPayload(*leaves);
  } else if (auto* peers = absl::get_if<peer::Peers>(&payload_message_)) {
    OnPayload(*peers);
  }
  std::string().swap(payload_);
}

bool ExtensionDialogue::TakeManifest(absl::string_view taken) {
  const uint32_t before =
      std::exchange(manifest_received_, manifest_received_ + static_cast<uint32_t>(taken.size()));
  if (skips_manifest_) return true;
  manifest_.append(taken.data(), taken.size());
  if (!HasRoomForManifest()) return false;
  if (before / limits::kMinManifestRate != manifest_received_ / limits::kMinManifestRate) {
    core_->Emit(ManifestProgress{});
  }
  return true;
}

bool ExtensionDialogue::HasRoomForManifest() {
  if (manifest_.size() <= limits::kSmallManifestBytes) return true;
  if (manifest_share_ == nullptr) {
    manifest_share_ = std::make_shared<ByteBudget::Share>(core_->options.manifests);
  }
  if (manifest_share_->Grow(manifest_.size())) return true;
  core_->End("too many manifests come in at once", /*protocol_error=*/false);
  Release();
  return false;
}

void ExtensionDialogue::Release() {
  std::string().swap(payload_);
  ReleaseManifest();
  std::deque<Refusal>().swap(refusals_);
}

void ExtensionDialogue::ReleaseManifest() {
  std::string().swap(manifest_);
  manifest_share_.reset();
}

absl::Duration ExtensionDialogue::ManifestPatience() const {
  if (manifests_asked_ == 0) return absl::ZeroDuration();
  const uint64_t small = std::min<uint64_t>(manifest_bytes_, limits::kSmallManifestBytes);
  const double least_rate =
      limits::kMinTransferBytes / absl::ToDoubleSeconds(limits::kSlowReaderTimeout);
  return limits::kManifestPatience + absl::Seconds(small / least_rate) +
         absl::Seconds(static_cast<double>(manifest_bytes_ - small) / limits::kMinManifestRate);
}

void ExtensionDialogue::OnPayload(const peer::Manifest&) {
  if (manifest_received_ < manifest_bytes_) return;
  --manifests_asked_;
  manifest_received_ = manifest_bytes_ = 0;
  if (!skips_manifest_) {
    core_->Emit(
        ManifestReceived{std::exchange(manifest_, std::string()), std::move(manifest_share_)});
  }
}

void ExtensionDialogue::OnPayload(const peer::Hashes& message) {
  HashesReceived received{message.file, {}};
  received.range.first = message.first;
  const auto* raw = reinterpret_cast<const uint8_t*>(payload_.data());
  for (uint32_t i = 0; i < message.count + message.proof_count; ++i) {
    auto& into = i < message.count ? received.range.hashes : received.range.proof;
    into.push_back(Hash256::FromBytes({raw + 32 * i, 32}));
  }
  core_->Emit(std::move(received));
}

void ExtensionDialogue::OnPayload(const peer::HaveBits& message) {
  core_->Emit(HaveBitsReceived{message.first, std::move(payload_)});
}

// The rest of the payload, the leaves themselves, is the receiver's.
void ExtensionDialogue::OnPayload(const peer::Leaves& message) {
  const auto* raw = reinterpret_cast<const uint8_t*>(payload_.data());
  std::vector<Hash256> proof;
  for (uint32_t i = 0; i < message.proof_count; ++i) {
    proof.push_back(Hash256::FromBytes({raw + 32 * i, 32}));
  }
  receiver_->Begin(message.part, message.payload_bytes - message.proof_bytes(), std::move(proof));
}

void ExtensionDialogue::OnPayload(const peer::Peers&) {
  PeersReceived received;
  for (const wire::PeerAddress& address : wire::ParseAddressList(payload_).addresses) {
    received.addresses.push_back(address.ToString());
  }
  core_->Emit(std::move(received));
}

// --- The content

void ExtensionDialogue::On(const peer::Hello&) { core_->Fail(400, "HELLO comes only once"); }

void ExtensionDialogue::On(const peer::Open& message) {
  if (core_->options.dialled) return core_->Fail(400, "only the side that connected may OPEN");
  if (content_ != Content::kNone) return core_->Fail(400, "OPEN comes only once");
  content_ = Content::kAsked;
  core_->Emit(OpenAsked{message.content_id});
}

void ExtensionDialogue::On(const peer::Opened& message) {
  if (!core_->options.dialled || content_ != Content::kAsked) {
    return core_->Fail(400, "OPENED answers nothing");
  }
  if (chunk_count_ && message.chunk_count != 0 && message.chunk_count != *chunk_count_) {
    return core_->Fail(400, "OPENED states another number of chunks than the manifest");
  }
  content_ = Content::kOpen;
  core_->Emit(OpenAnswered{true, "", 0});
}

void ExtensionDialogue::On(const peer::Refused& message) {
  if (!core_->options.dialled || content_ != Content::kAsked) {
    return core_->Fail(400, "REFUSED answers nothing");
  }
  content_ = Content::kRefused;
  core_->Emit(OpenAnswered{false, message.reason, message.code});
}

void ExtensionDialogue::On(const peer::Which& message) {
  ++which_wanted_;
  core_->Emit(WhichAsked{message.name});
}

void ExtensionDialogue::On(const peer::Contents& message) {
  if (which_asked_ == 0) return core_->Fail(400, "CONTENTS answers nothing");
  --which_asked_;
  core_->Emit(WhichAnswered{message.content_ids});
}

ExtensionDialogue::Content ExtensionDialogue::ContentForOther() {
  if (content_ == Content::kOpen) return Content::kOpen;
  if (!core_->options.dialled && content_ == Content::kRefused) return Content::kRefused;
  core_->Fail(400, "OPEN comes first");
  return Content::kNone;
}

// --- Manifest and hashes

void ExtensionDialogue::On(const peer::GetManifest& message) {
  const Content content = ContentForOther();
  if (content == Content::kRefused) Say(peer::NoManifest{404, "no such content"});
  if (content != Content::kOpen) return;
  if (core_->outbox.HasSharedText()) return Say(peer::NoManifest{429, "one is on its way"});
  manifest_wanted_ = true;
  core_->Emit(ManifestAsked{message.max_hashes});
}

void ExtensionDialogue::On(const peer::Manifest& message) {
  if (manifests_asked_ == 0) return core_->Fail(400, "MANIFEST answers nothing");
  const bool follows = message.first == manifest_received_ &&
                       (message.first == 0 || message.total_bytes == manifest_bytes_);
  if (!follows) return core_->Fail(400, "parts of MANIFEST must come in order");
  manifest_bytes_ = message.total_bytes;
  BeginPayload(message, message.payload_bytes);
}

void ExtensionDialogue::On(const peer::NoManifest& message) {
  if (manifests_asked_ == 0) return core_->Fail(400, "NO-MANIFEST answers nothing");
  --manifests_asked_;
  if (manifests_asked_ == 0) {
    if (manifest_received_ > 0) return core_->Fail(400, "NO-MANIFEST in the middle of a manifest");
    manifest_hashes_left_ = 0;
  }
  core_->Emit(ManifestRefused{message.reason});
}

void ExtensionDialogue::On(const peer::GetHashes& message) {
  const Content content = ContentForOther();
  if (content == Content::kRefused) {
    Say(peer::NoHashes{message.file, message.first, 404, "no such content"});
  }
  if (content != Content::kOpen) return;
  hashes_wanted_.emplace_back(message.file, message.first);
  core_->Emit(HashesAsked{message.file, message.first});
}

void ExtensionDialogue::On(const peer::Hashes& message) {
  if (hashes_asked_.erase({message.file, message.first}) == 0) {
    if (message.count > manifest_hashes_left_) return core_->Fail(400, "HASHES answers nothing");
    manifest_hashes_left_ -= message.count;
  }
  BeginPayload(message, message.payload_bytes());
}

void ExtensionDialogue::On(const peer::NoHashes& message) {
  if (hashes_asked_.erase({message.file, message.first}) == 0) {
    return core_->Fail(400, "NO-HASHES answers nothing");
  }
  core_->Emit(HashesRefused{message.file, message.first, message.reason});
}

// --- Have-sets

void ExtensionDialogue::On(const peer::Subscribe&) {
  if (other_subscribed_) return core_->Fail(400, "SUBSCRIBE comes only once");
  if (ContentForOther() != Content::kOpen) return;
  other_subscribed_ = true;
  core_->Emit(SubscribeAsked{});
}

bool ExtensionDialogue::MayTellHave(uint64_t end) {
  if (!subscribed_) {
    core_->Fail(400, "have-set without SUBSCRIBE");
    return false;
  }
  if (end > chunk_count_.value_or(peer::kMaxChunkCount)) {
    core_->Fail(416, "have-set beyond the last chunk");
    return false;
  }
  return true;
}

void ExtensionDialogue::On(const peer::Have& message) {
  if (!MayTellHave(uint64_t{message.first.value()} + message.count)) return;
  core_->Emit(HaveReceived{message.first, message.count});
}

void ExtensionDialogue::On(const peer::Lost& message) {
  if (!MayTellHave(uint64_t{message.first.value()} + message.count)) return;
  core_->Emit(LostReceived{message.first, message.count});
}

void ExtensionDialogue::On(const peer::HaveBits& message) {
  // The last byte may have bits beyond the last chunk; they mean nothing.
  if (!MayTellHave(message.first.value() + uint64_t{message.payload_bytes - 1} * 8 + 1)) return;
  BeginPayload(message, message.payload_bytes);
}

// --- The rest

void ExtensionDialogue::On(const peer::GetPeers&) {
  const Content content = ContentForOther();
  if (content == Content::kRefused) SayPeers(peers_when_refused_);
  if (content != Content::kOpen) return;
  ++peers_wanted_;
  core_->Emit(PeersAsked{});
}

void ExtensionDialogue::On(const peer::Peers& message) {
  if (peers_asked_ == 0) return core_->Fail(400, "PEERS answers nothing");
  --peers_asked_;
  BeginPayload(message, message.payload_bytes);
  if (message.payload_bytes == 0) OnPayload(message);
}

void ExtensionDialogue::On(const peer::Ping&) { Say(peer::Pong{}); }
void ExtensionDialogue::On(const peer::Pong&) {}

void ExtensionDialogue::On(const peer::Error& message) {
  core_->End(absl::StrCat("the other side: ", message.code, " ", message.reason),
             /*protocol_error=*/false, message.code);
}

void ExtensionDialogue::On(const peer::Unknown& message) {
  BeginPayload(message, message.payload_bytes);
}

}  // namespace p2p::session

#include "tracker/store_loader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/clock.h"

namespace p2p::tracker {
namespace {

// Two calls each: so many are in flight at most.
constexpr size_t kPeersUnderWay = 256;
// Keys, and fields, that Redis looks at for a reply: a millisecond of its time at most.
constexpr const char* kScanCount = "1000";

bool IsScanReply(const RedisReply& reply) {
  return reply.IsList(2) && reply.list[0].IsText() && reply.list[1].type == RedisReply::Type::kList;
}

// The hash of a peer that is none: somebody else's.
bool IsForeign(const RedisReply& reply) {
  return reply.IsError() && absl::StartsWith(reply.text, "WRONGTYPE");
}

absl::Status Problem(const RedisReply& reply) {
  return absl::UnavailableError(reply.IsError() ? ExplainRedisError(reply.text)
                                                : "what it answers to SCAN cannot be understood");
}

}  // namespace

StoreLoader::StoreLoader(RedisNodes* nodes, const StoreClock& clock, const WaitingChanges* waiting,
                         Registry* registry, std::function<void(absl::StatusOr<size_t>)> done)
    : nodes_(nodes), clock_(clock), waiting_(waiting), registry_(registry), done_(std::move(done)) {
  Scan("0");
}

void StoreLoader::Scan(const std::string& cursor) {
  cursor_.clear();
  nodes_->SendTo(node_,
                 {"SCAN", cursor, "MATCH", absl::StrCat(kPeerKeyPrefix, "*"), "COUNT", kScanCount},
                 [this](const RedisReply& reply) { OnScanned(reply); });
}

void StoreLoader::OnScanned(const RedisReply& reply) {
  if (!IsScanReply(reply)) return Finish(Problem(reply));
  cursor_ = reply.list[0].text;
  for (const RedisReply& key : reply.list[1].list) {
    const auto address = ParsePeerKey(key.text);
    if (!address.has_value()) continue;
    auto peer = std::make_shared<Peer>();
    peer->key = key.text;
    peer->address = *address;
    found_.push_back(std::move(peer));
  }
  GoOn();
}

void StoreLoader::GoOn() {
  while (under_way_ < kPeersUnderWay && !found_.empty()) {
    Begin(std::move(found_.front()));
    found_.pop_front();
  }
  if (under_way_ > 0 || cursor_.empty()) return;
  if (cursor_ != "0") return Scan(std::string(cursor_));
  if (++node_ < nodes_->count()) return Scan("0");
  Finish(registrations_);
}

void StoreLoader::Begin(std::shared_ptr<Peer> peer) {
  ++under_way_;
  nodes_->Send(peer->key,
               {"HMGET", peer->key, std::string(kRenewedField), std::string(kUnregisteredField)},
               [this, peer](const RedisReply& reply) { OnTimes(peer.get(), reply); });
  Read(std::move(peer), "0");
}

void StoreLoader::OnTimes(Peer* peer, const RedisReply& reply) {
  if (!reply.IsList(2)) return;
  const auto renewed_until = ParseMoment(reply.list[0].text, clock_);
  const auto unregistered_at = ParseMoment(reply.list[1].text, clock_);
  if (renewed_until.has_value()) peer->renewed_until = *renewed_until;
  if (!unregistered_at.has_value() || waiting_->Knows(peer->address)) return;
  registry_->UnregisterUntil(peer->address, *unregistered_at, MonotonicNow());
}

void StoreLoader::Read(std::shared_ptr<Peer> peer, const std::string& cursor) {
  const std::string key = peer->key;
  nodes_->Send(key, {"HSCAN", key, cursor, "COUNT", kScanCount},
               [this, peer = std::move(peer)](const RedisReply& reply) { OnRead(peer, reply); });
}

void StoreLoader::OnRead(const std::shared_ptr<Peer>& peer, const RedisReply& reply) {
  if (!IsScanReply(reply) && !IsForeign(reply)) return Finish(Problem(reply));
  if (!reply.IsError()) {
    const std::vector<RedisReply>& pairs = reply.list[1].list;
    for (size_t i = 0; i + 1 < pairs.size(); i += 2) {
      Take(*peer, pairs[i].text, pairs[i + 1].text);
    }
    if (reply.list[0].text != "0") return Read(peer, reply.list[0].text);
  }
  --under_way_;
  GoOn();
}

void StoreLoader::Take(const Peer& peer, const std::string& field, const std::string& value) {
  if (waiting_->Covers(peer.address, field)) return;
  const auto gone_at = ParseGone(value, clock_);
  const auto key = ParseRecordField(field, peer.address);
  if (gone_at.has_value() && key.has_value()) {
    return registry_->RemoveUntil(*key, *gone_at, MonotonicNow());
  }
  auto registration = ParseRecord(field, value, peer.address, clock_);
  if (!registration.has_value()) return;
  registration->expires = std::max(registration->expires, peer.renewed_until);
  registry_->Restore(*registration, MonotonicNow());
  ++registrations_;
}

void StoreLoader::Finish(absl::StatusOr<size_t> result) {
  // Later replies are of no interest.
  if (done_) std::exchange(done_, nullptr)(std::move(result));
}

}  // namespace p2p::tracker

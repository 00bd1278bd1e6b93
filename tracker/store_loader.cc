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
  nodes_->SendTo(node_, {"SCAN", cursor, "MATCH", absl::StrCat(prefix_, "*"), "COUNT", kScanCount},
                 [this](const RedisReply& reply) { OnScanned(reply); });
}

void StoreLoader::OnScanned(const RedisReply& reply) {
  if (!IsScanReply(reply)) return Finish(Problem(reply));
  cursor_ = reply.list[0].text;
  for (const RedisReply& key : reply.list[1].list) {
    const auto address = ParseKey(prefix_, key.text);
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
  if (prefix_ == kGoneKeyPrefix) return Finish(registrations_);
  prefix_ = kGoneKeyPrefix;
  node_ = 0;
  Scan("0");
}

void StoreLoader::Begin(std::shared_ptr<Peer> peer) {
  ++under_way_;
  if (prefix_ == kPeerKeyPrefix) {
    nodes_->Send(peer->key, {"HGET", peer->key, std::string(kRenewedField)},
                 [this, peer](const RedisReply& reply) { OnRenewed(peer.get(), reply); });
  }
  Read(std::move(peer), "0");
}

void StoreLoader::OnRenewed(Peer* peer, const RedisReply& reply) {
  if (!reply.IsText()) return;
  const auto until = ParseMoment(reply.text, clock_);
  if (until.has_value()) peer->renewed_until = *until;
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
      if (prefix_ == kPeerKeyPrefix) {
        TakeRecord(*peer, pairs[i].text, pairs[i + 1].text);
      } else {
        TakeNote(*peer, pairs[i].text, pairs[i + 1].text);
      }
    }
    if (reply.list[0].text != "0") return Read(peer, reply.list[0].text);
  }
  --under_way_;
  GoOn();
}

void StoreLoader::TakeRecord(const Peer& peer, const std::string& field, const std::string& value) {
  auto registration = ParseRecord(field, value, peer.address, clock_);
  if (!registration.has_value()) return;
  const absl::Time now = MonotonicNow();
  registration->expires = std::max(registration->expires, peer.renewed_until);
  const absl::Time since = registration->expires - registry_->options().ttl;
  if (registration->expires <= now || waiting_->Covers(peer.address, field, since)) return;
  registry_->Restore(*registration, now);
  ++registrations_;
}

// By its moment alone: what waits here may be older.
void StoreLoader::TakeNote(const Peer& peer, const std::string& field, const std::string& value) {
  const auto at = ParseMoment(value, clock_);
  if (!at.has_value()) return;
  if (field == kUnregisteredField) {
    registry_->UnregisterUntil(peer.address, *at, MonotonicNow());
    return;
  }
  const auto key = ParseRecordField(field, peer.address);
  if (key.has_value()) registry_->RemoveUntil(*key, *at, MonotonicNow());
}

void StoreLoader::Finish(absl::StatusOr<size_t> result) {
  // Later replies are of no interest.
  if (done_) std::exchange(done_, nullptr)(std::move(result));
}

}  // namespace p2p::tracker

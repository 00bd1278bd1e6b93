#include "tracker/registry.h"

#include <algorithm>
#include <utility>

#include "tracker/peer_choice.h"

namespace p2p::tracker {
namespace {

// Shown before others have their turn; takes less than a millisecond.
constexpr size_t kVisitedPerTurn = 512;

}  // namespace

Registry::Registry(const RegistryOptions& options, const HashKey& key) : commons_(key) {
  SetOptions(options);
  for (Part& part : parts_) part.shard = std::make_unique<RegistryShard>(&commons_);
}

Registry::~Registry() = default;

void Registry::SetOptions(const RegistryOptions& options) {
  ttl_ms_ = absl::ToInt64Milliseconds(options.ttl);
  commons_.max_registrations_per_ip = options.max_registrations_per_ip;
  commons_.max_bytes = options.max_bytes;
}

RegistryOptions Registry::options() const {
  RegistryOptions options;
  options.ttl = absl::Milliseconds(ttl_ms_.load(std::memory_order_relaxed));
  options.max_registrations_per_ip = commons_.max_registrations_per_ip;
  options.max_bytes = commons_.max_bytes;
  return options;
}

Registry::Outcome Registry::Register(absl::string_view name, ByteCount size,
                                     const absl::optional<ContentId>& content_id, bool partial,
                                     const wire::PeerAddress& address, absl::Time now) {
  const uint64_t hash = KeyedHash(commons_.key, name);
  Part& part = PartOf(hash);
  absl::MutexLock lock(&part.mutex);
  return part.shard->Register({name, size, content_id, partial, address, LatestExpiry(now)}, hash,
                              now);
}

bool Registry::Renew(const wire::PeerAddress& address, uint64_t count, absl::Time now) {
  if (CountOf(address, now) != count) return false;
  RenewUntil(address, LatestExpiry(now), now);
  return true;
}

void Registry::RenewUntil(const wire::PeerAddress& address, absl::Time expires, absl::Time now) {
  if (expires <= now) return;  // the shard's moments wrap: what is long past would be far ahead
  const absl::Time until = std::min(expires, LatestExpiry(now));
  for (Part& part : parts_) {
    absl::MutexLock lock(&part.mutex);
    part.shard->Renew(address, until, now);
  }
}

absl::Time Registry::LastEnd(absl::Time at, absl::Time now) const {
  // From now on: all, also what has a longer ttl of former times. Nothing that lives ends before
  // now.
  return at < now ? std::max(LatestExpiry(at), now) : now + absl::Hours(48);
}

size_t Registry::UnregisterUntil(const wire::PeerAddress& address, absl::Time at, absl::Time now) {
  const absl::Time last_end = LastEnd(at, now);
  size_t removed = 0;
  for (Part& part : parts_) {
    absl::MutexLock lock(&part.mutex);
    removed += part.shard->Unregister(address, last_end, now);
  }
  return removed;
}

size_t Registry::Withdraw(const ContentId& content_id, const wire::PeerAddress& address,
                          absl::Time now, absl::FunctionRef<void(absl::string_view name)> removed) {
  size_t count = 0;
  for (Part& part : parts_) {
    absl::MutexLock lock(&part.mutex);
    count += part.shard->Withdraw(content_id, address, now, removed);
  }
  return count;
}

void Registry::RemoveUntil(const RegistrationKey& key, absl::Time at, absl::Time now) {
  const uint64_t hash = KeyedHash(commons_.key, key.name);
  Part& part = PartOf(hash);
  absl::MutexLock lock(&part.mutex);
  part.shard->RemoveOne(key, hash, LastEnd(at, now), now);
}

absl::optional<RegistrationView> Registry::Get(const RegistrationKey& key, absl::Time now) const {
  const uint64_t hash = KeyedHash(commons_.key, key.name);
  const Part& part = PartOf(hash);
  absl::MutexLock lock(&part.mutex);
  return part.shard->Get(key, hash, now);
}

size_t Registry::CountOf(const wire::PeerAddress& address, absl::Time now) {
  size_t count = 0;
  for (Part& part : parts_) {
    absl::MutexLock lock(&part.mutex);
    count += part.shard->CountOf(address, now);
  }
  return count;
}

void Registry::VisitAddress(const wire::PeerAddress& address, absl::Time now,
                            absl::FunctionRef<void(const RegistrationView&)> visit) const {
  for (const Part& part : parts_) {
    absl::MutexLock lock(&part.mutex);
    part.shard->VisitAddress(address, now, visit);
  }
}

absl::optional<wire::PeerList> Registry::Lookup(absl::string_view name,
                                                const wire::IpAddress& asker, absl::Time now) {
  const uint64_t hash = KeyedHash(commons_.key, name);
  Part& part = PartOf(hash);
  absl::MutexLock lock(&part.mutex);
  return part.shard->Lookup(name, hash, asker, now);
}

std::vector<wire::FoundVersion> Registry::Find(absl::string_view name, const wire::IpAddress& asker,
                                               absl::Time now) {
  const uint64_t hash = KeyedHash(commons_.key, name);
  Part& part = PartOf(hash);
  absl::MutexLock lock(&part.mutex);
  return part.shard->Find(name, hash, asker, now);
}

absl::optional<wire::PeerList> Registry::Peers(const ContentId& content_id,
                                               const wire::IpAddress& asker, absl::Time now) {
  RegistryShard::ContentPeers found;
  for (Part& part : parts_) {
    absl::MutexLock lock(&part.mutex);
    part.shard->Peers(content_id, asker, now, &found);
  }
  if (found.lists.empty()) return absl::nullopt;
  if (found.lists.size() == 1) return std::move(found.lists.front());
  std::vector<wire::PeerAddress> all;
  for (const wire::PeerList& list : found.lists) {
    all.insert(all.end(), list.peers.begin(), list.peers.end());
  }
  absl::InsecureBitGen random;
  return wire::PeerList{found.best->size, ChoosePeers(std::move(all), asker, &random)};
}

bool Registry::ExpireSome(absl::Time now) {
  bool done = true;
  for (Part& part : parts_) {
    absl::MutexLock lock(&part.mutex);
    done = part.shard->Expire(now) && done;
  }
  return done;
}

void Registry::Expire(absl::Time now) {
  while (!ExpireSome(now)) {
  }
}

void Registry::Visit(absl::Time now, absl::FunctionRef<void(const RegistrationView&)> visit,
                     absl::FunctionRef<void()> between) const {
  Cursor cursor;
  while (VisitSome(&cursor, now, visit)) between();
  between();
}

bool Registry::VisitSome(Cursor* cursor, absl::Time now,
                         absl::FunctionRef<void(const RegistrationView&)> visit) const {
  if (cursor->part == kShards) return false;
  const Part& part = parts_[cursor->part];
  absl::MutexLock lock(&part.mutex);
  if (!part.shard->Visit(&cursor->in_part, kVisitedPerTurn, now, visit)) {
    ++cursor->part;
    cursor->in_part = {};
  }
  return cursor->part < kShards;
}

void Registry::Restore(const RegistrationView& registration, absl::Time now) {
  RegistrationView kept = registration;
  kept.expires = std::min(kept.expires, LatestExpiry(now));
  const uint64_t hash = KeyedHash(commons_.key, registration.name);
  Part& part = PartOf(hash);
  absl::MutexLock lock(&part.mutex);
  part.shard->Restore(kept, hash, now);
}

Registry::Counts Registry::counts() const {
  Counts counts;
  for (const Part& part : parts_) {
    absl::MutexLock lock(&part.mutex);
    counts.registrations += part.shard->registration_count();
    counts.names += part.shard->name_count();
  }
  counts.hosts = commons_.quota.host_count();
  return counts;
}

size_t Registry::longest_chain() const {
  size_t longest = 0;
  for (const Part& part : parts_) {
    absl::MutexLock lock(&part.mutex);
    longest = std::max(longest, part.shard->longest_chain());
  }
  return longest;
}

}  // namespace p2p::tracker

#include "tracker/registry.h"

#include <algorithm>
#include <tuple>

#include "absl/container/inlined_vector.h"
#include "absl/random/uniform_int_distribution.h"

namespace p2p::tracker {
namespace {

// What one registration, and the first one of a name, cost in tables and nodes; measured, rounded
// up.
constexpr size_t kRegistrationBytes = 400;
constexpr size_t kNameBytes = 400;

}  // namespace

struct Registry::Version {
  NameMap::value_type* name;
  ContentMap::value_type* content;  // nullptr: registered without a content id
  ByteCount size;
  std::vector<Registration*> peers;  // whole ones first
  size_t whole_count = 0;

  absl::optional<ContentId> content_id() const {
    if (content == nullptr) return absl::nullopt;
    return content->first;
  }
  VersionKey key() const { return VersionKey(name, size, content_id()); }
  void Swap(size_t a, size_t b);
  void TakeOut(Registration* registration);
};

struct Registry::Registration {
  wire::PeerAddress address;
  Version* version = nullptr;
  size_t index = 0;  // in version->peers
  bool partial = false;
  absl::Time expires;
  Registration* previous_of_address = nullptr;
  Registration* next_of_address = nullptr;
  Registration* expires_before = nullptr;
  Registration* expires_after = nullptr;

  RegistrationKey key() const {
    return RegistrationKey(address, version->name, version->content_id());
  }
};

void Registry::Version::Swap(size_t a, size_t b) {
  std::swap(peers[a], peers[b]);
  peers[a]->index = a;
  peers[b]->index = b;
}

void Registry::Version::TakeOut(Registration* registration) {
  if (!registration->partial) Swap(registration->index, --whole_count);
  Swap(registration->index, peers.size() - 1);
  peers.pop_back();
}

bool Registry::ByRank::operator()(const Version* a, const Version* b) const {
  const auto rank = [](const Version* v) {
    // Ascending order, so what should come first is turned round.
    return std::make_tuple(~v->whole_count, ~v->peers.size(), v->content == nullptr,
                           ~v->size.value());
  };
  if (rank(a) != rank(b)) return rank(a) < rank(b);
  if (a->content != b->content) return a->content->first < b->content->first;
  return a->name->first < b->name->first;
}

Registry::Registry(const RegistryOptions& options) : options_(options) {}
Registry::~Registry() = default;

Registry::Outcome Registry::Register(absl::string_view name, ByteCount size,
                                     const absl::optional<ContentId>& content_id, bool partial,
                                     const wire::PeerAddress& address, absl::Time now) {
  Expire(now);
  const auto known_name = names_.find(name);
  if (known_name != names_.end()) {
    const auto known = registrations_.find(RegistrationKey(address, &*known_name, content_id));
    if (known != registrations_.end()) {
      Registration* registration = known->second.get();
      if (registration->version->size != size || registration->partial != partial) {
        Move(registration, size, partial);
      }
      Renew(registration, now);
      return Outcome::kRegistered;
    }
  }
  const Outcome room = CheckRoom(name, address.ip);
  if (room != Outcome::kRegistered) return room;

  const auto [entry, is_new_name] = names_.try_emplace(std::string(name));
  if (is_new_name) bytes_ += kNameBytes + name.size();
  auto owned = std::make_unique<Registration>();
  Registration* registration = owned.get();
  registration->address = address;
  registration->partial = partial;
  AddPeer(FindOrAddVersion(&*entry, size, content_id), registration);
  registrations_.emplace(registration->key(), std::move(owned));
  bytes_ += kRegistrationBytes;
  ++count_by_ip_[address.ip];
  LinkByAddress(registration);
  registration->expires = now + options_.ttl;
  LinkByExpiry(registration);
  return Outcome::kRegistered;
}

Registry::Outcome Registry::CheckRoom(absl::string_view name, const wire::IpAddress& ip) const {
  const auto count = count_by_ip_.find(ip);
  if (count != count_by_ip_.end() && count->second >= options_.max_registrations_per_ip) {
    return Outcome::kQuota;
  }
  const size_t needed = kRegistrationBytes + kNameBytes + name.size();
  return bytes_ + needed > options_.max_bytes ? Outcome::kFull : Outcome::kRegistered;
}

size_t Registry::Unregister(const wire::PeerAddress& address, absl::Time now) {
  Expire(now);
  size_t removed = 0;
  for (auto head = by_address_.find(address); head != by_address_.end();
       head = by_address_.find(address)) {
    Remove(head->second);
    ++removed;
  }
  return removed;
}

size_t Registry::Withdraw(const ContentId& content_id, const wire::PeerAddress& address,
                          absl::Time now) {
  Expire(now);
  const auto head = by_address_.find(address);
  if (head == by_address_.end()) return 0;
  size_t removed = 0;
  for (Registration* at = head->second; at != nullptr;) {
    Registration* next = at->next_of_address;
    if (at->version->content_id() == content_id) {
      Remove(at);
      ++removed;
    }
    at = next;
  }
  return removed;
}

absl::optional<wire::PeerList> Registry::Lookup(absl::string_view name, absl::Time now) {
  Expire(now);
  const auto entry = names_.find(name);
  if (entry == names_.end()) return absl::nullopt;
  Version* const best = *entry->second.begin();
  if (best->whole_count == 0) return absl::nullopt;
  return Sample(best, best->whole_count);
}

std::vector<wire::FoundVersion> Registry::Find(absl::string_view name, absl::Time now) {
  Expire(now);
  std::vector<wire::FoundVersion> found;
  const auto entry = names_.find(name);
  if (entry == names_.end()) return found;
  for (Version* version : entry->second) {
    if (found.size() == static_cast<size_t>(limits::kMaxVersionsPerAnswer)) break;
    found.push_back({version->content_id(), Sample(version, version->peers.size())});
  }
  return found;
}

absl::optional<wire::PeerList> Registry::Peers(const ContentId& content_id, absl::Time now) {
  Expire(now);
  const auto entry = contents_.find(content_id);
  if (entry == contents_.end()) return absl::nullopt;
  Version* const best = *entry->second.begin();
  return Sample(best, best->peers.size());
}

void Registry::Expire(absl::Time now) {
  while (expires_first_ != nullptr && expires_first_->expires <= now) Remove(expires_first_);
}

Registry::Version* Registry::FindOrAddVersion(NameMap::value_type* name, ByteCount size,
                                              const absl::optional<ContentId>& content_id) {
  std::unique_ptr<Version>& slot = versions_[VersionKey(name, size, content_id)];
  if (slot == nullptr) {
    slot = std::make_unique<Version>();
    slot->name = name;
    slot->content = content_id.has_value() ? &*contents_.try_emplace(*content_id).first : nullptr;
    slot->size = size;
    Rank(slot.get());
  }
  return slot.get();
}

void Registry::RemoveVersion(Version* version) {
  Unrank(version);
  NameMap::value_type* name = version->name;
  ContentMap::value_type* content = version->content;
  versions_.erase(version->key());
  if (content != nullptr && content->second.empty()) contents_.erase(ContentId(content->first));
  if (name->second.empty()) {
    bytes_ -= kNameBytes + name->first.size();
    names_.erase(names_.find(name->first));
  }
}

void Registry::AddPeer(Version* version, Registration* registration) {
  Unrank(version);
  registration->version = version;
  version->peers.push_back(registration);
  registration->index = version->peers.size() - 1;
  if (!registration->partial) version->Swap(registration->index, version->whole_count++);
  Rank(version);
}

void Registry::Move(Registration* registration, ByteCount size, bool partial) {
  Version* const former = registration->version;
  // Ranked without this peer, but kept: the name must not be dropped in between.
  Version* const version = FindOrAddVersion(former->name, size, former->content_id());
  Unrank(former);
  former->TakeOut(registration);
  Rank(former);
  registration->partial = partial;
  AddPeer(version, registration);
  if (former->peers.empty()) RemoveVersion(former);
}

void Registry::RemovePeer(Registration* registration) {
  Version* version = registration->version;
  Unrank(version);
  version->TakeOut(registration);
  Rank(version);
  if (version->peers.empty()) RemoveVersion(version);
}

void Registry::Unrank(Version* version) {
  version->name->second.erase(version);
  if (version->content != nullptr) version->content->second.erase(version);
}

void Registry::Rank(Version* version) {
  version->name->second.insert(version);
  if (version->content != nullptr) version->content->second.insert(version);
}

void Registry::LinkByAddress(Registration* registration) {
  Registration*& head = by_address_[registration->address];
  registration->next_of_address = head;
  if (head != nullptr) head->previous_of_address = registration;
  head = registration;
}

void Registry::UnlinkByAddress(Registration* registration) {
  Registration* const previous = registration->previous_of_address;
  Registration* const next = registration->next_of_address;
  if (next != nullptr) next->previous_of_address = previous;
  if (previous != nullptr) {
    previous->next_of_address = next;
  } else if (next != nullptr) {
    by_address_[registration->address] = next;
  } else {
    by_address_.erase(registration->address);
  }
}

void Registry::LinkByExpiry(Registration* registration) {
  registration->expires_before = expires_last_;
  registration->expires_after = nullptr;
  (expires_last_ != nullptr ? expires_last_->expires_after : expires_first_) = registration;
  expires_last_ = registration;
}

void Registry::UnlinkByExpiry(Registration* registration) {
  Registration* const before = registration->expires_before;
  Registration* const after = registration->expires_after;
  (before != nullptr ? before->expires_after : expires_first_) = after;
  (after != nullptr ? after->expires_before : expires_last_) = before;
}

void Registry::Renew(Registration* registration, absl::Time now) {
  UnlinkByExpiry(registration);
  registration->expires = now + options_.ttl;
  LinkByExpiry(registration);
}

void Registry::Remove(Registration* registration) {
  UnlinkByExpiry(registration);
  UnlinkByAddress(registration);
  const auto count = count_by_ip_.find(registration->address.ip);
  if (--count->second == 0) count_by_ip_.erase(count);
  bytes_ -= kRegistrationBytes;
  const auto owned = registrations_.find(registration->key());
  // The version goes with its last peer; the registration's key needs it until here.
  RemovePeer(registration);
  registrations_.erase(owned);
}

wire::PeerList Registry::Sample(Version* version, size_t count) {
  const size_t wanted = std::min<size_t>(count, limits::kMaxPeersPerAnswer);
  wire::PeerList list;
  list.size = version->size;
  list.peers.reserve(wanted);
  // The first steps of a Fisher-Yates shuffle. Whole peers stay in front of partial ones, or one
  // sample of all would spoil the next one of the whole: so it is undone, last step first.
  absl::InlinedVector<size_t, limits::kMaxPeersPerAnswer> picks;
  for (size_t i = 0; i < wanted; ++i) {
    picks.push_back(absl::Uniform<size_t>(random_, i, count));
    version->Swap(i, picks[i]);
    list.peers.push_back(version->peers[i]->address);
  }
  for (size_t i = picks.size(); i-- > 0;) version->Swap(i, picks[i]);
  return list;
}

}  // namespace p2p::tracker

#include "tracker/registry.h"

#include <algorithm>
#include <tuple>

#include "absl/container/inlined_vector.h"
#include "absl/random/uniform_int_distribution.h"

namespace p2p::tracker {
namespace {

// What one registration, and the first one of a name, cost in tables and nodes; measured, rounded
// up.
constexpr size_t kRegistrationBytes = 450;
constexpr size_t kNameBytes = 550;

// The /24 of an IPv4 address, the /64 of an IPv6 one: likely one site. No IPv6 address in use has
// the number of an IPv4 network (::/8 is reserved).
uint64_t NetworkOf(const wire::IpAddress& ip) {
  const size_t first = ip.IsV4() ? 12 : 0;
  const size_t end = ip.IsV4() ? 15 : 8;
  uint64_t network = ip.IsV4() ? 1 : 0;
  for (size_t i = first; i < end; ++i) network = network << 8 | ip.bytes[i];
  return network;
}

}  // namespace

struct Registry::Registration {
  wire::PeerAddress address;
  Version* version = nullptr;
  size_t index = 0;          // in version->peers
  size_t network_index = 0;  // in its pool of version->by_network
  bool partial = false;
  absl::Time expires;
  Registration* previous_of_address = nullptr;
  Registration* next_of_address = nullptr;
  Registration* expires_before = nullptr;
  Registration* expires_after = nullptr;

  RegistrationKey key() const;
};

// Registrations in no order, but whole ones first; each of them knows its place, in `kIndex`.
template <auto kIndex>
struct Registry::Pool {
  absl::InlinedVector<Registration*, 2> peers;
  size_t whole_count = 0;

  size_t Count(bool whole_only) const { return whole_only ? whole_count : peers.size(); }
  void Swap(size_t a, size_t b) {
    std::swap(peers[a], peers[b]);
    peers[a]->*kIndex = a;
    peers[b]->*kIndex = b;
  }
  void Add(Registration* registration) {
    peers.push_back(registration);
    registration->*kIndex = peers.size() - 1;
    if (!registration->partial) Swap(registration->*kIndex, whole_count++);
  }
  void TakeOut(Registration* registration) {
    if (!registration->partial) Swap(registration->*kIndex, --whole_count);
    Swap(registration->*kIndex, peers.size() - 1);
    peers.pop_back();
  }
};

struct Registry::Version {
  NameMap::value_type* name;
  ContentMap::value_type* content;  // nullptr: registered without a content id
  ByteCount size;
  Pool<&Registration::index> all;
  absl::flat_hash_map<uint64_t, Pool<&Registration::network_index>> by_network;

  absl::optional<ContentId> content_id() const {
    if (content == nullptr) return absl::nullopt;
    return content->first;
  }
  VersionKey key() const { return VersionKey(name, size, content_id()); }
  void Add(Registration* registration) {
    registration->version = this;
    all.Add(registration);
    by_network[NetworkOf(registration->address.ip)].Add(registration);
  }
  void TakeOut(Registration* registration) {
    all.TakeOut(registration);
    const auto network = by_network.find(NetworkOf(registration->address.ip));
    network->second.TakeOut(registration);
    if (network->second.peers.empty()) by_network.erase(network);
  }
};

Registry::RegistrationKey Registry::Registration::key() const {
  return RegistrationKey(address, version->name, version->content_id());
}

bool Registry::ByRank::operator()(const Version* a, const Version* b) const {
  const auto rank = [](const Version* v) {
    // Ascending order, so what should come first is turned round.
    return std::make_tuple(~v->all.whole_count, ~v->all.peers.size(), v->content == nullptr,
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

absl::optional<wire::PeerList> Registry::Lookup(absl::string_view name,
                                                const wire::IpAddress& asker, absl::Time now) {
  Expire(now);
  const auto entry = names_.find(name);
  if (entry == names_.end()) return absl::nullopt;
  Version* const best = *entry->second.begin();
  if (best->all.whole_count == 0) return absl::nullopt;
  return Sample(best, /*whole_only=*/true, asker);
}

std::vector<wire::FoundVersion> Registry::Find(absl::string_view name, const wire::IpAddress& asker,
                                               absl::Time now) {
  Expire(now);
  std::vector<wire::FoundVersion> found;
  const auto entry = names_.find(name);
  if (entry == names_.end()) return found;
  for (Version* version : entry->second) {
    if (found.size() == static_cast<size_t>(limits::kMaxVersionsPerAnswer)) break;
    found.push_back({version->content_id(), Sample(version, /*whole_only=*/false, asker)});
  }
  return found;
}

absl::optional<wire::PeerList> Registry::Peers(const ContentId& content_id,
                                               const wire::IpAddress& asker, absl::Time now) {
  Expire(now);
  const auto entry = contents_.find(content_id);
  if (entry == contents_.end()) return absl::nullopt;
  Version* const best = *entry->second.begin();
  return Sample(best, /*whole_only=*/false, asker);
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
  version->Add(registration);
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
  if (former->all.peers.empty()) RemoveVersion(former);
}

void Registry::RemovePeer(Registration* registration) {
  Version* version = registration->version;
  Unrank(version);
  version->TakeOut(registration);
  Rank(version);
  if (version->all.peers.empty()) RemoveVersion(version);
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

// Sixty-four steps at most, and one look at a hash table.
wire::PeerList Registry::Sample(Version* version, bool whole_only, const wire::IpAddress& asker) {
  auto& all = version->all;
  const size_t count = all.Count(whole_only);
  const size_t wanted = std::min<size_t>(count, limits::kMaxPeersPerAnswer);
  const auto network = version->by_network.find(NetworkOf(asker));
  const size_t near_count =
      network == version->by_network.end() ? 0 : network->second.Count(whole_only);
  // Where not all fit, a site that is told only of itself would be cut off from the rest.
  const size_t near_wanted = std::min(near_count, count > wanted ? wanted / 2 : wanted);
  wire::PeerList list;
  list.size = version->size;
  list.peers.reserve(wanted);
  // The first steps of a Fisher-Yates shuffle, of the near ones and then of all that are left.
  // Whole peers stay in front of partial ones, or one sample of all would spoil the next one of the
  // whole: so it is undone, last step first.
  absl::InlinedVector<size_t, limits::kMaxPeersPerAnswer> picks;
  absl::InlinedVector<size_t, limits::kMaxPeersPerAnswer / 2> near_picks;
  for (size_t i = 0; i < wanted; ++i) {
    if (i < near_wanted) {
      near_picks.push_back(absl::Uniform<size_t>(random_, i, near_count));
      network->second.Swap(i, near_picks[i]);
      picks.push_back(network->second.peers[i]->index);
    } else {
      picks.push_back(absl::Uniform<size_t>(random_, i, count));
    }
    all.Swap(i, picks[i]);
    list.peers.push_back(all.peers[i]->address);
  }
  for (size_t i = picks.size(); i-- > 0;) all.Swap(i, picks[i]);
  for (size_t i = near_picks.size(); i-- > 0;) network->second.Swap(i, near_picks[i]);
  return list;
}

}  // namespace p2p::tracker

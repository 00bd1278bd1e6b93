// The records of a shard, their tables and their orders.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <tuple>
#include <utility>

#include "tracker/registry_shard.h"

namespace p2p::tracker {
namespace {

// What each costs with its share of the tables, measured, rounded up. A name's bytes come on top.
constexpr size_t kRegistrationBytes = 56;
constexpr size_t kNameBytes = 64;
constexpr size_t kVersionBytes = 104;
constexpr size_t kContentBytes = 72;
constexpr size_t kAddressBytes = 40;
constexpr size_t kRankedBytes = 256;  // with its host

// 128 ms: what has expired waits no longer than that behind what has not.
uint32_t SliceOf(uint32_t expires_ms) { return expires_ms & ~uint32_t{127}; }

template <typename... Numbers>
uint32_t HashOf(const HashKey& key, Numbers... numbers) {
  const uint64_t words[] = {uint64_t{numbers}...};
  return static_cast<uint32_t>(
      KeyedHash(key, absl::string_view(reinterpret_cast<const char*>(words), sizeof words)));
}

uint32_t HashOf(const HashKey& key, const wire::PeerAddress& address) {
  uint64_t ip[2];
  std::memcpy(ip, address.ip.bytes.data(), sizeof ip);
  return HashOf(key, ip[0], ip[1], address.port);
}

}  // namespace

bool RegistryShard::ByRank::operator()(uint32_t a, uint32_t b) const {
  const Version& first = shard->versions_[a];
  const Version& second = shard->versions_[b];
  const auto key = [](const Version& version) {
    const Spread spread = version.spread();
    return std::make_tuple(~spread.whole_networks, ~spread.whole_hosts, ~spread.networks,
                           ~spread.hosts, version.content == kNone, ~version.size.value());
  };
  if (key(first) != key(second)) return key(first) < key(second);
  if (first.content != second.content) {
    return shard->contents_[first.content].id.hash < shard->contents_[second.content].id.hash;
  }
  return shard->names_[first.name].view() < shard->names_[second.name].view();
}

size_t RegistryShard::MostNeededBytes(absl::string_view name) {
  return kRegistrationBytes + kNameBytes + name.size() + kVersionBytes + kContentBytes +
         kAddressBytes + 2 * kRankedBytes;
}

uint32_t RegistryShard::RegistrationHash(uint32_t address, uint32_t name, uint32_t content) const {
  return HashOf(commons_.key, address, name, content);
}

uint32_t RegistryShard::FindRegistration(uint32_t address, uint32_t name, uint32_t content) const {
  const uint32_t hash = RegistrationHash(address, name, content);
  return registration_table_.Find(hash, [&](const Registration& registration) {
    const Version& version = versions_[registration.version];
    return registration.address == address && version.name == name && version.content == content;
  });
}

uint32_t RegistryShard::FindRegistration(const RegistrationKey& key, uint64_t hash) const {
  const uint32_t name = FindName(key.name, hash);
  const uint32_t address = name == kNone ? kNone : FindAddress(key.address);
  if (address == kNone) return kNone;
  if (!key.content_id.has_value()) return FindRegistration(address, name, kNone);
  const uint32_t content = FindContent(*key.content_id);
  return content == kNone ? kNone : FindRegistration(address, name, content);
}

uint32_t RegistryShard::FindName(absl::string_view name, uint64_t hash) const {
  return name_table_.Find(static_cast<uint32_t>(hash),
                          [name](const Name& known) { return known.view() == name; });
}

uint32_t RegistryShard::FindAddress(const wire::PeerAddress& address) const {
  return address_table_.Find(HashOf(commons_.key, address),
                             [&address](const Address& known) { return known.address == address; });
}

uint32_t RegistryShard::FindContent(const ContentId& id) const {
  const auto hash = static_cast<uint32_t>(KeyedHash(commons_.key, id.hash.AsView()));
  return content_table_.Find(hash, [&id](const Content& known) { return known.id == id; });
}

uint32_t RegistryShard::FindOrAddName(absl::string_view name, uint64_t hash) {
  const uint32_t known = FindName(name, hash);
  if (known != kNone) return known;
  const uint32_t added = names_.Add();
  names_[added].text.reset(new char[name.size()]);
  std::copy(name.begin(), name.end(), names_[added].text.get());
  names_[added].size = static_cast<uint16_t>(name.size());
  name_table_.Insert(added, static_cast<uint32_t>(hash));
  Charge(kNameBytes + name.size());
  return added;
}

uint32_t RegistryShard::FindOrAddAddress(const wire::PeerAddress& address) {
  const uint32_t known = FindAddress(address);
  if (known != kNone) return known;
  const uint32_t added = addresses_.Add();
  addresses_[added].address = address;
  address_table_.Insert(added, HashOf(commons_.key, address));
  Charge(kAddressBytes);
  return added;
}

uint32_t RegistryShard::FindOrAddContent(const ContentId& id) {
  const uint32_t known = FindContent(id);
  if (known != kNone) return known;
  const uint32_t added = contents_.Add();
  contents_[added].id = id;
  content_table_.Insert(added, static_cast<uint32_t>(KeyedHash(commons_.key, id.hash.AsView())));
  Charge(kContentBytes);
  return added;
}

uint32_t RegistryShard::FindOrAddVersion(uint32_t name, ByteCount size, uint32_t content) {
  const uint32_t hash = HashOf(commons_.key, name, size.value(), content);
  const uint32_t known = version_table_.Find(hash, [&](const Version& version) {
    return version.name == name && version.size == size && version.content == content;
  });
  if (known != kNone) return known;
  const uint32_t added = versions_.Add();
  versions_[added].name = name;
  versions_[added].size = size;
  versions_[added].content = content;
  version_table_.Insert(added, hash);
  Charge(kVersionBytes);
  PutInOrder(added);
  return added;
}

uint32_t RegistryShard::AddRegistration(uint32_t address, uint32_t version, bool partial) {
  const uint32_t added = registrations_.Add();
  Registration& record = registrations_[added];
  record.address = address;
  record.version = version;
  record.partial = partial;
  const Version& of = versions_[version];
  registration_table_.Insert(added, RegistrationHash(address, of.name, of.content));
  Charge(kRegistrationBytes);
  return added;
}

void RegistryShard::RemoveRegistration(uint32_t registration) {
  registration_table_.Erase(registration);
  registrations_.Remove(registration);
  Refund(kRegistrationBytes);
}

void RegistryShard::RemoveAddress(uint32_t address) {
  address_table_.Erase(address);
  addresses_.Remove(address);
  Refund(kAddressBytes);
}

void RegistryShard::RemoveVersion(uint32_t version) {
  TakeOutOfOrder(version);
  const uint32_t name = versions_[version].name;
  const uint32_t content = versions_[version].content;
  version_table_.Erase(version);
  versions_.Remove(version);
  Refund(kVersionBytes);
  if (content != kNone && contents_[content].versions.IsEmpty()) {
    content_table_.Erase(content);
    contents_.Remove(content);
    Refund(kContentBytes);
  }
  if (names_[name].versions.IsEmpty()) {
    Refund(kNameBytes + names_[name].size);
    name_table_.Erase(name);
    names_.Remove(name);
  }
}

// --- Orders

void RegistryShard::TakeOutOfOrder(uint32_t version) {
  const Version& record = versions_[version];
  EraseFrom(&names_[record.name].versions, version);
  if (record.content != kNone) EraseFrom(&contents_[record.content].versions, version);
}

void RegistryShard::PutInOrder(uint32_t version) {
  const Version& record = versions_[version];
  InsertInto(&names_[record.name].versions, version);
  if (record.content != kNone) InsertInto(&contents_[record.content].versions, version);
}

// Of one of its peers, a whole one if it has any; none while it has no peers.
const wire::IpAddress& RegistryShard::HostOfVersion(uint32_t version) const {
  static const wire::IpAddress kNobody;
  const PeerPool& peers = versions_[version].peers;
  return peers.size() == 0 ? kNobody : AddressOf(peers[0]).ip;
}

void RegistryShard::AddToHosts(Versions* versions, uint32_t version) {
  versions->ranked.insert(version);
  versions->hosts.Add(version, HostOfVersion(version), /*partial=*/false,
                      [versions](uint32_t i) -> uint32_t& { return versions->places[i]; });
  Charge(kRankedBytes);
}

void RegistryShard::InsertInto(Group* group, uint32_t version) {
  if (group->IsEmpty()) {
    group->only = version;
    return;
  }
  if (group->many == nullptr) {
    group->many = std::make_unique<Versions>(ByRank{this}, commons_.key);
    AddToHosts(group->many.get(), std::exchange(group->only, kNone));
  }
  AddToHosts(group->many.get(), version);
}

void RegistryShard::EraseFrom(Group* group, uint32_t version) {
  if (group->many == nullptr) {
    group->only = kNone;
    return;
  }
  Versions& versions = *group->many;
  versions.ranked.erase(version);
  versions.hosts.TakeOut(version, HostOfVersion(version), /*partial=*/false,
                         [&versions](uint32_t i) -> uint32_t& { return versions.places[i]; });
  versions.places.erase(version);
  Refund(kRankedBytes);
  if (versions.ranked.empty()) group->many.reset();
}

RegistryShard::VersionList RegistryShard::Pick(const Group& group, size_t places) {
  if (group.many == nullptr) return {group.only};
  const auto& ranked = group.many->ranked;
  VersionList picked;
  const auto pick = [&picked](uint32_t version) {
    if (std::find(picked.begin(), picked.end(), version) == picked.end()) picked.push_back(version);
  };
  const bool all = ranked.size() <= places;
  for (auto next = ranked.begin();
       next != ranked.end() && picked.size() < (all ? places : places / 2); ++next) {
    picked.push_back(*next);
  }
  if (all) return picked;
  const wire::IpAddress nobody;
  const size_t left = places - picked.size();
  for (uint32_t version : group.many->hosts.Choose(left, false, nobody, &random_).peers) {
    pick(version);
  }
  // What was chosen twice.
  for (auto next = ranked.begin(); picked.size() < places; ++next) pick(*next);
  std::sort(picked.begin(), picked.end(), ByRank{this});
  return picked;
}

void RegistryShard::LinkByAddress(uint32_t registration) {
  Registration& record = registrations_[registration];
  uint32_t& head = addresses_[record.address].first;
  record.previous_of_address = kNone;
  record.next_of_address = head;
  if (head != kNone) registrations_[head].previous_of_address = registration;
  head = registration;
  ++addresses_[record.address].count;
}

void RegistryShard::UnlinkByAddress(uint32_t registration) {
  const Registration& record = registrations_[registration];
  const uint32_t previous = record.previous_of_address;
  const uint32_t next = record.next_of_address;
  if (next != kNone) registrations_[next].previous_of_address = previous;
  (previous != kNone ? registrations_[previous].next_of_address
                     : addresses_[record.address].first) = next;
  --addresses_[record.address].count;
}

void RegistryShard::LinkByExpiry(uint32_t registration) {
  Registration& record = registrations_[registration];
  const uint32_t slice = SliceOf(record.expires_ms);
  auto later = slices_.upper_bound(slice);
  const uint32_t before = later == slices_.begin() ? kNone : std::prev(later)->second;
  uint32_t& link = before != kNone ? registrations_[before].expires_after : expires_first_;
  record.expires_before = before;
  record.expires_after = link;
  if (link != kNone) registrations_[link].expires_before = registration;
  link = registration;
  slices_.insert_or_assign(later, slice, registration);
}

void RegistryShard::UnlinkByExpiry(uint32_t registration) {
  const Registration& record = registrations_[registration];
  const uint32_t before = record.expires_before;
  const uint32_t after = record.expires_after;
  const uint32_t slice = SliceOf(record.expires_ms);
  const auto in_slice = [this, slice](uint32_t other) {
    return other != kNone && SliceOf(registrations_[other].expires_ms) == slice;
  };
  if (!in_slice(after)) {
    if (in_slice(before)) {
      slices_[slice] = before;
    } else {
      slices_.erase(slice);
    }
  }
  (before != kNone ? registrations_[before].expires_after : expires_first_) = after;
  if (after != kNone) registrations_[after].expires_before = before;
}

}  // namespace p2p::tracker

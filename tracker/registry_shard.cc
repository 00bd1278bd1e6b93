#include "tracker/registry_shard.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

namespace p2p::tracker {
namespace {

// So many cost a fraction of a millisecond.
constexpr int kExpiriesPerCall = 256;
// Of one content in a shard, whose peers are told together. What honest peers share has one name or
// two; more than this need not be looked at, since Pick() keeps room for each network.
constexpr size_t kMergedVersions = 4;
// Ends that are as near as this do not tell which of two registrations is the later one: clocks are
// known to some milliseconds, and what follows at once has the same.
constexpr uint32_t kSameMomentMs = 1'000;

// The first millisecond at which `expires` is reached.
uint32_t ExpiryMilliseconds(absl::Time expires) {
  return Milliseconds(expires + absl::Milliseconds(1) - absl::Nanoseconds(1));
}

}  // namespace

bool RegistryShard::Rank::IsBefore(const Rank& other) const {
  const auto key = [](const Rank& rank) {
    // Ascending order, so what should come first is turned round.
    return std::make_tuple(~rank.spread.whole_networks, ~rank.spread.whole_hosts,
                           ~rank.spread.networks, ~rank.spread.hosts, ~rank.size.value(),
                           absl::string_view(rank.name));
  };
  return key(*this) < key(other);
}

RegistryShard::RegistryShard(ShardCommons* commons) : commons_(*commons) {}

RegisterOutcome RegistryShard::Register(const RegistrationView& asked, uint64_t hash,
                                        absl::Time now) {
  Expire(now);
  return Add(asked, hash, now);
}

void RegistryShard::Restore(const RegistrationView& registration, uint64_t hash, absl::Time now) {
  if (registration.expires <= now) return;
  const uint32_t known =
      FindRegistration({registration.name, registration.content_id, registration.address}, hash);
  const uint32_t ends_ms = ExpiryMilliseconds(registration.expires);
  if (known == kNone || IsBefore(EndOf(registrations_[known]), ends_ms)) {
    Add(registration, hash, now);
    return;
  }
  const Registration& here = registrations_[known];
  if (here.partial && !registration.partial && EndOf(here) - ends_ms <= kSameMomentMs) {
    Move(known, registration.size, /*partial=*/false);
  }
}

void RegistryShard::Renew(uint32_t registration, uint32_t expires_ms) {
  UnlinkByExpiry(registration);
  registrations_[registration].expires_ms = expires_ms;
  LinkByExpiry(registration);
}

uint32_t RegistryShard::EndOf(const Registration& registration) const {
  const Address& address = addresses_[registration.address];
  const bool longer =
      address.renewed && IsBefore(registration.expires_ms, address.renewed_until_ms);
  return longer ? address.renewed_until_ms : registration.expires_ms;
}

// Moments wrap: what is long past would be far ahead.
void RegistryShard::ForgetPastRenewal(Address* address, uint32_t now_ms) {
  address->renewed = address->renewed && IsBefore(now_ms, address->renewed_until_ms);
}

RegisterOutcome RegistryShard::Add(const RegistrationView& asked, uint64_t hash, absl::Time now) {
  const uint32_t expires_ms = ExpiryMilliseconds(asked.expires);
  const uint32_t known = FindRegistration({asked.name, asked.content_id, asked.address}, hash);
  if (known != kNone) {
    const Registration& registration = registrations_[known];
    ForgetPastRenewal(&addresses_[registration.address], Milliseconds(now));
    if (versions_[registration.version].size != asked.size ||
        registration.partial != asked.partial) {
      Move(known, asked.size, asked.partial);
    }
    Renew(known, expires_ms);
    return RegisterOutcome::kRegistered;
  }
  const int quota = commons_.max_registrations_per_ip.load(std::memory_order_relaxed);
  const size_t needed = MostNeededBytes(asked.name);
  const size_t used = commons_.bytes.load(std::memory_order_relaxed);
  const size_t max_bytes = commons_.max_bytes.load(std::memory_order_relaxed);
  if (used + needed > max_bytes) return RegisterOutcome::kFull;
  // As much for each site as is left for all others.
  if (!commons_.quota.TryTake(asked.address.ip, quota, needed, max_bytes - used)) {
    return RegisterOutcome::kQuota;
  }

  const uint32_t name = FindOrAddName(asked.name, hash);
  const uint32_t content =
      asked.content_id.has_value() ? FindOrAddContent(*asked.content_id) : kNone;
  const uint32_t version = FindOrAddVersion(name, asked.size, content);
  const uint32_t address = FindOrAddAddress(asked.address);
  ForgetPastRenewal(&addresses_[address], Milliseconds(now));
  const uint32_t added = AddRegistration(address, version, asked.partial);
  AddPeer(version, added);
  LinkByAddress(added);
  registrations_[added].expires_ms = expires_ms;
  LinkByExpiry(added);
  return RegisterOutcome::kRegistered;
}

size_t RegistryShard::Unregister(const wire::PeerAddress& address, absl::Time last_end,
                                 absl::Time now) {
  Expire(now);
  const uint32_t known = FindAddress(address);
  if (known == kNone) return 0;
  const uint32_t last_end_ms = ExpiryMilliseconds(last_end);
  size_t removed = 0;
  for (uint32_t at = addresses_[known].first; at != kNone;) {
    const uint32_t next = registrations_[at].next_of_address;
    if (!IsBefore(last_end_ms, EndOf(registrations_[at]))) {
      Remove(at);
      ++removed;
    }
    at = next;
  }
  return removed;
}

size_t RegistryShard::CountOf(const wire::PeerAddress& address, absl::Time now) {
  Expire(now);
  const uint32_t known = FindAddress(address);
  return known == kNone ? 0 : addresses_[known].count;
}

void RegistryShard::Renew(const wire::PeerAddress& address, absl::Time expires, absl::Time now) {
  Expire(now);
  const uint32_t known = FindAddress(address);
  if (known == kNone) return;
  Address& record = addresses_[known];
  ForgetPastRenewal(&record, Milliseconds(now));
  const uint32_t expires_ms = ExpiryMilliseconds(expires);
  if (record.renewed && IsBefore(expires_ms, record.renewed_until_ms)) return;
  record.renewed = true;
  record.renewed_until_ms = expires_ms;
}

size_t RegistryShard::Withdraw(const ContentId& content_id, const wire::PeerAddress& address,
                               absl::Time now,
                               absl::FunctionRef<void(absl::string_view name)> shown) {
  Expire(now);
  const uint32_t known = FindAddress(address);
  const uint32_t content = FindContent(content_id);
  if (known == kNone || content == kNone) return 0;
  // By whichever is less: the versions of the content, or what the address has.
  std::vector<uint32_t> found;
  const Group& group = contents_[content].versions;
  if (group.size() < addresses_[known].count) {
    const auto add = [&](uint32_t version) {
      const uint32_t one = FindRegistration(known, versions_[version].name, content);
      if (one != kNone && registrations_[one].version == version) found.push_back(one);
    };
    if (group.many == nullptr) {
      add(group.only);
    } else {
      for (uint32_t version : group.many->ranked) add(version);
    }
  } else {
    for (uint32_t at = addresses_[known].first; at != kNone;
         at = registrations_[at].next_of_address) {
      if (versions_[registrations_[at].version].content == content) found.push_back(at);
    }
  }
  for (uint32_t one : found) {
    shown(names_[versions_[registrations_[one].version].name].view());
    Remove(one);
  }
  return found.size();
}

absl::optional<wire::PeerList> RegistryShard::Lookup(absl::string_view name, uint64_t hash,
                                                     const wire::IpAddress& asker, absl::Time now) {
  Expire(now);
  const uint32_t known = FindName(name, hash);
  if (known == kNone) return absl::nullopt;
  wire::PeerList list = Sample(names_[known].versions.Best(), /*whole_only=*/true, asker, now);
  if (list.peers.empty()) return absl::nullopt;
  return list;
}

std::vector<wire::FoundVersion> RegistryShard::Find(absl::string_view name, uint64_t hash,
                                                    const wire::IpAddress& asker, absl::Time now) {
  Expire(now);
  std::vector<wire::FoundVersion> found;
  const auto add = [&](uint32_t version) {
    wire::FoundVersion one;
    if (versions_[version].content != kNone) {
      one.content_id = contents_[versions_[version].content].id;
    }
    one.list = Sample(version, /*whole_only=*/false, asker, now);
    if (!one.list.peers.empty()) found.push_back(std::move(one));
  };
  const uint32_t known = FindName(name, hash);
  if (known == kNone) return found;
  for (uint32_t version : Pick(names_[known].versions, limits::kMaxVersionsPerAnswer)) {
    add(version);
  }
  return found;
}

void RegistryShard::Peers(const ContentId& content_id, const wire::IpAddress& asker, absl::Time now,
                          ContentPeers* found) {
  Expire(now);
  const uint32_t known = FindContent(content_id);
  if (known == kNone) return;
  for (uint32_t index : Pick(contents_[known].versions, kMergedVersions)) {
    wire::PeerList sample = Sample(index, /*whole_only=*/false, asker, now);
    if (sample.peers.empty()) continue;
    found->lists.push_back(std::move(sample));
    const Version& version = versions_[index];
    Rank rank = {version.spread(), version.size, std::string(names_[version.name].view())};
    if (!found->best.has_value() || rank.IsBefore(*found->best)) found->best = std::move(rank);
  }
}

bool RegistryShard::Expire(absl::Time now) {
  const uint32_t now_ms = Milliseconds(now);
  for (int i = 0; i < kExpiriesPerCall; ++i) {
    const uint32_t first = expires_first_;
    if (first == kNone || IsBefore(now_ms, registrations_[first].expires_ms)) return true;
    const uint32_t end_ms = EndOf(registrations_[first]);
    if (IsBefore(now_ms, end_ms)) {
      Renew(first, end_ms);
    } else {
      Remove(first);
    }
  }
  return false;
}

void RegistryShard::Move(uint32_t registration, ByteCount size, bool partial) {
  const uint32_t former = registrations_[registration].version;
  // The former one is kept without its peer: the name must not be dropped in between.
  const uint32_t version =
      FindOrAddVersion(versions_[former].name, size, versions_[former].content);
  TakeOutPeer(former, registration);
  registrations_[registration].partial = partial;
  registrations_[registration].version = version;
  AddPeer(version, registration);
  if (versions_[former].peers.size() == 0) RemoveVersion(former);
}

void RegistryShard::Remove(uint32_t registration) {
  UnlinkByExpiry(registration);
  UnlinkByAddress(registration);
  const uint32_t version = registrations_[registration].version;
  const size_t needed = MostNeededBytes(names_[versions_[version].name].view());
  TakeOutPeer(version, registration);
  if (versions_[version].peers.size() == 0) RemoveVersion(version);
  const uint32_t address = registrations_[registration].address;
  commons_.quota.GiveBack(addresses_[address].address.ip, needed);
  if (addresses_[address].first == kNone) RemoveAddress(address);
  RemoveRegistration(registration);
}

bool RegistryShard::Visit(Cursor* cursor, size_t steps, absl::Time now,
                          absl::FunctionRef<void(const RegistrationView&)> visit) const {
  for (size_t step = 0; step < steps; ++step) {
    const uint32_t at = versions_.FirstFrom(cursor->version);
    if (at != cursor->version) *cursor = {at, 0};
    if (at >= versions_.end()) return false;
    const Version& version = versions_[at];
    if (cursor->peer >= version.peers.size()) {
      ++cursor->version;
      cursor->peer = 0;
      continue;
    }
    visit(ViewOf(registrations_[version.peers[cursor->peer++]], now));
  }
  return true;
}

void RegistryShard::VisitAddress(const wire::PeerAddress& address, absl::Time now,
                                 absl::FunctionRef<void(const RegistrationView&)> visit) const {
  const uint32_t known = FindAddress(address);
  if (known == kNone) return;
  const uint32_t now_ms = Milliseconds(now);
  for (uint32_t at = addresses_[known].first; at != kNone;
       at = registrations_[at].next_of_address) {
    const Registration& registration = registrations_[at];
    if (!IsOver(registration, now_ms)) visit(ViewOf(registration, now));
  }
}

absl::optional<RegistrationView> RegistryShard::Get(const RegistrationKey& key, uint64_t hash,
                                                    absl::Time now) const {
  const uint32_t known = FindRegistration(key, hash);
  if (known == kNone || IsOver(registrations_[known], Milliseconds(now))) {
    return absl::nullopt;
  }
  RegistrationView view = ViewOf(registrations_[known], now);
  view.name = key.name;
  return view;
}

void RegistryShard::RemoveOne(const RegistrationKey& key, uint64_t hash, absl::Time last_end,
                              absl::Time now) {
  Expire(now);
  const uint32_t known = FindRegistration(key, hash);
  if (known == kNone) return;
  if (!IsBefore(ExpiryMilliseconds(last_end), EndOf(registrations_[known]))) Remove(known);
}

RegistrationView RegistryShard::ViewOf(const Registration& registration, absl::Time now) const {
  const Version& version = versions_[registration.version];
  RegistrationView view;
  view.name = names_[version.name].view();
  view.size = version.size;
  if (version.content != kNone) view.content_id = contents_[version.content].id;
  view.partial = registration.partial;
  view.address = addresses_[registration.address].address;
  const int64_t now_ms = absl::ToUnixMillis(now);
  const auto left_ms = static_cast<int32_t>(EndOf(registration) - static_cast<uint32_t>(now_ms));
  view.expires = absl::FromUnixMillis(now_ms + left_ms);
  return view;
}

size_t RegistryShard::longest_chain() const {
  return std::max({name_table_.LongestChain(), content_table_.LongestChain(),
                   address_table_.LongestChain(), version_table_.LongestChain(),
                   registration_table_.LongestChain()});
}

}  // namespace p2p::tracker

// The peers of versions, and random samples of them.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/random/uniform_int_distribution.h"
#include "core/net/address.h"
#include "tracker/registry_shard.h"

namespace p2p::tracker {
namespace {

// One network of a version in its index, with its share of the table.
constexpr size_t kNetworkBytes = 128;
constexpr size_t kIndexedPeers = limits::kMaxPeersPerAnswer;
// Fewer peers than this need no index; some less, so that it does not come and go.
constexpr size_t kFewPeers = kIndexedPeers / 2;

// Whether both have the same NetworkOf(), where `v4` tells of one of them whether it is IPv4.
bool IsNear(const wire::IpAddress& a, const wire::IpAddress& b, bool v4) {
  // Of constant sizes, which need no call.
  return std::memcmp(a.bytes.data(), b.bytes.data(), 8) == 0 &&
         (!v4 || std::memcmp(a.bytes.data() + 8, b.bytes.data() + 8, 7) == 0);
}

// An even choice but for size / 2^32. The standard's shuffle, which is even to the last bit, takes
// a tenth of the time of an answer.
void Shuffle(const wire::PeerAddress** peers, size_t size, absl::InsecureBitGen* random) {
  for (size_t i = size; i > 1; --i) {
    const uint64_t bits = (*random)() >> 32;
    std::swap(peers[i - 1], peers[bits * i >> 32]);
  }
}

}  // namespace

size_t RegistryShard::NetworkHash::operator()(uint64_t network) const {
  return static_cast<size_t>(
      KeyedHash(key, absl::string_view(reinterpret_cast<const char*>(&network), sizeof network)));
}

void RegistryShard::AddPeer(uint32_t version, uint32_t registration) {
  Version& record = versions_[version];
  TakeOutOfOrder(version);
  record.peers.Add(registration, registrations_[registration].partial,
                   [this](uint32_t i) -> uint32_t& { return registrations_[i].place; });
  PutInOrder(version);
  if (record.networks != nullptr) {
    AddToNetwork(&record, registration);
  } else if (record.peers.size() > kIndexedPeers) {
    record.networks = std::make_unique<NetworkMap>(0, NetworkHash{commons_.key});
    for (size_t i = 0; i < record.peers.size(); ++i) AddToNetwork(&record, record.peers[i]);
  }
}

void RegistryShard::AddToNetwork(Version* version, uint32_t registration) {
  const auto [network, is_new] =
      version->networks->try_emplace(net::NetworkOf(AddressOf(registration).ip.bytes));
  if (is_new) Charge(kNetworkBytes);
  network->second.Add(registration, registrations_[registration].partial,
                      [this](uint32_t i) -> uint32_t& { return registrations_[i].network_place; });
}

void RegistryShard::TakeOutPeer(uint32_t version, uint32_t registration) {
  Version& record = versions_[version];
  const bool partial = registrations_[registration].partial;
  TakeOutOfOrder(version);
  record.peers.TakeOut(registration, partial,
                       [this](uint32_t i) -> uint32_t& { return registrations_[i].place; });
  PutInOrder(version);
  if (record.networks == nullptr) return;
  if (record.peers.size() < kFewPeers) {
    Refund(kNetworkBytes * record.networks->size());
    record.networks.reset();
    return;
  }
  const auto network = record.networks->find(net::NetworkOf(AddressOf(registration).ip.bytes));
  network->second.TakeOut(registration, partial, [this](uint32_t i) -> uint32_t& {
    return registrations_[i].network_place;
  });
  if (network->second.size() > 0) return;
  record.networks->erase(network);
  Refund(kNetworkBytes);
}

wire::PeerList RegistryShard::Sample(uint32_t version, bool whole_only,
                                     const wire::IpAddress& asker, absl::Time now) {
  Version& record = versions_[version];
  wire::PeerList list;
  list.size = record.size;
  const uint32_t now_ms = Milliseconds(now);
  const size_t count = record.peers.Count(whole_only);
  if (count <= limits::kMaxPeersPerAnswer) {
    SampleAll(record.peers, count, asker, now_ms, &list);
  } else {
    SampleSome(&record, whole_only, asker, now_ms, &list);
  }
  return list;
}

const wire::PeerAddress* RegistryShard::Living(uint32_t registration, uint32_t now_ms) const {
  const Registration& record = registrations_[registration];
  return IsBefore(now_ms, record.expires_ms) ? &addresses_[record.address].address : nullptr;
}

// The first `count`, at most as many as fit an answer.
void RegistryShard::SampleAll(const PeerPool& peers, size_t count, const wire::IpAddress& asker,
                              uint32_t now_ms, wire::PeerList* list) {
  std::array<const wire::PeerAddress*, limits::kMaxPeersPerAnswer> told;
  size_t size = 0;
  size_t near_count = 0;
  const bool v4 = asker.IsV4();
  for (size_t i = 0; i < count; ++i) {
    const wire::PeerAddress* address = Living(peers[i], now_ms);
    if (address == nullptr) continue;
    told[size++] = address;
    if (IsNear(address->ip, asker, v4)) std::swap(told[near_count++], told[size - 1]);
  }
  Shuffle(told.data(), near_count, &random_);
  Shuffle(told.data() + near_count, size - near_count, &random_);
  list->peers.reserve(size);
  for (size_t i = 0; i < size; ++i) list->peers.push_back(*told[i]);
}

// Sixty-four steps, and one look at a hash table.
void RegistryShard::SampleSome(Version* version, bool whole_only, const wire::IpAddress& asker,
                               uint32_t now_ms, wire::PeerList* list) {
  PeerPool& all = version->peers;
  const auto place = [this](uint32_t i) -> uint32_t& { return registrations_[i].place; };
  const auto near_place = [this](uint32_t i) -> uint32_t& {
    return registrations_[i].network_place;
  };
  const size_t count = all.Count(whole_only);
  constexpr size_t kWanted = limits::kMaxPeersPerAnswer;
  const auto network = version->networks->find(net::NetworkOf(asker.bytes));
  const size_t near_count =
      network == version->networks->end() ? 0 : network->second.Count(whole_only);
  // A site that is told only of itself would be cut off from the rest.
  const size_t near_wanted = std::min(near_count, kWanted / 2);
  list->peers.reserve(kWanted);
  // The first steps of a Fisher-Yates shuffle, of the near ones and then of all that are left.
  // Whole peers stay in front of partial ones, or one sample of all would spoil the next one of the
  // whole: so it is undone, last step first.
  absl::InlinedVector<size_t, kWanted> picks;
  absl::InlinedVector<size_t, kWanted / 2> near_picks;
  for (size_t i = 0; i < kWanted; ++i) {
    if (i < near_wanted) {
      near_picks.push_back(absl::Uniform<size_t>(random_, i, near_count));
      network->second.Swap(i, near_picks[i], near_place);
      picks.push_back(place(network->second[i]));
    } else {
      picks.push_back(absl::Uniform<size_t>(random_, i, count));
    }
    all.Swap(i, picks[i], place);
    if (const auto* address = Living(all[i], now_ms)) list->peers.push_back(*address);
  }
  for (size_t i = picks.size(); i-- > 0;) all.Swap(i, picks[i], place);
  for (size_t i = near_picks.size(); i-- > 0;) network->second.Swap(i, near_picks[i], near_place);
}

}  // namespace p2p::tracker

// The peers of versions, and random samples of them.
#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "tracker/peer_choice.h"
#include "tracker/random_choice.h"
#include "tracker/registry_shard.h"

namespace p2p::tracker {
namespace {

bool HasEnoughOf(const wire::IpAddress& ip, const std::vector<wire::PeerAddress>& told) {
  const bool v4 = ip.IsV4();
  return std::count_if(told.begin(), told.end(), [&ip, v4](const wire::PeerAddress& one) {
           return IsSameHost(ip, one.ip, v4);
         }) >= limits::kMaxPeersPerHostInAnswer;
}

constexpr size_t kIndexedPeers = limits::kMaxPeersPerAnswer;
// Fewer peers than this need no index; some less, so that it does not come and go.
constexpr size_t kFewPeers = kIndexedPeers / 2;

}  // namespace

void RegistryShard::AddPeer(uint32_t version, uint32_t registration) {
  Version& record = versions_[version];
  const auto place = [this](uint32_t i) -> uint32_t& { return registrations_[i].place; };
  TakeOutOfOrder(version);
  if (record.index == nullptr) CountFew(&record, registration, 1);
  record.peers.Add(registration, registrations_[registration].partial, place);
  if (record.index != nullptr) {
    AddToIndex(&record, registration);
  } else if (record.peers.size() > kIndexedPeers) {
    record.index = std::make_unique<HostIndex>(commons_.key);
    for (size_t i = 0; i < record.peers.size(); ++i) AddToIndex(&record, record.peers[i]);
  }
  PutInOrder(version);
}

void RegistryShard::AddToIndex(Version* version, uint32_t registration) {
  Refund(version->index->bytes());
  version->index->Add(registration, AddressOf(registration).ip,
                      registrations_[registration].partial,
                      [this](uint32_t i) -> uint32_t& { return registrations_[i].host_place; });
  Charge(version->index->bytes());
}

void RegistryShard::TakeOutPeer(uint32_t version, uint32_t registration) {
  Version& record = versions_[version];
  const auto place = [this](uint32_t i) -> uint32_t& { return registrations_[i].place; };
  const bool partial = registrations_[registration].partial;
  TakeOutOfOrder(version);
  record.peers.TakeOut(registration, partial, place);
  if (record.index == nullptr) {
    CountFew(&record, registration, -1);
  } else {
    Refund(record.index->bytes());
    record.index->TakeOut(registration, AddressOf(registration).ip, partial,
                          [this](uint32_t i) -> uint32_t& { return registrations_[i].host_place; });
    if (record.peers.size() < kFewPeers) {
      DropIndex(&record);
    } else {
      Charge(record.index->bytes());
    }
  }
  PutInOrder(version);
}

// What one peer adds is known from all others, of which there are few.
void RegistryShard::CountFew(Version* version, uint32_t registration, int sign) {
  const wire::IpAddress& ip = AddressOf(registration).ip;
  const bool v4 = ip.IsV4();
  bool knows_network = false;
  bool knows_host = false;
  bool knows_whole_network = false;
  bool knows_whole_host = false;
  for (size_t i = 0; i < version->peers.size(); ++i) {
    const wire::IpAddress& other = AddressOf(version->peers[i]).ip;
    if (!IsNear(ip, other, v4)) continue;
    const bool whole = i < version->peers.whole_count();
    knows_network = true;
    knows_whole_network |= whole;
    if (!IsSameHost(ip, other, v4)) continue;
    knows_host = true;
    knows_whole_host |= whole;
  }
  const auto count = [sign](bool is_known, uint8_t* number) {
    if (!is_known) *number = static_cast<uint8_t>(*number + sign);
  };
  count(knows_network, &version->few.networks);
  count(knows_host, &version->few.hosts);
  if (registrations_[registration].partial) return;
  count(knows_whole_network, &version->few.whole_networks);
  count(knows_whole_host, &version->few.whole_hosts);
}

void RegistryShard::DropIndex(Version* version) {
  const Spread spread = version->index->spread();
  version->index.reset();
  version->few.whole_networks = static_cast<uint8_t>(spread.whole_networks);
  version->few.whole_hosts = static_cast<uint8_t>(spread.whole_hosts);
  version->few.networks = static_cast<uint8_t>(spread.networks);
  version->few.hosts = static_cast<uint8_t>(spread.hosts);
}

wire::PeerList RegistryShard::Sample(uint32_t version, bool whole_only,
                                     const wire::IpAddress& asker, absl::Time now) {
  Version& record = versions_[version];
  wire::PeerList list;
  list.size = record.size;
  const uint32_t now_ms = Milliseconds(now);
  if (record.peers.Count(whole_only) <= limits::kMaxPeersPerAnswer) {
    SampleAll(record, whole_only, asker, now_ms, &list);
    return list;
  }
  const HostIndex::Choice choice =
      record.index->Choose(limits::kMaxPeersPerAnswer, whole_only, asker, &random_);
  list.peers.reserve(choice.peers.size());
  for (uint32_t peer : choice.peers) {
    if (const auto* address = Living(peer, now_ms)) list.peers.push_back(*address);
  }
  return list;
}

const wire::PeerAddress* RegistryShard::Living(uint32_t registration, uint32_t now_ms) const {
  const Registration& record = registrations_[registration];
  return IsOver(record, now_ms) ? nullptr : &addresses_[record.address].address;
}

// All that fit an answer, but for those that one host has too many of.
void RegistryShard::SampleAll(const Version& version, bool whole_only, const wire::IpAddress& asker,
                              uint32_t now_ms, wire::PeerList* list) {
  std::array<const wire::PeerAddress*, limits::kMaxPeersPerAnswer> told;
  const size_t count = version.peers.Count(whole_only);
  size_t size = 0;
  size_t near_count = 0;
  const bool v4 = asker.IsV4();
  for (size_t i = 0; i < count; ++i) {
    const wire::PeerAddress* address = Living(version.peers[i], now_ms);
    if (address == nullptr) continue;
    told[size++] = address;
    if (IsNear(asker, address->ip, v4)) std::swap(told[near_count++], told[size - 1]);
  }
  Shuffle(told.data(), near_count, &random_);
  Shuffle(told.data() + near_count, size - near_count, &random_);
  list->peers.reserve(size);
  const uint32_t hosts = version.spread().Hosts(whole_only);
  if (hosts == count || hosts == 1) {
    for (size_t i = 0; i < size; ++i) list->peers.push_back(*told[i]);
    return;
  }
  for (size_t i = 0; i < size; ++i) {
    if (!HasEnoughOf(told[i]->ip, list->peers)) list->peers.push_back(*told[i]);
  }
}

}  // namespace p2p::tracker

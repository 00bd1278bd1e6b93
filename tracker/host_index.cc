#include "tracker/host_index.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/net/address.h"
#include "tracker/random_choice.h"

namespace p2p::tracker {
namespace {

// Each with its share of the tables, measured, rounded up.
constexpr size_t kNetworkBytes = 112;
constexpr size_t kHostBytes = 80;
constexpr size_t kPlaces = limits::kMaxPeersPerAnswer;
constexpr size_t kFew = limits::kMaxPeersPerHostInAnswer;
}  // namespace

size_t HostIndex::NetworkHash::operator()(uint64_t network) const {
  return static_cast<size_t>(
      KeyedHash(key, absl::string_view(reinterpret_cast<const char*>(&network), sizeof network)));
}

size_t HostIndex::bytes() const {
  return kNetworkBytes * spread_.networks + kHostBytes * spread_.hosts;
}

void HostIndex::MoveNetwork(size_t from, size_t to) {
  if (from == to) return;
  std::swap(networks_[from], networks_[to]);
  by_network_[networks_[from].network] = static_cast<uint32_t>(from);
  by_network_[networks_[to].network] = static_cast<uint32_t>(to);
}

// What has a whole peer, and what has not, in hosts of a network and in networks.
void HostIndex::SetWhole(size_t network, size_t host, bool whole) {
  Network& of = networks_[network];
  if (whole) {
    std::swap(of.hosts[host], of.hosts[of.whole_hosts++]);
    ++spread_.whole_hosts;
    if (of.whole_hosts == 1) MoveNetwork(network, spread_.whole_networks++);
  } else {
    std::swap(of.hosts[host], of.hosts[--of.whole_hosts]);
    --spread_.whole_hosts;
    if (of.whole_hosts == 0) MoveNetwork(network, --spread_.whole_networks);
  }
}

void HostIndex::Add(uint32_t peer, const wire::IpAddress& ip, bool partial, Places places) {
  const uint64_t network = net::NetworkOf(ip.bytes);
  const uint64_t host = net::HostOf(ip.bytes);
  const auto [known, is_new] =
      by_network_.try_emplace(network, static_cast<uint32_t>(networks_.size()));
  if (is_new) {
    networks_.emplace_back();
    networks_.back().network = network;
    ++spread_.networks;
  }
  auto& hosts = networks_[known->second].hosts;
  const auto at = std::find_if(hosts.begin(), hosts.end(),
                               [host](const Host& other) { return other.host == host; });
  const auto place = static_cast<size_t>(at - hosts.begin());
  if (at == hosts.end()) {
    hosts.emplace_back();
    hosts.back().host = host;
    ++spread_.hosts;
  }
  hosts[place].peers.Add(peer, partial, places);
  if (!partial && hosts[place].peers.whole_count() == 1) SetWhole(known->second, place, true);
}

void HostIndex::TakeOut(uint32_t peer, const wire::IpAddress& ip, bool partial, Places places) {
  const uint64_t network = net::NetworkOf(ip.bytes);
  const uint64_t host = net::HostOf(ip.bytes);
  const auto place_of_host = [&] {
    const auto& hosts = networks_[by_network_.find(network)->second].hosts;
    const auto at = std::find_if(hosts.begin(), hosts.end(),
                                 [host](const Host& other) { return other.host == host; });
    return static_cast<size_t>(at - hosts.begin());
  };
  size_t place = place_of_host();
  {
    PeerPool& peers = networks_[by_network_.find(network)->second].hosts[place].peers;
    peers.TakeOut(peer, partial, places);
    if (!partial && peers.whole_count() == 0) {
      SetWhole(by_network_.find(network)->second, place, false);
      place = place_of_host();
    }
  }
  // What is empty is not whole: it may change places with the last one.
  const size_t at = by_network_.find(network)->second;
  auto& hosts = networks_[at].hosts;
  if (hosts[place].peers.size() > 0) return;
  std::swap(hosts[place], hosts.back());
  hosts.pop_back();
  --spread_.hosts;
  if (!hosts.empty()) return;
  MoveNetwork(at, networks_.size() - 1);
  by_network_.erase(network);
  networks_.pop_back();
  --spread_.networks;
}

// One more for each other network in turn, while there are places; what they leave is for the
// asker's own, the first one, which has its share already.
void HostIndex::Divide(size_t places, bool whole_only, Shares* shares) {
  places -= shares->front().hosts;
  absl::InlinedVector<Share*, kPlaces> open;
  for (auto share = shares->begin() + 1; share != shares->end(); ++share) open.push_back(&*share);
  while (places > 0 && !open.empty()) {
    size_t kept = 0;
    for (size_t i = 0; i < open.size() && places > 0; ++i) {
      ++open[i]->hosts;
      --places;
      if (open[i]->hosts < open[i]->network->Count(whole_only)) open[kept++] = open[i];
    }
    open.resize(kept);
  }
  Share& own = shares->front();
  if (own.network == nullptr) return;
  own.hosts += std::min(places, own.network->Count(whole_only) - own.hosts);
}

HostIndex::Shares HostIndex::ChooseShares(size_t places, bool whole_only, uint64_t near,
                                          absl::InsecureBitGen* random) const {
  const size_t count = whole_only ? spread_.whole_networks : spread_.networks;
  Shares shares = {Share()};
  const auto known = by_network_.find(near);
  if (known != by_network_.end() && known->second < count) {
    const Network& own = networks_[known->second];
    // A site that is told only of itself would be cut off from the rest.
    shares.front() = {&own, std::min(own.Count(whole_only), places / 2)};
  }
  for (uint32_t i : RandomNumbers(places, count, random)) {
    if (&networks_[i] != shares.front().network) shares.push_back({&networks_[i], 0});
  }
  Divide(places, whole_only, &shares);
  return shares;
}

HostIndex::Choice HostIndex::Choose(size_t places, bool whole_only, const wire::IpAddress& asker,
                                    absl::InsecureBitGen* random) const {
  Chosen hosts;
  size_t near_hosts = 0;
  for (const Share& share : ChooseShares(places, whole_only, net::NetworkOf(asker.bytes), random)) {
    if (share.hosts == 0) continue;
    for (uint32_t i : RandomNumbers(share.hosts, share.network->Count(whole_only), random)) {
      hosts.push_back(&share.network->hosts[i]);
    }
    if (share.network->network == net::NetworkOf(asker.bytes)) near_hosts = hosts.size();
  }
  // The first of each host, then the second ones, as far as there are places.
  std::array<size_t, kPlaces> counts = {};
  const size_t most = hosts.size() == 1 ? kPlaces : kFew;
  for (size_t round = 0; round < most && places > 0; ++round) {
    const size_t before = places;
    for (size_t i = 0; i < hosts.size() && places > 0; ++i) {
      if (hosts[i]->peers.Count(whole_only) <= round) continue;
      ++counts[i];
      --places;
    }
    if (places == before) break;
  }
  Choice choice;
  for (size_t i = 0; i < hosts.size(); ++i) {
    const PeerPool& peers = hosts[i]->peers;
    for (uint32_t peer : RandomNumbers(counts[i], peers.Count(whole_only), random)) {
      choice.peers.push_back(peers[peer]);
    }
    if (i + 1 == near_hosts) choice.near_count = choice.peers.size();
  }
  Shuffle(choice.peers.data(), choice.near_count, random);
  Shuffle(choice.peers.data() + choice.near_count, choice.peers.size() - choice.near_count, random);
  return choice;
}

}  // namespace p2p::tracker

#include "tracker/peer_choice.h"

#include <algorithm>
#include <tuple>

#include "core/base/limits.h"
#include "core/net/address.h"
#include "tracker/random_choice.h"

namespace p2p::tracker {
namespace {

constexpr size_t kPlaces = limits::kMaxPeersPerAnswer;

struct Candidate {
  wire::PeerAddress address;
  uint64_t host = 0;
  uint64_t network = 0;
  size_t of_host = 0;     // how many of its host are before it
  size_t of_network = 0;  // how many of its network are
};

// For each, how many before it have the same `key`; those stand together.
template <typename Key>
void Number(std::vector<Candidate>* candidates, const Key& key, size_t Candidate::*number) {
  for (size_t i = 1; i < candidates->size(); ++i) {
    Candidate& candidate = (*candidates)[i];
    const Candidate& before = (*candidates)[i - 1];
    candidate.*number = key(candidate) == key(before) ? before.*number + 1 : 0;
  }
}

}  // namespace

std::vector<wire::PeerAddress> ChoosePeers(std::vector<wire::PeerAddress> peers,
                                           const wire::IpAddress& asker,
                                           absl::InsecureBitGen* random) {
  std::vector<Candidate> candidates;
  candidates.reserve(peers.size());
  for (const auto& peer : peers) {
    candidates.push_back({peer, net::HostOf(peer.ip.bytes), net::NetworkOf(peer.ip.bytes)});
  }
  const auto sort = [&candidates](const auto& key) {
    std::stable_sort(candidates.begin(), candidates.end(),
                     [&key](const Candidate& a, const Candidate& b) { return key(a) < key(b); });
  };
  sort([](const Candidate& one) {
    return std::make_tuple(one.host, one.address.ip.bytes, one.address.port);
  });
  candidates.erase(
      std::unique(candidates.begin(), candidates.end(),
                  [](const Candidate& a, const Candidate& b) { return a.address == b.address; }),
      candidates.end());
  // By address is no random order.
  Shuffle(candidates.data(), candidates.size(), random);
  const auto host = [](const Candidate& one) { return one.host; };
  sort(host);
  Number(&candidates, host, &Candidate::of_host);
  if (!candidates.empty() && candidates.front().host != candidates.back().host) {
    candidates.erase(std::remove_if(candidates.begin(), candidates.end(),
                                    [](const Candidate& one) {
                                      return one.of_host >= limits::kMaxPeersPerHostInAnswer;
                                    }),
                     candidates.end());
  }
  Shuffle(candidates.data(), candidates.size(), random);
  sort([](const Candidate& one) { return std::make_tuple(one.network, one.of_host); });
  Number(
      &candidates, [](const Candidate& one) { return one.network; }, &Candidate::of_network);
  // The asker's network has half of the places, then one of each network has its turn.
  const uint64_t near = net::NetworkOf(asker.bytes);
  Shuffle(candidates.data(), candidates.size(), random);
  sort([near](const Candidate& one) {
    if (one.network != near) return std::make_tuple(1, one.of_network);
    return std::make_tuple(one.of_network < kPlaces / 2 ? 0 : 2, size_t{0});
  });
  candidates.resize(std::min(candidates.size(), kPlaces));
  Shuffle(candidates.data(), candidates.size(), random);
  sort([near](const Candidate& one) { return one.network == near ? 0 : 1; });
  peers.clear();
  for (const Candidate& candidate : candidates) peers.push_back(candidate.address);
  return peers;
}

}  // namespace p2p::tracker

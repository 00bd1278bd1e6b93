// The registrations of one version by network and host (core/net/address.h), once they are more
// than fit an answer: an answer is chosen among networks, then hosts, then ports, so that no host
// gets more of it by having more registrations. Owned by a shard, which keeps each registration's
// place in it. One owner, one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "absl/random/random.h"
#include "core/base/limits.h"
#include "core/wire/peer_address.h"
#include "tracker/keyed_hash.h"
#include "tracker/peer_pool.h"

namespace p2p::tracker {

// How far something is shared: the networks and hosts of its peers, and of those that are whole.
struct Spread {
  uint32_t whole_networks = 0;
  uint32_t whole_hosts = 0;
  uint32_t networks = 0;
  uint32_t hosts = 0;

  uint32_t Hosts(bool whole_only) const { return whole_only ? whole_hosts : hosts; }
};

class HostIndex {
 public:
  // Where a registration keeps its place in here.
  using Places = absl::FunctionRef<uint32_t&(uint32_t peer)>;
  // What to tell, in random order, but those near to who asks first.
  struct Choice {
    absl::InlinedVector<uint32_t, limits::kMaxPeersPerAnswer> peers;
    size_t near_count = 0;
  };

  explicit HostIndex(const HashKey& key) : by_network_(0, NetworkHash{key}) {}

  void Add(uint32_t peer, const wire::IpAddress& ip, bool partial, Places places);
  void TakeOut(uint32_t peer, const wire::IpAddress& ip, bool partial, Places places);

  const Spread& spread() const { return spread_; }
  // Estimated.
  size_t bytes() const;
  // At most `places` peers, which are limits::kMaxPeersPerAnswer or fewer: of each network in turn,
  // and in it of each host in turn; at most half of the places for the asker's network as long as
  // others are left, and a few for one host unless it is the only one.
  Choice Choose(size_t places, bool whole_only, const wire::IpAddress& asker,
                absl::InsecureBitGen* random) const;

 private:
  struct NetworkHash {
    HashKey key;
    size_t operator()(uint64_t network) const;
  };
  struct Host {
    uint64_t host = 0;
    PeerPool peers;
  };
  // Its hosts that have a whole peer come first.
  struct Network {
    uint64_t network = 0;
    uint32_t whole_hosts = 0;
    std::vector<Host> hosts;

    size_t Count(bool whole_only) const { return whole_only ? whole_hosts : hosts.size(); }
  };
  // So many hosts of a network.
  struct Share {
    const Network* network = nullptr;
    size_t hosts = 0;
  };
  using Shares = absl::InlinedVector<Share, limits::kMaxPeersPerAnswer>;
  using Chosen = absl::InlinedVector<const Host*, limits::kMaxPeersPerAnswer>;

  size_t NetworkPlace(uint64_t network);
  void MoveNetwork(size_t from, size_t to);
  void SetWhole(size_t network, size_t host, bool whole);
  // The first one is the asker's own.
  Shares ChooseShares(size_t places, bool whole_only, uint64_t near,
                      absl::InsecureBitGen* random) const;
  static void Divide(size_t places, bool whole_only, Shares* shares);

  absl::flat_hash_map<uint64_t, uint32_t, NetworkHash> by_network_;
  std::vector<Network> networks_;  // those that have a whole peer first
  Spread spread_;
};

}  // namespace p2p::tracker

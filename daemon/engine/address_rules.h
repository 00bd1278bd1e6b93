// Which addresses may be dialled, by who told them: the one door for whatever is told of peers.
// Pure but for the system's routing; engine loop.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/types/optional.h"
#include "core/net/address.h"
#include "core/net/this_host.h"

namespace p2p::engine {

// Who told an address.
struct Teller {
  enum class Kind {
    kUser,         // typed it, or gave a link that has it
    kOwnTracker,   // of the user's configuration
    kLinkTracker,  // that a magnet link named
    kPeer,
  };
  Kind kind = Kind::kPeer;
  // What its addresses are counted by. Nothing that it merely says: a host of many names is one.
  std::string name;
  // Where it is; nullopt: not known, which counts as far away.
  absl::optional<net::Endpoint> at;

  static Teller User() { return {Kind::kUser, "the user", absl::nullopt}; }
  // A peer on a connection to or from `at`.
  static Teller Peer(const net::Endpoint& at);
};

// What one teller told of one content or name.
struct ToldPeers {
  Teller teller;
  std::vector<std::string> addresses;
};

// What is known of this daemon's own place.
struct OwnPlace {
  net::Endpoint listen;                      // with the real port
  absl::flat_hash_set<std::string> reached;  // at which it was found to reach itself
  std::function<bool(const net::Endpoint&)> is_this_host = net::IsThisHost;

  bool IsThisDaemon(const net::Endpoint& endpoint) const;
};

// Why the address is not dialled on that word, a sentence; "" where it may be.
std::string WhyNotDialled(const net::Endpoint& to, const Teller& teller, const OwnPlace& own);

}  // namespace p2p::engine

// Which of many peers an answer tells where no index of them is kept. Pure.
#pragma once

#include <cstring>
#include <vector>

#include "absl/random/random.h"
#include "core/wire/peer_address.h"

namespace p2p::tracker {

// Whether both are of one network or host (core/net/address.h), where `v4` tells of `a` whether it
// is IPv4. Of constant sizes, which need no call: most of an answer is this.
inline bool IsNear(const wire::IpAddress& a, const wire::IpAddress& b, bool v4) {
  return std::memcmp(a.bytes.data(), b.bytes.data(), 8) == 0 &&
         (v4 ? std::memcmp(a.bytes.data() + 8, b.bytes.data() + 8, 7) == 0 : !b.IsV4());
}
inline bool IsSameHost(const wire::IpAddress& a, const wire::IpAddress& b, bool v4) {
  return IsNear(a, b, v4) && (!v4 || a.bytes[15] == b.bytes[15]);
}

// Of `peers`, in which one may stand several times, at most limits::kMaxPeersPerAnswer: of each
// network in turn, and in it of each host in turn; at most half of the places for the asker's
// network as long as others are left, and a few for one host unless it is the only one. The
// asker's network comes first, all else is random.
std::vector<wire::PeerAddress> ChoosePeers(std::vector<wire::PeerAddress> peers,
                                           const wire::IpAddress& asker,
                                           absl::InsecureBitGen* random);

}  // namespace p2p::tracker

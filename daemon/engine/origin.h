// Where a peer is, for all that counts by host and by network. A plain value.
#pragma once

#include <cstdint>

#include "core/net/address.h"

namespace p2p::engine {

struct Origin {
  uint64_t network = 0;
  uint64_t host = 0;

  static Origin Of(const net::Endpoint& endpoint) {
    const net::IpBytes ip = net::BytesOf(endpoint.address());
    return {net::NetworkOf(ip), net::HostOf(ip)};
  }
};

}  // namespace p2p::engine

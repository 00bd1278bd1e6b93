#include "core/net/this_host.h"

#include <sys/socket.h>

#include "core/net/socket.h"

namespace p2p::net {

bool IsThisHost(const Endpoint& endpoint) {
  if (ScopeOf(endpoint) == AddressScope::kLoopback) return true;
  // Connecting a socket for datagrams chooses its addresses, and that is all.
  const int fd = socket(endpoint.protocol().family(), SOCK_DGRAM, 0);
  if (fd < 0) return false;
  const bool chosen = connect(fd, endpoint.data(), static_cast<socklen_t>(endpoint.size())) == 0;
  const Endpoint source = chosen ? LocalEndpoint(fd) : Endpoint();
  CloseSocket(fd);
  return source.address() == endpoint.address();
}

}  // namespace p2p::net

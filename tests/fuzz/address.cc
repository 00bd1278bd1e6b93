// Addresses in the text of the protocol, of the configuration and of users: each has one text, and
// the daemon's reader takes whatever the protocol's takes.
#include "core/net/address.h"

#include "core/wire/peer_address.h"
#include "tests/fuzz/fuzz.h"

namespace p2p {
namespace {

void Check(absl::string_view text) {
  const auto peer = wire::PeerAddress::Parse(text);
  const absl::StatusOr<net::Endpoint> endpoint = net::ParseEndpoint(text);
  if (peer.has_value()) {
    P2P_FUZZ_CHECK(peer->port != 0);
    P2P_FUZZ_CHECK(wire::PeerAddress::Parse(peer->ToString()) == peer);
    P2P_FUZZ_CHECK(endpoint.ok() && net::FormatEndpoint(*endpoint) == peer->ToString());
    const net::AddressScope scope = net::ScopeOf(*endpoint);
    P2P_FUZZ_CHECK(peer->ip.IsLoopback() == (scope == net::AddressScope::kLoopback));
    const bool usable = scope == net::AddressScope::kLoopback ||
                        scope == net::AddressScope::kPrivate || scope == net::AddressScope::kGlobal;
    P2P_FUZZ_CHECK(usable == (peer->ip.WhyUnusable() == nullptr));
  }
  if (endpoint.ok()) {
    P2P_FUZZ_CHECK(endpoint->port() != 0);
    const auto again = net::ParseEndpoint(net::FormatEndpoint(*endpoint));
    P2P_FUZZ_CHECK(again.ok() && *again == net::Unmapped(*endpoint));
  } else {
    P2P_FUZZ_CHECK(fuzz::IsShowable(endpoint.status().message()));
  }
  const absl::StatusOr<net::HostPort> host = net::ParseHostPort(text);
  if (!host.ok()) return P2P_FUZZ_CHECK(fuzz::IsShowable(host.status().message()));
  P2P_FUZZ_CHECK(host->port != 0 && !host->host.empty());
  P2P_FUZZ_CHECK(host->host.find('\0') == std::string::npos);
}

}  // namespace
}  // namespace p2p

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  p2p::Check(p2p::fuzz::AsText(data, size));
  return 0;
}

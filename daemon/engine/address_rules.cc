#include "daemon/engine/address_rules.h"

#include "absl/strings/str_cat.h"

namespace p2p::engine {
namespace {

constexpr uint16_t kLastPrivilegedPort = 1'023;

bool IsNowhere(net::AddressScope scope) {
  return scope == net::AddressScope::kUnspecified || scope == net::AddressScope::kMulticast ||
         scope == net::AddressScope::kLinkLocal;
}

}  // namespace

Teller Teller::Peer(const net::Endpoint& at) {
  const net::IpBytes ip = net::BytesOf(at.address());
  return {Kind::kPeer, absl::StrCat("peers of network ", net::NetworkOf(ip)), at};
}

bool OwnPlace::IsThisDaemon(const net::Endpoint& endpoint) const {
  if (reached.contains(net::FormatEndpoint(endpoint)) || endpoint == listen) return true;
  return endpoint.port() == listen.port() && listen.address().is_unspecified() &&
         is_this_host(endpoint);
}

std::string WhyNotDialled(const net::Endpoint& to, const Teller& teller, const OwnPlace& own) {
  const net::AddressScope scope = net::ScopeOf(to);
  if (IsNowhere(scope)) return "it is no address of one host";
  if (own.IsThisDaemon(to)) return "it is this daemon's own";
  if (teller.kind == Teller::Kind::kUser) return "";
  const bool trusted = teller.kind == Teller::Kind::kOwnTracker;
  if (to.port() <= kLastPrivilegedPort && !trusted) {
    return "ports below 1024 are dialled only where the user, or a tracker of the configuration, "
           "names them";
  }
  // Others would have this daemon knock at services that only this host, or only its network, is to
  // reach.
  // Where that is not known it counts as far away.
  const net::AddressScope from =
      teller.at.has_value() ? net::ScopeOf(*teller.at) : net::AddressScope::kGlobal;
  if (from == net::AddressScope::kLoopback) return "";
  if (scope == net::AddressScope::kLoopback)
    return "it is of this host alone, and its teller is not";
  if (own.is_this_host(to) && !(teller.at.has_value() && own.is_this_host(*teller.at))) {
    return "it is on this host, and its teller is not";
  }
  if (scope == net::AddressScope::kPrivate && from == net::AddressScope::kGlobal && !trusted) {
    return "it is in a private network, and its teller is not";
  }
  return "";
}

}  // namespace p2p::engine

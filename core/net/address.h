// Internet addresses as text "1.2.3.4:9001" and "[2001:db8::1]:9001". Plain values; any thread.
// Endpoints that core/net gives out are never IPv4-mapped IPv6: those are told as IPv4, so that
// they compare equal.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "asio/ip/tcp.hpp"
#include "core/net/event_loop.h"

namespace p2p::net {

using Endpoint = asio::ip::tcp::endpoint;

// A literal IPv4 or [IPv6] address and a port. `allow_port_zero` for addresses to listen on.
absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view text, bool allow_port_zero = false);
// IPv4-mapped IPv6 addresses are written as IPv4, and IPv6 without a zone: what ParseEndpoint
// takes.
std::string FormatEndpoint(const Endpoint& endpoint);
// The address without its port, and without brackets.
std::string FormatHost(const Endpoint& endpoint);
// The same endpoint; as IPv4 when it is IPv4-mapped.
Endpoint Unmapped(const Endpoint& endpoint);

// How far an address reaches (RFC 6890).
enum class AddressScope {
  kUnspecified,  // 0.0.0.0/8, ::
  kLoopback,     // 127.0.0.0/8, ::1
  kLinkLocal,    // 169.254.0.0/16, fe80::/10
  kMulticast,    // 224.0.0.0/4, ff00::/8, and 240.0.0.0/4 with broadcast: no one host either
  kPrivate,      // 10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7, fec0::/10
  kGlobal,
};
AddressScope ScopeOf(const Endpoint& endpoint);

// What limits, places and ranks count, since whoever has one IPv6 address has at least 2^64 of
// them. The number of one kind is never that of another (no IPv6 address in use is in ::/8). The
// bytes are those of an IPv6 address, or of an IPv4-mapped one.
using IpBytes = std::array<uint8_t, 16>;
IpBytes BytesOf(const asio::ip::address& address);
// One machine: an IPv4 address, the /64 of an IPv6 one.
uint64_t HostOf(const IpBytes& ip);
// What one owner has, and who is near: the /24 of an IPv4 address, the /64 of an IPv6 one.
uint64_t NetworkOf(const IpBytes& ip);
// What one owner may have: the /24 of an IPv4 address, the /48 of an IPv6 one.
uint64_t SiteOf(const IpBytes& ip);

// HOST:PORT where the host may be a name; InvalidArgument says what is wrong.
struct HostPort {
  std::string host;  // IPv6 without brackets
  uint16_t port = 0;
};
absl::StatusOr<HostPort> ParseHostPort(absl::string_view text);

// Resolves on a thread of its own; `done` runs on `loop`. When the loop is gone before, `done`
// never runs and is destroyed on that thread. From any thread. A literal address is not looked up.
// NotFound: no such name; Unavailable: the name service does not answer.
void Resolve(EventLoop* loop, const HostPort& host_port,
             std::function<void(absl::StatusOr<std::vector<Endpoint>>)> done);

}  // namespace p2p::net

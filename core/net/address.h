// Internet addresses as text "1.2.3.4:9001" and "[2001:db8::1]:9001". Plain values; any thread.
#pragma once

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
// IPv4-mapped IPv6 addresses are written as IPv4.
std::string FormatEndpoint(const Endpoint& endpoint);
// The address without its port.
std::string FormatHost(const Endpoint& endpoint);

// HOST:PORT where the host may be a name; InvalidArgument says what is wrong.
struct HostPort {
  std::string host;
  uint16_t port = 0;
};
absl::StatusOr<HostPort> ParseHostPort(absl::string_view text);

// Resolves on a thread of the system's resolver; `done` runs on `loop`.
void Resolve(EventLoop* loop, const HostPort& host_port,
             std::function<void(absl::StatusOr<std::vector<Endpoint>>)> done);

}  // namespace p2p::net

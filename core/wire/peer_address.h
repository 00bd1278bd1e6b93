// The address of a peer as the protocol writes it: "1.2.3.4:9001" or "[2001:db8::1]:9001", always a
// literal. Plain values; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace p2p::wire {

// An IP address of either family; IPv4 is held as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2), so that one
// host has one value whichever socket it came through.
struct IpAddress {
  std::array<uint8_t, 16> bytes{};

  static IpAddress FromV4(const std::array<uint8_t, 4>& v4);
  bool IsV4() const;
  bool IsLoopback() const;
  // Why no peer can be reached there ("is unspecified", "is a multicast address", ...); nullptr
  // when one may. Loopback is not judged: it depends on who asks.
  const char* WhyUnusable() const;
  // Without brackets.
  std::string ToString() const;

  friend bool operator==(const IpAddress& a, const IpAddress& b) { return a.bytes == b.bytes; }
  friend bool operator!=(const IpAddress& a, const IpAddress& b) { return a.bytes != b.bytes; }
  template <typename H>
  friend H AbslHashValue(H h, const IpAddress& v) {
    return H::combine(std::move(h), v.bytes);
  }
};

struct PeerAddress {
  IpAddress ip;
  uint16_t port = 0;

  // A literal address and a port from 1 to 65535, else nullopt. An IPv4 address written as IPv6 is
  // refused: each address has one text.
  static absl::optional<PeerAddress> Parse(absl::string_view text);
  std::string ToString() const;
  // Writes the text to where kMaxTextBytes have room; returns its end.
  static constexpr size_t kMaxTextBytes =
      sizeof "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535";
  char* WriteTo(char* to) const;

  friend bool operator==(const PeerAddress& a, const PeerAddress& b) {
    return a.ip == b.ip && a.port == b.port;
  }
  friend bool operator!=(const PeerAddress& a, const PeerAddress& b) { return !(a == b); }
  template <typename H>
  friend H AbslHashValue(H h, const PeerAddress& v) {
    return H::combine(std::move(h), v.ip, v.port);
  }
  friend std::ostream& operator<<(std::ostream& out, const PeerAddress& v) {
    return out << v.ToString();
  }
};

}  // namespace p2p::wire

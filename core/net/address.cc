#include "core/net/address.h"

#include <arpa/inet.h>

#include <array>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/optional.h"
#include "core/base/status.h"
#include "core/base/text.h"

namespace p2p::net {
namespace {

constexpr size_t kMaxHostNameBytes = 253;  // RFC 1035, as text
constexpr size_t kMaxHostLabelBytes = 63;
constexpr size_t kMaxShownBytes = 64;

absl::Status Refuse(absl::string_view text, absl::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", Printable(text, kMaxShownBytes), "\" is no address: ", reason));
}

// Four decimal numbers without leading zeros, which some resolvers would read as octal.
absl::optional<asio::ip::address> ParseIpv4(absl::string_view host) {
  const std::vector<absl::string_view> parts = absl::StrSplit(host, '.');
  asio::ip::address_v4::bytes_type bytes;
  if (parts.size() != bytes.size()) return absl::nullopt;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const absl::optional<uint64_t> value = ParseDecimal(parts[i], 255);
    if (!value) return absl::nullopt;
    bytes[i] = static_cast<uint8_t>(*value);
  }
  return asio::ip::address(asio::ip::address_v4(bytes));
}

// Without a zone: it means nothing on another machine.
absl::optional<asio::ip::address> ParseIpv6(absl::string_view host) {
  asio::ip::address_v6::bytes_type bytes;
  if (host.find('\0') != host.npos ||
      inet_pton(AF_INET6, std::string(host).c_str(), bytes.data()) != 1) {
    return absl::nullopt;
  }
  return asio::ip::address(asio::ip::address_v6(bytes));
}

asio::ip::address UnmappedAddress(const asio::ip::address& address) {
  if (!address.is_v6() || !address.to_v6().is_v4_mapped()) return address;
  return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
}

// Before the four bytes of an IPv4 address (RFC 4291, 2.5.5.2).
constexpr size_t kMappedPrefixBytes = 12;

bool IsMapped(const IpBytes& ip) {
  static constexpr uint8_t kPrefix[kMappedPrefixBytes] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::memcmp(ip.data(), kPrefix, sizeof kPrefix) == 0;
}

uint64_t FirstBytes(const uint8_t* bytes, size_t count) {
  uint64_t number = 0;
  for (size_t i = 0; i < count; ++i) number = number << 8 | bytes[i];
  return number;
}

struct SplitAddress {
  absl::string_view host;
  bool bracketed = false;
  uint16_t port = 0;
};

absl::StatusOr<SplitAddress> SplitHostPort(absl::string_view text, bool allow_port_zero) {
  const size_t colon = text.rfind(':');
  if (colon == text.npos) return Refuse(text, "it has no port; write HOST:PORT");
  SplitAddress split;
  split.host = text.substr(0, colon);
  const absl::optional<uint64_t> port = ParseDecimal(text.substr(colon + 1), 65'535);
  if (!port || (*port == 0 && !allow_port_zero)) {
    return Refuse(text, allow_port_zero ? "the port must be a number from 0 to 65535"
                                        : "the port must be a number from 1 to 65535");
  }
  split.port = static_cast<uint16_t>(*port);
  if (split.host.size() >= 2 && split.host.front() == '[' && split.host.back() == ']') {
    split.host = split.host.substr(1, split.host.size() - 2);
    split.bracketed = true;
  } else if (split.host.find(':') != split.host.npos) {
    return Refuse(text, "write an IPv6 address in brackets, [ADDRESS]:PORT");
  }
  if (split.host.empty()) return Refuse(text, "it has no host; write HOST:PORT");
  return split;
}

bool IsHostNameLabel(absl::string_view label) {
  if (label.empty() || label.size() > kMaxHostLabelBytes) return false;
  for (char c : label) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_') return false;
  }
  return label.front() != '-' && label.back() != '-';
}

// A last label of digits alone would be read as an address in a form of old ("127.1").
bool IsHostName(absl::string_view host) {
  if (host.size() > kMaxHostNameBytes) return false;
  if (!host.empty() && host.back() == '.') host.remove_suffix(1);
  absl::string_view last;
  for (absl::string_view label : absl::StrSplit(host, '.')) {
    if (!IsHostNameLabel(label)) return false;
    last = label;
  }
  return last.find_first_not_of("0123456789") != last.npos;
}

AddressScope ScopeOfIpv4(const asio::ip::address_v4::bytes_type& b) {
  if (b[0] == 0) return AddressScope::kUnspecified;
  if (b[0] == 127) return AddressScope::kLoopback;
  if (b[0] == 169 && b[1] == 254) return AddressScope::kLinkLocal;
  if (b[0] >= 224) return AddressScope::kMulticast;
  const bool is_private = b[0] == 10 || (b[0] == 172 && (b[1] & 0xf0) == 16) ||
                          (b[0] == 192 && b[1] == 168) || (b[0] == 100 && (b[1] & 0xc0) == 64);
  return is_private ? AddressScope::kPrivate : AddressScope::kGlobal;
}

AddressScope ScopeOfIpv6(const asio::ip::address_v6& address) {
  if (address.is_unspecified()) return AddressScope::kUnspecified;
  if (address.is_loopback()) return AddressScope::kLoopback;
  if (address.is_link_local()) return AddressScope::kLinkLocal;
  if (address.is_multicast()) return AddressScope::kMulticast;
  const bool is_unique_local = (address.to_bytes()[0] & 0xfe) == 0xfc;
  return is_unique_local || address.is_site_local() ? AddressScope::kPrivate
                                                    : AddressScope::kGlobal;
}

}  // namespace

absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view text, bool allow_port_zero) {
  P2P_ASSIGN_OR_RETURN(const SplitAddress split, SplitHostPort(text, allow_port_zero));
  const absl::optional<asio::ip::address> address =
      split.bracketed ? ParseIpv6(split.host) : ParseIpv4(split.host);
  if (!address) {
    return Refuse(text, "the host must be a literal IPv4 address or an IPv6 address in brackets");
  }
  return Unmapped(Endpoint(*address, split.port));
}

std::string FormatHost(const Endpoint& endpoint) {
  const asio::ip::address address = UnmappedAddress(endpoint.address());
  if (address.is_v4()) return address.to_string();
  return asio::ip::address_v6(address.to_v6().to_bytes()).to_string();
}

std::string FormatEndpoint(const Endpoint& endpoint) {
  const std::string host = FormatHost(endpoint);
  const bool is_ipv6 = host.find(':') != host.npos;
  return is_ipv6 ? absl::StrCat("[", host, "]:", endpoint.port())
                 : absl::StrCat(host, ":", endpoint.port());
}

Endpoint Unmapped(const Endpoint& endpoint) {
  return Endpoint(UnmappedAddress(endpoint.address()), endpoint.port());
}

AddressScope ScopeOf(const Endpoint& endpoint) {
  const asio::ip::address address = UnmappedAddress(endpoint.address());
  return address.is_v4() ? ScopeOfIpv4(address.to_v4().to_bytes()) : ScopeOfIpv6(address.to_v6());
}

IpBytes BytesOf(const asio::ip::address& address) {
  if (address.is_v6()) return address.to_v6().to_bytes();
  return asio::ip::make_address_v6(asio::ip::v4_mapped, address.to_v4()).to_bytes();
}

uint64_t HostOf(const IpBytes& ip) {
  return IsMapped(ip) ? uint64_t{1} << 32 | FirstBytes(&ip[kMappedPrefixBytes], 4)
                      : FirstBytes(ip.data(), 8);
}

uint64_t NetworkOf(const IpBytes& ip) {
  return IsMapped(ip) ? uint64_t{1} << 24 | FirstBytes(&ip[kMappedPrefixBytes], 3)
                      : FirstBytes(ip.data(), 8);
}

uint64_t SiteOf(const IpBytes& ip) {
  return IsMapped(ip) ? NetworkOf(ip) : FirstBytes(ip.data(), 6);
}

absl::StatusOr<HostPort> ParseHostPort(absl::string_view text) {
  P2P_ASSIGN_OR_RETURN(const SplitAddress split, SplitHostPort(text, /*allow_port_zero=*/false));
  const bool valid = split.bracketed ? ParseIpv6(split.host).has_value()
                                     : ParseIpv4(split.host) || IsHostName(split.host);
  if (!valid) return Refuse(text, "the host is neither a name nor a literal address");
  return HostPort{std::string(split.host), split.port};
}

}  // namespace p2p::net

#include "core/wire/peer_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/text.h"

namespace p2p::wire {
namespace {

constexpr std::array<uint8_t, 12> kV4Prefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

absl::optional<IpAddress> ParseIp(absl::string_view text, int family) {
  char buffer[INET6_ADDRSTRLEN];
  if (text.size() >= sizeof buffer) return absl::nullopt;
  // A NUL inside would end inet_pton's view of it early.
  if (text.find('\0') != absl::string_view::npos) return absl::nullopt;
  std::copy(text.begin(), text.end(), buffer);
  buffer[text.size()] = '\0';
  if (family == AF_INET) {
    std::array<uint8_t, 4> v4;
    if (inet_pton(AF_INET, buffer, v4.data()) != 1) return absl::nullopt;
    return IpAddress::FromV4(v4);
  }
  IpAddress ip;
  if (inet_pton(AF_INET6, buffer, ip.bytes.data()) != 1 || ip.IsV4()) return absl::nullopt;
  return ip;
}

// A number of an IPv4 address with the dot after it.
struct OctetText {
  char text[4];
  uint8_t length;
};

constexpr std::array<OctetText, 256> MakeOctetTexts() {
  std::array<OctetText, 256> texts{};
  for (unsigned i = 0; i < texts.size(); ++i) {
    OctetText& octet = texts[i];
    if (i >= 100) octet.text[octet.length++] = static_cast<char>('0' + i / 100);
    if (i >= 10) octet.text[octet.length++] = static_cast<char>('0' + i / 10 % 10);
    octet.text[octet.length++] = static_cast<char>('0' + i % 10);
    octet.text[octet.length++] = '.';
  }
  return texts;
}

constexpr std::array<OctetText, 256> kOctetTexts = MakeOctetTexts();

// Returns the end of it.
char* WritePort(unsigned port, char* to) {
  if (port >= 10'000) *to++ = static_cast<char>('0' + port / 10'000);
  if (port >= 1'000) *to++ = static_cast<char>('0' + port / 1'000 % 10);
  if (port >= 100) *to++ = static_cast<char>('0' + port / 100 % 10);
  if (port >= 10) *to++ = static_cast<char>('0' + port / 10 % 10);
  *to++ = static_cast<char>('0' + port % 10);
  return to;
}

}  // namespace

IpAddress IpAddress::FromV4(const std::array<uint8_t, 4>& v4) {
  IpAddress ip;
  std::copy(kV4Prefix.begin(), kV4Prefix.end(), ip.bytes.begin());
  std::copy(v4.begin(), v4.end(), ip.bytes.begin() + kV4Prefix.size());
  return ip;
}

bool IpAddress::IsV4() const {
  return std::memcmp(bytes.data(), kV4Prefix.data(), kV4Prefix.size()) == 0;
}

bool IpAddress::IsLoopback() const {
  if (IsV4()) return bytes[12] == 127;
  return bytes == std::array<uint8_t, 16>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
}

const char* IpAddress::WhyUnusable() const {
  if (IsV4()) {
    if (bytes[12] == 0) return "is unspecified";
    if (bytes[12] == 169 && bytes[13] == 254) return "is a link-local address";
    if (bytes[12] >= 240) return "is a reserved or broadcast address";
    if (bytes[12] >= 224) return "is a multicast address";
    return nullptr;
  }
  if (bytes == std::array<uint8_t, 16>{}) return "is unspecified";
  if (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80) return "is a link-local address";
  if (bytes[0] == 0xff) return "is a multicast address";
  return nullptr;
}

std::string IpAddress::ToString() const {
  char buffer[INET6_ADDRSTRLEN];
  const bool v4 = IsV4();
  const uint8_t* from = bytes.data() + (v4 ? kV4Prefix.size() : 0);
  // Cannot fail: the family is known and the buffer holds the longest text.
  inet_ntop(v4 ? AF_INET : AF_INET6, from, buffer, sizeof buffer);
  return buffer;
}

absl::optional<PeerAddress> PeerAddress::Parse(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return absl::nullopt;
  const absl::optional<uint64_t> port = ParseDecimal(text.substr(colon + 1), 65535);
  if (!port.has_value() || *port == 0) return absl::nullopt;
  absl::string_view host = text.substr(0, colon);
  const bool v6 = absl::StartsWith(host, "[") && absl::EndsWith(host, "]");
  if (v6) host = host.substr(1, host.size() - 2);
  const absl::optional<IpAddress> ip = ParseIp(host, v6 ? AF_INET6 : AF_INET);
  if (!ip.has_value()) return absl::nullopt;
  return PeerAddress{*ip, static_cast<uint16_t>(*port)};
}

std::string PeerAddress::ToString() const {
  char text[kMaxTextBytes];
  return std::string(text, WriteTo(text));
}

// Trackers write up to 64 of them an answer, so IPv4 has a way of its own.
char* PeerAddress::WriteTo(char* to) const {
  if (!ip.IsV4()) {
    const std::string text = absl::StrCat("[", ip.ToString(), "]:", port);
    return std::copy(text.begin(), text.end(), to);
  }
  char* end = to;
  for (size_t i = kV4Prefix.size(); i < ip.bytes.size(); ++i) {
    const OctetText& octet = kOctetTexts[ip.bytes[i]];
    std::memcpy(end, octet.text, sizeof octet.text);
    end += octet.length;
  }
  end[-1] = ':';
  return WritePort(port, end);
}

}  // namespace p2p::wire

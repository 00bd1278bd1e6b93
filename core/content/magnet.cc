#include "core/content/magnet.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/types/optional.h"
#include "core/base/limits.h"
#include "core/base/names.h"
#include "core/base/status.h"
#include "core/base/text.h"

namespace p2p::content {
namespace {

constexpr absl::string_view kScheme = "magnet:?";
constexpr absl::string_view kBtmh = "urn:btmh:";
constexpr absl::string_view kBtih = "urn:btih:";
// A multihash: function 0x12 is SHA-256, of 0x20 bytes.
constexpr absl::string_view kSha256Multihash = "1220";

absl::Status Refuse(absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat("magnet link: ", reason));
}

// RFC 3986 "unreserved", and the ':' of an address, which a query may hold.
bool StaysAsItIs(char c) {
  return absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~' || c == ':';
}

std::string Encode(absl::string_view value) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (char c : value) {
    if (StaysAsItIs(c)) {
      out += c;
    } else {
      const uint8_t byte = static_cast<uint8_t>(c);
      out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return out;
}

// nullopt for a '%' without two hexadecimal digits. '+' is a space, as web forms write it.
absl::optional<std::string> Decode(absl::string_view value) {
  std::string out;
  for (size_t i = 0; i < value.size(); ++i) {
    if (value[i] != '%') {
      out += value[i] == '+' ? ' ' : value[i];
      continue;
    }
    const absl::string_view digits = value.substr(i + 1, 2);
    if (digits.size() < 2 || !absl::ascii_isxdigit(digits[0]) || !absl::ascii_isxdigit(digits[1])) {
      return absl::nullopt;
    }
    out += absl::HexStringToBytes(digits);
    i += 2;
  }
  return out;
}

// "HOST:PORT" with a host name, an IPv4 address or an [IPv6] address.
bool IsHostAndPort(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return false;
  const absl::optional<uint64_t> port = ParseDecimal(text.substr(colon + 1), 65'535);
  if (!port.has_value() || *port == 0) return false;
  absl::string_view host = text.substr(0, colon);
  const bool bracketed = absl::ConsumePrefix(&host, "[") && absl::ConsumeSuffix(&host, "]");
  if (host.empty() || host.size() > limits::kMaxComponentBytes) return false;
  for (char c : host) {
    const bool legal = bracketed ? absl::ascii_isxdigit(c) || c == ':' || c == '.'
                                 : absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_';
    if (!legal) return false;
  }
  return true;
}

// What has been seen besides the fields of the result.
struct Seen {
  bool v1 = false;
  bool v2 = false;
  bool name = false;
  bool size = false;
};

absl::Status TakeTopic(absl::string_view value, Seen* seen, Magnet* magnet) {
  if (absl::StartsWithIgnoreCase(value, kBtih)) seen->v1 = true;
  if (!absl::StartsWithIgnoreCase(value, kBtmh)) return absl::OkStatus();
  if (seen->v2) return Refuse("more than one content id (xt=urn:btmh:)");
  seen->v2 = true;
  value.remove_prefix(kBtmh.size());
  if (!absl::ConsumePrefix(&value, kSha256Multihash)) {
    return Refuse("the content id (xt) is not a SHA-256 multihash, which begins with 1220");
  }
  const absl::StatusOr<ContentId> id = ContentIdFromHex(value);
  if (!id.ok()) return Refuse("the content id (xt) is not 64 hexadecimal digits after 1220");
  magnet->content_id = *id;
  return absl::OkStatus();
}

absl::Status TakeName(absl::string_view value, Seen* seen, Magnet* magnet) {
  if (seen->name) return Refuse("more than one name (dn)");
  seen->name = true;
  if (value.empty()) return absl::OkStatus();
  P2P_RETURN_IF_ERROR(Annotate(CheckName(value), "magnet link: the name (dn) is not legal"));
  magnet->name = std::string(value);
  return absl::OkStatus();
}

absl::Status TakeSize(absl::string_view value, Seen* seen, Magnet* magnet) {
  if (seen->size) return Refuse("more than one size (xl)");
  seen->size = true;
  const absl::optional<uint64_t> size = ParseDecimal(value, limits::kMaxFileBytes);
  if (!size.has_value()) {
    return Refuse("the size (xl) is not a decimal number of bytes of at most 2^50");
  }
  magnet->total_bytes = ByteCount(*size);
  return absl::OkStatus();
}

absl::Status TakeAddress(absl::string_view value, absl::string_view what,
                         std::vector<std::string>* addresses) {
  if (absl::StartsWithIgnoreCase(value, "p2p://")) {
    value.remove_prefix(6);
    absl::ConsumeSuffix(&value, "/");
  } else if (absl::StrContains(value, "://")) {
    return absl::OkStatus();  // a BitTorrent tracker
  }
  if (!IsHostAndPort(value)) return Refuse(absl::StrCat("the ", what, " is not HOST:PORT"));
  if (addresses->size() < limits::kMaxMagnetAddresses) addresses->emplace_back(value);
  return absl::OkStatus();
}

absl::Status TakeParameter(absl::string_view key, absl::string_view value, Seen* seen,
                           Magnet* magnet) {
  if (key == "xt") return TakeTopic(value, seen, magnet);
  if (key == "dn") return TakeName(value, seen, magnet);
  if (key == "xl") return TakeSize(value, seen, magnet);
  if (key == "tr") return TakeAddress(value, "tracker (tr)", &magnet->trackers);
  if (key == "x.pe") return TakeAddress(value, "peer (x.pe)", &magnet->peers);
  return absl::OkStatus();
}

}  // namespace

std::string FormatMagnet(const Magnet& magnet) {
  std::string link = absl::StrCat(kScheme, "xt=", kBtmh, kSha256Multihash, magnet.content_id.Hex());
  if (!magnet.name.empty()) absl::StrAppend(&link, "&dn=", Encode(magnet.name));
  if (magnet.total_bytes > ByteCount(0)) {
    absl::StrAppend(&link, "&xl=", magnet.total_bytes.value());
  }
  for (const std::string& tracker : magnet.trackers) {
    absl::StrAppend(&link, "&tr=", Encode(tracker));
  }
  for (const std::string& peer : magnet.peers) absl::StrAppend(&link, "&x.pe=", Encode(peer));
  return link;
}

absl::StatusOr<Magnet> ParseMagnet(absl::string_view link) {
  if (!LooksLikeMagnet(link)) return Refuse("it does not begin with magnet:?");
  link.remove_prefix(kScheme.size());
  Magnet magnet;
  Seen seen;
  for (absl::string_view parameter : absl::StrSplit(link, '&')) {
    const size_t equals = parameter.find('=');
    if (equals == absl::string_view::npos) continue;
    const std::string key = absl::AsciiStrToLower(parameter.substr(0, equals));
    const absl::optional<std::string> value = Decode(parameter.substr(equals + 1));
    if (!value.has_value()) {
      return Refuse("a '%' is not followed by two hexadecimal digits");
    }
    P2P_RETURN_IF_ERROR(TakeParameter(key, *value, &seen, &magnet));
  }
  if (seen.v2) return magnet;
  if (seen.v1) {
    return Refuse("this is a BitTorrent v1 link (btih); a v2 link (xt=urn:btmh:1220...) is needed");
  }
  return Refuse("it has no content id (xt=urn:btmh:1220...)");
}

bool LooksLikeMagnet(absl::string_view text) { return absl::StartsWithIgnoreCase(text, kScheme); }

}  // namespace p2p::content

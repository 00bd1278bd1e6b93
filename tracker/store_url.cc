#include "tracker/store_url.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/base/text.h"

namespace p2p::tracker {
namespace {

constexpr int kDefaultPort = 6379;
// What Redis can be configured to have at most.
constexpr uint64_t kMaxDatabase = 1'000'000;

absl::Status Bad(absl::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat(reason, "; a store is given as redis://HOST:PORT/DB, or rediss:// for TLS"));
}

bool IsUserName(absl::string_view user) {
  return !user.empty() && std::all_of(user.begin(), user.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
  });
}

bool HasPort(absl::string_view host) {
  const size_t colon = host.rfind(':');
  return colon != host.npos && (host.front() != '[' || host[colon - 1] == ']');
}

}  // namespace

std::string StoreUrl::ToString() const {
  const auto add_node = [](std::string* out, const net::HostPort& node) {
    const bool is_ipv6 = absl::StrContains(node.host, ":");
    absl::StrAppend(out, is_ipv6 ? "[" : "", node.host, is_ipv6 ? "]" : "", ":", node.port);
  };
  return absl::StrCat(tls ? "rediss://" : "redis://", user, user.empty() ? "" : "@",
                      absl::StrJoin(nodes, ",", add_node), "/", database);
}

absl::StatusOr<StoreUrl> ParseStoreUrl(absl::string_view text) {
  StoreUrl url;
  url.tls = absl::ConsumePrefix(&text, "rediss://");
  if (!url.tls && !absl::ConsumePrefix(&text, "redis://")) return Bad("it begins otherwise");
  const size_t at = text.rfind('@');
  if (at != text.npos) {
    const absl::string_view user = text.substr(0, at);
    if (absl::StrContains(user, ":")) {
      return Bad(
          "a password in it could be seen by others: put it into a file for "
          "--store-password-file, or into P2P_STORE_PASSWORD");
    }
    if (!IsUserName(user)) return Bad("its user name has more than letters, digits and - _ .");
    url.user = std::string(user);
    text.remove_prefix(at + 1);
  }
  const size_t slash = text.find('/');
  for (const absl::string_view host : absl::StrSplit(text.substr(0, slash), ',')) {
    if (host.empty()) return Bad("it has no host");
    auto address = net::ParseHostPort(HasPort(host) ? std::string(host)
                                                    : absl::StrCat(host, ":", kDefaultPort));
    if (!address.ok()) return Bad(address.status().message());
    url.nodes.push_back(*std::move(address));
  }
  const absl::string_view database = slash == text.npos ? "" : text.substr(slash + 1);
  if (database.empty()) return url;
  const auto number = ParseDecimal(database, kMaxDatabase);
  if (!number.has_value()) return Bad("its database is no plain number");
  url.database = static_cast<int>(*number);
  return url;
}

}  // namespace p2p::tracker

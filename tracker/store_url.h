// Where the store is that trackers share: "redis://[USER@]HOST[:PORT][,HOST[:PORT]...][/DB]", or
// "rediss://" for TLS. Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/net/address.h"

namespace p2p::tracker {

struct StoreUrl {
  bool tls = false;
  std::string user;  // "": whom Redis takes by default
  // One, or some of a cluster's: any of them tells of the others.
  std::vector<net::HostPort> nodes;
  int database = 0;

  // As it was given, in full; it has no secret.
  std::string ToString() const;
};

// InvalidArgument says what is wrong. A password in it is refused, and not told again.
absl::StatusOr<StoreUrl> ParseStoreUrl(absl::string_view text);

}  // namespace p2p::tracker

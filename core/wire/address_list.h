// Addresses as the extension writes them: with `;key=value` parts behind them, and many in a list,
// divided by spaces (docs/protocol.md, section 2). Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "core/wire/peer_address.h"

namespace p2p::wire {

// One address; its parts are skipped. nullopt: no form of this version.
absl::optional<PeerAddress> ParseExtendedAddress(absl::string_view word);

struct AddressList {
  std::vector<PeerAddress> addresses;  // at most limits::kMaxPeersPerAnswer; others are left out
  size_t count = 0;                    // of all, also of those that are of no form of this version
};
AddressList ParseAddressList(absl::string_view text);

std::string FormatAddressList(absl::Span<const std::string> addresses);

}  // namespace p2p::wire

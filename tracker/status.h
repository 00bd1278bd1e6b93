// Asks a running tracker how it is doing: `p2p-tracker --status`. Blocks the calling thread for
// some seconds at most.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/net/address.h"
#include "core/wire/tracker_messages.h"

namespace p2p::tracker {

// What `--status` was given: an address, a port of this host or "" for its `default_port`.
absl::StatusOr<net::Endpoint> TrackerToAsk(absl::string_view where, uint16_t default_port);
// An error is a sentence with the address.
absl::StatusOr<wire::Figures> AskFigures(const net::Endpoint& tracker);
// One line a figure, for people.
std::string FigureTable(const wire::Figures& figures);

}  // namespace p2p::tracker

// Asks a running tracker how it is doing: `p2p-tracker --status`. Blocks the calling thread for
// some seconds at most.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "core/net/address.h"
#include "core/wire/tracker_messages.h"

namespace p2p::tracker {

// An error is a sentence with the address.
absl::StatusOr<wire::Figures> AskFigures(const net::Endpoint& tracker);
// One line a figure, for people.
std::string FigureTable(const wire::Figures& figures);

}  // namespace p2p::tracker

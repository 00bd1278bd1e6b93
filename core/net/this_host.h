// Which addresses are this machine's. Any thread.
#pragma once

#include "core/net/address.h"

namespace p2p::net {

// Whether the system would reach it without leaving this machine: loopback, or an address of one of
// its interfaces. Asks the system's routing, which sends nothing.
bool IsThisHost(const Endpoint& endpoint);

}  // namespace p2p::net

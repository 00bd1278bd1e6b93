// The version of the protocol's extension that HELLO tells (docs/protocol.md, section 5).
#pragma once

#include <cstdint>

namespace p2p::wire {

// The one that is spoken here. Later ones speak it, too, or refuse it; earlier ones are refused
// with ERROR 426.
inline constexpr uint32_t kProtocolVersion = 3;
// TLS begins with it, and no line does: reserved.
inline constexpr char kTlsFirstByte = 0x16;
inline constexpr char kWrongVersionText[] = "version 3 of the protocol is spoken here";

}  // namespace p2p::wire

// The engine's plain structs as messages of the control API. Pure; any thread.
#pragma once

#include "daemon/engine/engine.h"
#include "proto/control.pb.h"

namespace p2p::control {

v1::Transfer ToProto(const engine::TransferInfo& info);
v1::Peer ToProto(const engine::PeerInfo& info);
v1::Daemon ToProto(const engine::DaemonInfo& info);

// Whether WatchTransfers with until_end stops here: there is nothing more to wait for.
bool HasEnded(const v1::Transfer& transfer);
// Whether its figures may change without a change of its state.
bool IsActive(const v1::Transfer& transfer);

}  // namespace p2p::control

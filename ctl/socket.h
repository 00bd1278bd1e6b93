// The Unix socket under p2pctl's gRPC connection: connects, and finds out who answers before gRPC
// takes over.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace p2p::ctl {

// A connection to a daemon that has begun to speak HTTP/2; nothing is read from it yet. Errors as
// ExitCodeOf reads them, each with a cure.
absl::StatusOr<int> ConnectToDaemon(const std::string& socket_path);

}  // namespace p2p::ctl

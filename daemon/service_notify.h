// Tells a service manager (systemd, Type=notify) how the daemon is doing. Any thread.
#pragma once

#include "absl/strings/string_view.h"

namespace p2p::daemon {

// Sends `state` ("READY=1", "STOPPING=1\nSTATUS=...", see sd_notify(3)) to $NOTIFY_SOCKET. Does
// nothing where no manager listens; a failure is of no consequence for the daemon and is not told.
void NotifyServiceManager(absl::string_view state);

}  // namespace p2p::daemon

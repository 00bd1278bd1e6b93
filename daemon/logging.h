// The daemon's log: one plain line an event on stderr. Under systemd's journal, which has times of
// its own, the line begins with its priority instead ("<6>", see sd-daemon(3)). Set up once by
// main, before other threads run.
#pragma once

#include <string>

namespace p2p::daemon {

// `level` is one of the config file's: debug, info, warning, error.
void StartLogging(const std::string& level);
// While running; from any thread.
void SetLogLevel(const std::string& level);

}  // namespace p2p::daemon

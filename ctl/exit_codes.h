// p2pctl's exit codes, promised to scripts. 65, 69 and 77 are those of sysexits.h.
#pragma once

namespace p2p::ctl {

enum ExitCode {
  kDone = 0,
  kFailed = 1,      // refused or failed; the reason is on stderr
  kUsage = 2,       // the command line is wrong
  kUnverified = 3,  // only unverified content is to be had, and --allow-unverified was not given
  kNotUnderstood = 65,  // what answers on the socket is not a p2pd that this p2pctl understands
  kNotRunning = 69,     // no daemon answers
  kNotPermitted = 77,   // this user may not control the daemon
  kInterrupted = 130,   // Ctrl-C; what was started goes on in the daemon
};

}  // namespace p2p::ctl

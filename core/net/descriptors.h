// What descriptors the process has to begin with, and how many it may have.
#pragma once

#include "absl/status/status.h"

namespace p2p::net {

// Puts /dev/null where stdin, stdout or stderr is closed, so that no file or socket comes to stand
// there and takes in log lines. First in main.
void HoldStandardDescriptors();

// Raises the soft limit of open descriptors as far as the hard one allows.
void RaiseDescriptorLimit();

// How many descriptors the process may have now.
int DescriptorLimit();

// Whether that is enough for a program of ours to start and to serve somebody. With less it is not
// to start: libraries abort where they get none.
absl::Status CheckDescriptorLimit();

}  // namespace p2p::net

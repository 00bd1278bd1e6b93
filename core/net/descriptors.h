// What descriptors the process has to begin with, and how many it may have.
#pragma once

namespace p2p::net {

// Puts /dev/null where stdin, stdout or stderr is closed, so that no file or socket comes to stand
// there and takes in log lines. First in main.
void HoldStandardDescriptors();

// Raises the soft limit of open descriptors as far as the hard one allows.
void RaiseDescriptorLimit();

// How many descriptors the process may have now.
int DescriptorLimit();

}  // namespace p2p::net

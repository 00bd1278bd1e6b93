// The password for the store: from a file, or from the environment, where others cannot see it as
// on a command line. Any thread.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace p2p::tracker {

// The first line of the file; without a `file` P2P_STORE_PASSWORD of the environment, and "" where
// that is not set. An error is a sentence with the path.
absl::StatusOr<std::string> ReadStorePassword(const std::string& file);

}  // namespace p2p::tracker

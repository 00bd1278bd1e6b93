// Paths as the daemon needs them: its working directory is not p2pctl's.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace p2p::ctl {

// `path` made absolute, seen from this process. Links are followed in all but the last component,
// so that the name stays the one that was typed ("." and ".." have none, and are replaced by what
// they mean). Trailing '/' go.
absl::StatusOr<std::string> AbsolutePath(const std::string& path);

// The same for a place to write to, which need not exist; one trailing '/' stays: it means "into
// this directory".
absl::StatusOr<std::string> AbsoluteOutputPath(const std::string& path);

}  // namespace p2p::ctl

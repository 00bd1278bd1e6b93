// What a download is called, and where it goes.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "core/content/layout.h"
#include "daemon/store/file_system.h"

namespace p2p::engine {

// The name that a user asked for; nullopt when `source` is a content id or a magnet link.
absl::optional<std::string> AskedName(absl::string_view source);

// By name it is called what was asked for, else what its manifest says. The other side never names
// what the user named.
std::string TargetName(absl::string_view source, absl::string_view manifest_name);

// What comes by the original protocol, which tells a size and no more: one file of that name.
absl::StatusOr<content::Layout> OriginalLayout(absl::string_view source, uint64_t size_bytes);

// Where a download from `source` goes when the user said `wanted`: into it when it is a directory,
// and when it ends with a slash, which also makes it where it is missing. A name that the user did
// not type and that begins with a dot is refused there. Makes file calls: on a worker.
absl::StatusOr<std::string> ResolveTarget(store::FileSystem* files, const std::string& wanted,
                                          absl::string_view source,
                                          absl::string_view manifest_name);

}  // namespace p2p::engine

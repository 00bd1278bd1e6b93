// How a user's path and a layout become names beneath a held directory. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/content/layout.h"

namespace p2p::store {

struct SplitPath {
  std::string parent;  // absolute
  std::string name;    // one component
};
// Cuts an absolute path before its last component. InvalidArgument when there is none ("/",
// "/a/..").
absl::StatusOr<SplitPath> SplitUserPath(absl::string_view path);

// What an unfinished download to `name` is called: "<name>.part", with the name shortened where
// that would be too long for a file system.
std::string PartName(absl::string_view name);

// Where a file lies below the directory that holds `base`, the share's file or directory.
std::string DiskName(absl::string_view base, const content::Layout& layout, FileIndex file);

// The directories of a directory share, as DiskName gives them: `base` itself and all below, the
// deepest first. Empty for a single file.
std::vector<std::string> DiskDirectories(absl::string_view base, const content::Layout& layout);

}  // namespace p2p::store

// Tells which disk a path leads to without touching it: by the mount points that it goes through,
// as the system lists them. A link in the path is not followed, so that a path may be taken for one
// of the disk that holds the link. One thread at a time.
#pragma once

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "daemon/store/device_type.h"

namespace p2p::store {

class MountTable {
 public:
  // `listing`: a file in the form of /proc/self/mountinfo. It is read again when it is older than a
  // second.
  explicit MountTable(std::string listing = "/proc/self/mountinfo");

  // The disk of what is mounted at `path` (absolute), or else nearest above it. kUnknown, for every
  // path, where the system does not tell.
  DiskId DiskAt(absl::string_view path, absl::Time now);

 private:
  void Read();

  const std::string listing_;
  absl::Time read_at_ = absl::InfinitePast();
  // By mount point. Of several at the same one the latest, which hides the others.
  absl::flat_hash_map<std::string, DiskId> mounts_;
};

}  // namespace p2p::store

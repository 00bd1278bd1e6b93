// Who is at the other end of a Unix socket, and whether that user may control the daemon. Any
// thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"

namespace p2p::control {

// As the kernel recorded them when the peer connected.
struct PeerCredentials {
  uid_t user = 0;
  pid_t process = 0;          // 0: not known
  std::vector<gid_t> groups;  // the effective group and the supplementary ones
};

absl::StatusOr<PeerCredentials> ReadPeerCredentials(int socket);

// Only the daemon's own user, root, and the members of `group` (if there is one) may.
bool MayControl(const PeerCredentials& peer, uid_t daemon_user, absl::optional<gid_t> group);

// The id of a group given by name. InvalidArgument if there is none.
absl::StatusOr<gid_t> FindGroup(const std::string& name);

}  // namespace p2p::control

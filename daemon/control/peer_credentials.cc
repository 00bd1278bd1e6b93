#include "daemon/control/peer_credentials.h"

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/text.h"

namespace p2p::control {
namespace {

// Linux's own bound on a process's supplementary groups (NGROUPS_MAX).
constexpr size_t kMaxGroups = 65'536;
constexpr size_t kMaxDatabaseEntryBytes = 1 << 20;

#if defined(SO_PEERGROUPS)
bool ReadSupplementaryGroups(int socket, std::vector<gid_t>* groups) {
  std::vector<gid_t> found(64);
  for (;;) {
    socklen_t bytes = static_cast<socklen_t>(found.size() * sizeof(gid_t));
    if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, found.data(), &bytes) == 0) {
      found.resize(bytes / sizeof(gid_t));
      groups->insert(groups->end(), found.begin(), found.end());
      return true;
    }
    if (errno != ERANGE || found.size() > kMaxGroups) return false;
    found.resize(std::max(found.size() * 2, bytes / sizeof(gid_t)));
  }
}
#else
bool ReadSupplementaryGroups(int, std::vector<gid_t>*) { return false; }
#endif

// The groups that the user database gives to `user`: for kernels that do not tell those of the
// process.
void LookUpGroups(uid_t user, std::vector<gid_t>* groups) {
  std::vector<char> buffer(16'384);
  passwd entry{};
  passwd* found = nullptr;
  while (getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found) == ERANGE) {
    if (buffer.size() >= kMaxDatabaseEntryBytes) return;
    buffer.resize(buffer.size() * 2);
  }
  if (found == nullptr) return;
  int count = 64;
  std::vector<gid_t> ids(count);
  while (getgrouplist(entry.pw_name, entry.pw_gid, ids.data(), &count) < 0) {
    if (ids.size() > kMaxGroups) return;
    ids.resize(std::max<size_t>(ids.size() * 2, count));
    count = static_cast<int>(ids.size());
  }
  groups->insert(groups->end(), ids.begin(), ids.begin() + count);
}

}  // namespace

absl::StatusOr<PeerCredentials> ReadPeerCredentials(int socket) {
  PeerCredentials peer;
#if defined(SO_PEERCRED)
  ucred credentials{};
  socklen_t bytes = sizeof credentials;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) != 0) {
    return ErrnoStatus(errno, "cannot learn who connected to the control socket");
  }
  peer.user = credentials.uid;
  peer.process = credentials.pid;
  peer.groups.push_back(credentials.gid);
#else
  gid_t group = 0;
  if (getpeereid(socket, &peer.user, &group) != 0) {
    return ErrnoStatus(errno, "cannot learn who connected to the control socket");
  }
  peer.groups.push_back(group);
#endif
  if (!ReadSupplementaryGroups(socket, &peer.groups)) LookUpGroups(peer.user, &peer.groups);
  return peer;
}

bool MayControl(const PeerCredentials& peer, uid_t daemon_user, absl::optional<gid_t> group) {
  if (peer.user == daemon_user || peer.user == 0) return true;
  return group && std::find(peer.groups.begin(), peer.groups.end(), *group) != peer.groups.end();
}

absl::StatusOr<gid_t> FindGroup(const std::string& name) {
  std::vector<char> buffer(16'384);
  group entry{};
  group* found = nullptr;
  while (getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) == ERANGE) {
    if (buffer.size() >= kMaxDatabaseEntryBytes) break;
    buffer.resize(buffer.size() * 2);
  }
  if (found == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("there is no group \"", Printable(name), "\"; make it, or name another"));
  }
  return entry.gr_gid;
}

}  // namespace p2p::control

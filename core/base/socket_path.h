// Where the daemon's control socket is unless the user says otherwise: the same answer for p2pd and
// p2pctl. Any thread.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace p2p {

// The socket of a daemon that runs as a system service.
inline constexpr char kSystemSocketPath[] = "/run/p2pd/p2pd.sock";

// What the choice depends on.
struct SocketSurroundings {
  std::string p2p_socket;       // $P2P_SOCKET, "" when unset
  std::string xdg_runtime_dir;  // $XDG_RUNTIME_DIR, "" when unset
  bool system_socket_exists = false;
  unsigned user_id = 0;
};

// The first that is there of: $P2P_SOCKET, the system socket, $XDG_RUNTIME_DIR/p2pd.sock,
// /tmp/p2pd-UID/p2pd.sock.
std::string ChooseSocketPath(const SocketSurroundings& surroundings);

// The same for this process.
std::string DefaultSocketPath();

// Whether `path` lies in the directory of last resort of `user_id`: under /tmp, where another user
// may have made that directory first, so its owner is to be checked.
bool IsLastResortSocketPath(absl::string_view path, unsigned user_id);

}  // namespace p2p

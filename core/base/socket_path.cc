#include "core/base/socket_path.h"

#include <unistd.h>

#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace p2p {
namespace {

std::string LastResortDirectory(unsigned user_id) { return absl::StrCat("/tmp/p2pd-", user_id); }

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

std::string ChooseSocketPath(const SocketSurroundings& surroundings) {
  if (!surroundings.p2p_socket.empty()) return surroundings.p2p_socket;
  if (surroundings.system_socket_exists) return kSystemSocketPath;
  const std::string directory = surroundings.xdg_runtime_dir.empty()
                                    ? LastResortDirectory(surroundings.user_id)
                                    : surroundings.xdg_runtime_dir;
  return absl::StrCat(directory, "/p2pd.sock");
}

std::string DefaultSocketPath() {
  SocketSurroundings surroundings;
  surroundings.p2p_socket = Environment("P2P_SOCKET");
  surroundings.xdg_runtime_dir = Environment("XDG_RUNTIME_DIR");
  surroundings.system_socket_exists = access(kSystemSocketPath, F_OK) == 0;
  surroundings.user_id = getuid();
  return ChooseSocketPath(surroundings);
}

bool IsLastResortSocketPath(absl::string_view path, unsigned user_id) {
  return absl::StartsWith(path, LastResortDirectory(user_id) + "/");
}

}  // namespace p2p

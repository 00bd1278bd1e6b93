// Accepts on the control socket, on a thread of its own, and decides who is let in. Owned by
// ControlServer.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "core/base/line_limit.h"

namespace p2p::control {

class Acceptor {
 public:
  // `serve` is called on the acceptor's thread and takes over the connection, which does not block.
  // So is `look`, whenever nobody came for a while: it may put another socket behind `listener`.
  static absl::StatusOr<std::unique_ptr<Acceptor>> Start(int listener, absl::optional<gid_t> group,
                                                         std::function<void(int fd)> serve,
                                                         std::function<void()> look);
  // Joins the thread; `listener` is left open.
  ~Acceptor();

 private:
  Acceptor(int listener, absl::optional<gid_t> group, std::function<void(int fd)> serve,
           std::function<void()> look);

  void Run();
  // Accepts what is there. False when descriptors ran out and accepting should pause.
  bool AcceptAll();
  // Frees the reserve descriptor to accept and turn away one client, which would else wait for
  // ever.
  void TurnAwayWithoutDescriptors();
  void Admit(int fd);
  // Tells the client why, in a line that no HTTP/2 server begins with, and closes.
  void Refuse(int fd, absl::string_view reason);
  void LogRefusal(const std::string& line);
  bool HasRoom();

  // A connection given away: gRPC closes it without telling, so it counts while the descriptor is
  // still this socket.
  struct Served {
    int fd;
    ino_t inode;
  };

  const int listener_;
  const absl::optional<gid_t> group_;
  const std::function<void(int fd)> serve_;
  const std::function<void()> look_;
  int wake_[2] = {-1, -1};  // a pipe: its end ends the thread
  int reserve_ = -1;
  std::vector<Served> served_;
  LineLimit log_limit_{1};
  std::thread thread_;
};

}  // namespace p2p::control

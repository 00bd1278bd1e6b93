// The daemon's claim to its control socket: at most one daemon has it at a time. Owned by main,
// from before the engine starts until after it has stopped: while the file is there, a daemon
// works. One thread at a time: while an acceptor runs, its.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"

namespace p2p::control {

struct ControlOptions {
  std::string socket_path;
  std::string
      group;  // whose members may control the daemon besides its own user and root; "": none
};

class ControlSocket {
 public:
  // What Claim() would say of the options alone, whatever is at the place now. Touches nothing.
  static absl::Status Check(const ControlOptions& options);
  // Locks, replaces a stale socket, binds and listens: clients may connect, and wait for
  // ControlServer::Serve. FailedPrecondition: another daemon has it, or something that is not a
  // socket lies there (which is never touched).
  static absl::StatusOr<std::unique_ptr<ControlSocket>> Claim(const ControlOptions& options);
  // Removes the socket if it is still ours, and gives up the claim.
  ~ControlSocket();

  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

  const std::string& path() const { return path_; }
  absl::optional<gid_t> group() const { return group_; }
  // -1 after StopListening.
  int listener() const { return listener_; }
  // Makes the socket anew where somebody removed it, perhaps with its directory: true when it did.
  // The listener's number stays. What stands in its place is left alone.
  absl::StatusOr<bool> Restore();
  // New clients are refused from here on; the claim stays.
  void StopListening();

 private:
  explicit ControlSocket(std::string path) : path_(std::move(path)) {}
  absl::Status Lock();
  absl::Status RemoveStale();
  // On a new socket, which takes the number of the listener if there is one.
  absl::Status Listen();
  absl::Status BindAndListen(int fd);
  void RemoveOwn();

  const std::string path_;
  absl::optional<gid_t> group_;
  int lock_ = -1;
  int listener_ = -1;
  bool bound_ = false;
  // The bound file, to remove only that one.
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace p2p::control

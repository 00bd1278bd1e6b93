// Serves the control API on a claimed socket. Its own thread accepts, asks the kernel who
// connected, and hands the connections of those who may control the daemon to gRPC; the others are
// told why and closed before they can speak. Owned by main; Serve and Stop from one thread.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "daemon/control/control_socket.h"
#include "daemon/control/transfer_service.h"

namespace p2p::control {

class ControlServer {
 public:
  // `socket` and `transfers` outlive the server. `on_shutdown_request` is called on a gRPC thread
  // when a client asks the daemon to stop; it returns at once and stops the daemon elsewhere.
  static absl::StatusOr<std::unique_ptr<ControlServer>> Serve(
      ControlSocket* socket, TransferService* transfers, std::function<void()> on_shutdown_request);
  ~ControlServer();  // Stop()

  // Refuses new clients, ends all streams with UNAVAILABLE, and returns when no call is running.
  // Within about a second, unless the TransferService blocks.
  void Stop();

 private:
  struct Impl;
  explicit ControlServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace p2p::control

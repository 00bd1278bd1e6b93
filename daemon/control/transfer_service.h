// What control asks of the daemon's engine. Owned by control; implemented by EngineTransferService
// over the engine, and by a fake in tests. Every call may come from any thread. Those
// that change a transfer may wait for the catalog; the others are short, and wait for no file, peer
// or name service. None waits for ever: DeadlineExceeded says that the engine stands still,
// Unavailable that it stops.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/ids.h"
#include "daemon/engine/engine.h"

namespace p2p::control {

// The calls mean what those of engine::Engine with the same names mean.
class TransferService {
 public:
  virtual ~TransferService() = default;

  virtual void Share(const std::string& path, const std::string& name,
                     std::function<void(absl::StatusOr<TransferId>)> done) = 0;
  virtual absl::StatusOr<TransferId> Download(const std::string& source, const std::string& output,
                                              bool allow_unverified) = 0;
  virtual absl::Status Pause(TransferId id) = 0;
  virtual absl::Status Resume(TransferId id) = 0;
  virtual absl::Status Remove(TransferId id, bool with_data) = 0;
  virtual absl::Status Verify(TransferId id) = 0;

  virtual absl::StatusOr<TransferId> Find(const std::string& what) = 0;
  virtual absl::StatusOr<engine::TransferInfo> Transfer(TransferId id) = 0;
  virtual absl::StatusOr<std::vector<engine::TransferInfo>> Transfers(TransferId after,
                                                                      size_t most) = 0;
  virtual absl::StatusOr<std::vector<engine::PeerInfo>> Peers(TransferId id) = 0;
  virtual absl::StatusOr<engine::DaemonInfo> Daemon() = 0;

  virtual uint64_t Revision() const = 0;
  virtual uint64_t WaitForChange(uint64_t seen, absl::Duration timeout) = 0;
};

}  // namespace p2p::control

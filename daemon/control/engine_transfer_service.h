// TransferService over the real engine. Owned by main, which keeps the engine alive longer. Any
// thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "daemon/control/transfer_service.h"

namespace p2p::control {

class EngineTransferService final : public TransferService {
 public:
  explicit EngineTransferService(engine::Engine* engine) : engine_(engine) {}

  void Share(const std::string& path, const std::string& name,
             std::function<void(absl::StatusOr<TransferId>)> done) override;
  absl::StatusOr<TransferId> Download(const std::string& source, const std::string& output,
                                      bool allow_unverified) override;
  absl::Status Pause(TransferId id) override;
  absl::Status Resume(TransferId id) override;
  absl::Status Remove(TransferId id, bool with_data) override;
  absl::Status Verify(TransferId id) override;

  absl::StatusOr<TransferId> Find(const std::string& what) override;
  absl::StatusOr<engine::TransferInfo> Transfer(TransferId id) override;
  absl::StatusOr<std::vector<engine::TransferInfo>> Transfers(TransferId after,
                                                              size_t most) override;
  absl::StatusOr<std::vector<engine::PeerInfo>> Peers(TransferId id) override;
  absl::StatusOr<engine::DaemonInfo> Daemon() override;

  uint64_t Revision() const override;
  uint64_t WaitForChange(uint64_t seen, absl::Duration timeout) override;

 private:
  engine::Engine* const engine_;
};

}  // namespace p2p::control

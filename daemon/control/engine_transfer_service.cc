#include "daemon/control/engine_transfer_service.h"

#include <utility>

namespace p2p::control {

void EngineTransferService::Share(const std::string& path, const std::string& name,
                                  std::function<void(absl::StatusOr<TransferId>)> done) {
  engine_->Share(path, name, std::move(done));
}
absl::StatusOr<TransferId> EngineTransferService::Download(const std::string& source,
                                                           const std::string& output,
                                                           bool allow_unverified) {
  return engine_->Download(source, output, allow_unverified);
}
absl::Status EngineTransferService::Pause(TransferId id) { return engine_->Pause(id); }
absl::Status EngineTransferService::Resume(TransferId id) { return engine_->Resume(id); }
absl::Status EngineTransferService::Remove(TransferId id, bool with_data) {
  return engine_->Remove(id, with_data);
}
absl::Status EngineTransferService::Verify(TransferId id) { return engine_->Verify(id); }

absl::StatusOr<TransferId> EngineTransferService::Find(const std::string& what) {
  return engine_->Find(what);
}
absl::StatusOr<engine::TransferInfo> EngineTransferService::Transfer(TransferId id) {
  return engine_->Transfer(id);
}
absl::StatusOr<std::vector<engine::TransferInfo>> EngineTransferService::Transfers(TransferId after,
                                                                                   size_t most) {
  return engine_->Transfers(after, most);
}
absl::StatusOr<std::vector<engine::PeerInfo>> EngineTransferService::Peers(TransferId id) {
  return engine_->Peers(id);
}
absl::StatusOr<engine::DaemonInfo> EngineTransferService::Daemon() { return engine_->Daemon(); }

uint64_t EngineTransferService::Revision() const { return engine_->revision(); }
uint64_t EngineTransferService::WaitForChange(uint64_t seen, absl::Duration timeout) {
  return engine_->WaitForChange(seen, timeout);
}

}  // namespace p2p::control

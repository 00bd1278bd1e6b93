// The answers of the control API, without gRPC: each call checks its request, asks the
// TransferService, and converts. Owned by ControlService; any thread. Errors are what the caller
// reads: they name the field or say what to do.
#pragma once

#include <functional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "daemon/control/transfer_service.h"
#include "proto/control.pb.h"

namespace p2p::control {

class Handlers {
 public:
  explicit Handlers(TransferService* transfers) : transfers_(transfers) {}

  absl::StatusOr<v1::GetDaemonResponse> GetDaemon(const v1::GetDaemonRequest& request);
  // In two steps: the path is looked at between them, which takes as long as its disk does. `done`
  // must not wait; EndShare() may.
  void BeginShare(const v1::ShareRequest& request,
                  std::function<void(absl::StatusOr<TransferId>)> done);
  absl::StatusOr<v1::ShareResponse> EndShare(const absl::StatusOr<TransferId>& shared);
  absl::StatusOr<v1::DownloadResponse> Download(const v1::DownloadRequest& request);
  absl::StatusOr<v1::GetTransferResponse> GetTransfer(const v1::GetTransferRequest& request);
  absl::StatusOr<v1::ListTransfersResponse> ListTransfers(const v1::ListTransfersRequest& request);
  absl::StatusOr<v1::ListPeersResponse> ListPeers(const v1::ListPeersRequest& request);
  absl::StatusOr<v1::PauseResponse> Pause(const v1::PauseRequest& request);
  absl::StatusOr<v1::ResumeResponse> Resume(const v1::ResumeRequest& request);
  absl::StatusOr<v1::RemoveResponse> Remove(const v1::RemoveRequest& request);
  absl::StatusOr<v1::VerifyResponse> Verify(const v1::VerifyRequest& request);

  // The id that a `transfer` field means.
  absl::StatusOr<TransferId> Find(absl::string_view what);

 private:
  absl::StatusOr<v1::Transfer> Current(TransferId id);

  TransferService* const transfers_;
};

}  // namespace p2p::control

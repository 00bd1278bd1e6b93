// p2pctl's one connection to the daemon. One thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/control.grpc.pb.h"

namespace p2p::ctl {

// The exit code of a command that failed so. The client uses these codes for what concerns the
// daemon as a whole: Unavailable: no daemon answers; Unauthenticated: this user may not control it;
// Unimplemented: it is another version.
int ExitCodeOf(const absl::Status& status);

// "p2pctl: REASON" on stderr; returns ExitCodeOf.
int Fail(const absl::Status& status);

// A WatchTransfers stream that can be looked at without waiting for ever.
class TransferStream {
 public:
  enum class Event { kMessage, kNothing, kEnd };

  TransferStream(v1::Control::Stub* stub, const v1::WatchTransfersRequest& request);
  // Cancels what has not ended.
  ~TransferStream();

  // The next message, if one comes within `patience`. After kEnd status() is the reason: ok, or why
  // it failed.
  Event Next(absl::Duration patience, v1::WatchTransfersResponse* message);
  absl::Status status() const;

 private:
  enum class Tag : intptr_t { kStart = 1, kRead, kFinish };
  void StartRead();

  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::ClientAsyncReader<v1::WatchTransfersResponse>> reader_;
  v1::WatchTransfersResponse incoming_;
  grpc::Status status_;
  bool ended_ = false;
};

class Client {
 public:
  // Finds out first whether a daemon is there and lets this user in.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(const std::string& socket_path);
  ~Client();

  // One call: client->Call(&v1::Control::Stub::GetDaemon, request).
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(grpc::Status (v1::Control::Stub::*method)(grpc::ClientContext*,
                                                                          const Request&,
                                                                          Response*),
                                const Request& request) {
    grpc::ClientContext context;
    SetDeadline(&context);
    Response response;
    const grpc::Status status = (stub_.get()->*method)(&context, request, &response);
    if (!status.ok()) return ToStatus(status);
    return response;
  }

  std::unique_ptr<TransferStream> Watch(const v1::WatchTransfersRequest& request) {
    return std::make_unique<TransferStream>(stub_.get(), request);
  }

 private:
  Client(std::shared_ptr<grpc::Channel> channel, int watched_fd);
  static void SetDeadline(grpc::ClientContext* context);
  absl::Status ToStatus(const grpc::Status& status) const;
  bool ConnectionLost() const;

  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::Control::Stub> stub_;
  // A second descriptor of the connection: tells whether it still stands.
  const int watched_fd_;
};

}  // namespace p2p::ctl

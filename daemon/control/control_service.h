// gRPC's side of the control API: bytes to requests, answers to bytes, statuses to gRPC's. Owned by
// ControlServer; gRPC calls it on its own threads.
#pragma once

#include <functional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "daemon/control/call_threads.h"
#include "daemon/control/handlers.h"
#include "daemon/control/transfer_service.h"
#include "daemon/control/watch_hub.h"
#include "proto/control.grpc.pb.h"

namespace p2p::control {

class ControlService final : public v1::Control::Service {
 public:
  // The others outlive the service. `on_shutdown_request` may be called more than once, and returns
  // at once.
  ControlService(TransferService* transfers, WatchHub* hub, CallThreads* threads,
                 std::function<void()> on_shutdown_request);

 private:
  // Serves `method` by `answer`. Requests are parsed here and not by gRPC, which would hide from
  // the caller which field is wrong. `threads`: where it runs, for calls that may wait; nullptr: on
  // gRPC's thread.
  template <typename Request, typename Response>
  void ServeUnary(absl::string_view method,
                  std::function<absl::StatusOr<Response>(const Request&)> answer,
                  CallThreads* threads = nullptr);
  template <typename Request, typename Response>
  void ServeUnary(absl::string_view method,
                  absl::StatusOr<Response> (Handlers::*answer)(const Request&),
                  CallThreads* threads = nullptr);
  // No thread waits while the path is looked at.
  void ServeShare(CallThreads* threads);
  void ServeWatch();
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Watch(const grpc::ByteBuffer& request_bytes);

  Handlers handlers_;
  WatchHub* const hub_;
  const std::function<void()> on_shutdown_request_;
};

// `bytes` as `message`. InvalidArgument names the string field that is not UTF-8, if that is what
// is wrong.
absl::Status ParseRequest(const grpc::ByteBuffer& bytes, google::protobuf::Message* message);
grpc::ByteBuffer ToByteBuffer(const google::protobuf::Message& message);
// Codes are the same numbers; the message is cut to what an HTTP/2 trailer holds, and made
// printable.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace p2p::control

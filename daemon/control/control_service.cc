#include "daemon/control/control_service.h"

#include <google/protobuf/descriptor.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/names.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/control/watch_reactor.h"

namespace p2p::control {
namespace {

using google::protobuf::FieldDescriptor;

// A status message travels as a header, percent-encoded (3 bytes for one that is not plain ASCII);
// clients take 8 KiB of headers unless told otherwise.
constexpr size_t kMaxStatusMessageBytes = 2'000;

int MethodIndex(absl::string_view method) {
  static const google::protobuf::ServiceDescriptor* const service =
      v1::ShareRequest::descriptor()->file()->FindServiceByName("Control");
  return service->FindMethodByName(std::string(method))->index();
}

// The parser stops at a string that is not UTF-8 but has stored it by then.
absl::Status ExplainParseFailure(const google::protobuf::Message& message) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->type() != FieldDescriptor::TYPE_STRING || field->is_repeated()) continue;
    if (!IsValidUtf8(message.GetReflection()->GetString(message, field))) {
      return absl::InvalidArgumentError(absl::StrCat(field->name(), ": must be UTF-8"));
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the request is not a well-formed ", message.GetDescriptor()->full_name()));
}

}  // namespace

absl::Status ParseRequest(const grpc::ByteBuffer& bytes, google::protobuf::Message* message) {
  grpc::Slice slice;
  if (!bytes.TrySingleSlice(&slice).ok() && !bytes.DumpToSingleSlice(&slice).ok()) {
    return absl::InvalidArgumentError("the request has no content");
  }
  // gRPC refuses messages beyond kMaxControlMessageBytes, so the size fits an int.
  if (message->ParseFromArray(slice.begin(), static_cast<int>(slice.size()))) {
    return absl::OkStatus();
  }
  return ExplainParseFailure(*message);
}

grpc::ByteBuffer ToByteBuffer(const google::protobuf::Message& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      Printable(status.message(), kMaxStatusMessageBytes));
}

ControlService::ControlService(TransferService* transfers, WatchHub* hub, CallThreads* threads,
                               std::function<void()> on_shutdown_request)
    : handlers_(transfers), hub_(hub), on_shutdown_request_(std::move(on_shutdown_request)) {
  ServeUnary("GetDaemon", &Handlers::GetDaemon);
  ServeShare(threads);
  ServeUnary("Download", &Handlers::Download, threads);
  ServeUnary("GetTransfer", &Handlers::GetTransfer);
  ServeUnary("ListTransfers", &Handlers::ListTransfers);
  ServeUnary("ListPeers", &Handlers::ListPeers);
  ServeUnary("Pause", &Handlers::Pause, threads);
  ServeUnary("Resume", &Handlers::Resume, threads);
  ServeUnary("Remove", &Handlers::Remove, threads);
  ServeUnary("Verify", &Handlers::Verify);
  ServeUnary<v1::ShutdownRequest, v1::ShutdownResponse>(
      "Shutdown", [this](const v1::ShutdownRequest&) -> absl::StatusOr<v1::ShutdownResponse> {
        on_shutdown_request_();
        return v1::ShutdownResponse();
      });
  ServeWatch();
}

template <typename Request, typename Response>
void ControlService::ServeUnary(absl::string_view method,
                                std::function<absl::StatusOr<Response>(const Request&)> answer,
                                CallThreads* threads) {
  const auto call = [answer](const grpc::ByteBuffer& in, grpc::ByteBuffer* out) -> absl::Status {
    Request request;
    P2P_RETURN_IF_ERROR(ParseRequest(in, &request));
    P2P_ASSIGN_OR_RETURN(const Response response, answer(request));
    *out = ToByteBuffer(response);
    return absl::OkStatus();
  };
  MarkMethodRawCallback(
      MethodIndex(method),
      new grpc::internal::CallbackUnaryHandler<grpc::ByteBuffer, grpc::ByteBuffer>(
          [call, threads](grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
                          grpc::ByteBuffer* out) {
            grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
            const auto finish = [=] { reactor->Finish(ToGrpcStatus(call(*in, out))); };
            if (threads == nullptr) {
              finish();
            } else {
              threads->Run(finish);
            }
            return reactor;
          }));
}

template <typename Request, typename Response>
void ControlService::ServeUnary(absl::string_view method,
                                absl::StatusOr<Response> (Handlers::*answer)(const Request&),
                                CallThreads* threads) {
  ServeUnary<Request, Response>(
      method, [this, answer](const Request& request) { return (handlers_.*answer)(request); },
      threads);
}

void ControlService::ServeShare(CallThreads* threads) {
  MarkMethodRawCallback(
      MethodIndex("Share"),
      new grpc::internal::CallbackUnaryHandler<grpc::ByteBuffer, grpc::ByteBuffer>(
          [this, threads](grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
                          grpc::ByteBuffer* out) {
            grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
            const auto finish = [=](const absl::StatusOr<TransferId>& shared) {
              const absl::StatusOr<v1::ShareResponse> response = handlers_.EndShare(shared);
              if (response.ok()) *out = ToByteBuffer(*response);
              reactor->Finish(ToGrpcStatus(response.status()));
            };
            v1::ShareRequest request;
            const absl::Status parsed = ParseRequest(*in, &request);
            if (!parsed.ok()) {
              finish(parsed);
            } else {
              handlers_.BeginShare(request,
                                   [threads, finish](const absl::StatusOr<TransferId>& shared) {
                                     threads->Run([finish, shared] { finish(shared); });
                                   });
            }
            return reactor;
          }));
}

void ControlService::ServeWatch() {
  MarkMethodRawCallback(
      MethodIndex("WatchTransfers"),
      new grpc::internal::CallbackServerStreamingHandler<grpc::ByteBuffer, grpc::ByteBuffer>(
          [this](grpc::CallbackServerContext*, const grpc::ByteBuffer* in) { return Watch(*in); }));
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* ControlService::Watch(
    const grpc::ByteBuffer& request_bytes) {
  v1::WatchTransfersRequest request;
  absl::Status status = ParseRequest(request_bytes, &request);
  absl::optional<TransferId> only;
  if (status.ok() && !request.transfer().empty()) {
    const absl::StatusOr<TransferId> id = handlers_.Find(request.transfer());
    status = id.status();
    if (id.ok()) only = *id;
  }
  if (status.ok() && request.until_end() && !only) {
    status = absl::InvalidArgumentError("until_end: goes with transfer, which is empty");
  }
  const auto reactor = WatchReactor::Create(hub_, WatchState(only, request.until_end()));
  if (status.ok()) status = hub_->Add(reactor);
  if (!status.ok()) reactor->End(status);
  return reactor.get();
}

}  // namespace p2p::control

#include "daemon/control/control_server.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_posix.h>

#include <chrono>
#include <mutex>
#include <utility>

#include "core/base/limits.h"
#include "core/base/text.h"
#include "daemon/control/acceptor.h"
#include "daemon/control/call_threads.h"
#include "daemon/control/control_service.h"
#include "daemon/control/watch_hub.h"
#include "spdlog/spdlog.h"

namespace p2p::control {
namespace {

// Calls that still run so long after Stop are cancelled.
constexpr std::chrono::milliseconds kStopPatience(1'000);
// Only the reflection service takes threads of its own; the control API runs on gRPC's shared ones.
constexpr int kMaxGrpcThreads = 8;
constexpr int kMaxStreamsPerConnection = 100;

// gRPC and Protobuf write to stderr unless told otherwise; the daemon's log is the only one.
void QuietLibraries() {
  gpr_set_log_function(+[](gpr_log_func_args* args) {
    if (args->severity == GPR_LOG_SEVERITY_ERROR) {
      spdlog::debug("grpc: {}", Printable(args->message, 500));
    }
  });
  google::protobuf::SetLogHandler(nullptr);
}

void PrepareLibrariesOnce() {
  static std::once_flag once;
  std::call_once(once, [] {
    QuietLibraries();
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

std::unique_ptr<grpc::Server> BuildServer(ControlService* service) {
  grpc::ServerBuilder builder;
  grpc::ResourceQuota quota("control");
  quota.Resize(limits::kMaxControlMemoryBytes).SetMaxThreads(kMaxGrpcThreads);
  builder.SetResourceQuota(quota)
      .SetMaxReceiveMessageSize(limits::kMaxControlMessageBytes)
      .SetMaxSendMessageSize(limits::kMaxControlMessageBytes)
      .SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::NUM_CQS, 1)
      .SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::MIN_POLLERS, 1)
      .SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::MAX_POLLERS, 2)
      .AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection)
      .RegisterService(service);
  return builder.BuildAndStart();
}

// On the acceptor's thread. What cleans up directories of old files takes the socket, too.
void LookAfter(ControlSocket* socket) {
  const absl::StatusOr<bool> restored = socket->Restore();
  if (!restored.ok()) {
    spdlog::warn("control: the socket was removed, and: {}",
                 std::string(restored.status().message()));
  } else if (*restored) {
    spdlog::warn("control: the socket {} was removed; it was made anew", Printable(socket->path()));
  }
}

}  // namespace

struct ControlServer::Impl {
  Impl(ControlSocket* claimed, TransferService* transfers,
       std::function<void()> on_shutdown_request)
      : socket(claimed),
        hub(transfers),
        service(transfers, &hub, &threads, std::move(on_shutdown_request)),
        server(BuildServer(&service)) {}

  // Destroyed from the last to the first: who calls others goes before them.
  ControlSocket* const socket;
  CallThreads threads{limits::kMaxControlWaits};
  WatchHub hub;
  ControlService service;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<Acceptor> acceptor;
};

absl::StatusOr<std::unique_ptr<ControlServer>> ControlServer::Serve(
    ControlSocket* socket, TransferService* transfers, std::function<void()> on_shutdown_request) {
  PrepareLibrariesOnce();
  auto impl = std::make_unique<Impl>(socket, transfers, std::move(on_shutdown_request));
  if (impl->server == nullptr) return absl::InternalError("the gRPC server does not start");
  auto acceptor = Acceptor::Start(
      socket->listener(), socket->group(),
      [server = impl->server.get()](int fd) { grpc::AddInsecureChannelFromFd(server, fd); },
      [socket] { LookAfter(socket); });
  if (!acceptor.ok()) return acceptor.status();
  impl->acceptor = *std::move(acceptor);
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(impl)));
}

ControlServer::ControlServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ControlServer::~ControlServer() { Stop(); }

void ControlServer::Stop() {
  if (impl_ == nullptr) return;
  impl_->acceptor.reset();
  impl_->socket->StopListening();
  impl_->hub.Stop();
  impl_->server->Shutdown(std::chrono::system_clock::now() + kStopPatience);
  impl_.reset();
}

}  // namespace p2p::control

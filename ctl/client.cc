#include "ctl/client.h"

#include <fcntl.h>
#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <grpcpp/create_channel_posix.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "ctl/exit_codes.h"
#include "ctl/output.h"
#include "ctl/socket.h"

namespace p2p::ctl {
namespace {

// No call of the API takes long: the daemon answers at once and works on.
constexpr std::chrono::seconds kCallPatience(30);

// Both libraries write to stderr unless told otherwise.
void QuietLibraries() {
  gpr_set_log_function(+[](gpr_log_func_args*) {});
  google::protobuf::SetLogHandler(nullptr);
}

constexpr char kGone[] = "the daemon has gone; start p2pd again, its transfers go on by themselves";

absl::Status ToAbsl(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace

int ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kDone;
    case absl::StatusCode::kUnavailable:
      return kNotRunning;
    case absl::StatusCode::kUnauthenticated:
      return kNotPermitted;
    case absl::StatusCode::kUnimplemented:
      return kNotUnderstood;
    default:
      return kFailed;
  }
}

int Fail(const absl::Status& status) {
  Complain(Printable(status.message(), 4'096));
  return ExitCodeOf(status);
}

TransferStream::TransferStream(v1::Control::Stub* stub, const v1::WatchTransfersRequest& request)
    : reader_(stub->AsyncWatchTransfers(&context_, request, &queue_,
                                        reinterpret_cast<void*>(Tag::kStart))) {}

TransferStream::~TransferStream() {
  context_.TryCancel();
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

void TransferStream::StartRead() { reader_->Read(&incoming_, reinterpret_cast<void*>(Tag::kRead)); }

TransferStream::Event TransferStream::Next(absl::Duration patience,
                                           v1::WatchTransfersResponse* message) {
  if (ended_) return Event::kEnd;
  const auto deadline = std::chrono::system_clock::now() + absl::ToChronoMilliseconds(patience);
  for (;;) {
    void* tag = nullptr;
    bool ok = false;
    if (queue_.AsyncNext(&tag, &ok, deadline) != grpc::CompletionQueue::GOT_EVENT) {
      return Event::kNothing;
    }
    if (tag == reinterpret_cast<void*>(Tag::kFinish)) {
      ended_ = true;
      return Event::kEnd;
    }
    if (!ok) {
      reader_->Finish(&status_, reinterpret_cast<void*>(Tag::kFinish));
      continue;
    }
    const bool is_message = tag == reinterpret_cast<void*>(Tag::kRead);
    if (is_message) incoming_.Swap(message);
    StartRead();
    if (is_message) return Event::kMessage;
  }
}

absl::Status TransferStream::status() const {
  if (status_.error_code() == grpc::StatusCode::UNAVAILABLE) return absl::UnavailableError(kGone);
  return ToAbsl(status_);
}

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(const std::string& socket_path) {
  QuietLibraries();
  P2P_ASSIGN_OR_RETURN(const int fd, ConnectToDaemon(socket_path));
  const int watched = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return std::unique_ptr<Client>(
      new Client(grpc::CreateInsecureChannelFromFd("p2pd", fd), watched));
}

Client::Client(std::shared_ptr<grpc::Channel> channel, int watched_fd)
    : channel_(std::move(channel)),
      stub_(v1::Control::NewStub(channel_)),
      watched_fd_(watched_fd) {}

Client::~Client() {
  if (watched_fd_ >= 0) close(watched_fd_);
  // Taking a channel down costs several thread switches, more than a call; the process ends soon.
  static auto* const kept = new std::vector<std::shared_ptr<grpc::Channel>>();
  kept->push_back(std::move(channel_));
}

void Client::SetDeadline(grpc::ClientContext* context) {
  context->set_deadline(std::chrono::system_clock::now() + kCallPatience);
}

bool Client::ConnectionLost() const {
  pollfd state{watched_fd_, 0, 0};
  return watched_fd_ >= 0 && poll(&state, 1, 0) == 1 && (state.revents & POLLHUP) != 0;
}

absl::Status Client::ToStatus(const grpc::Status& status) const {
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      // The daemon says so itself when one of its files or addresses is not available: no reason to
      // call it gone.
      if (ConnectionLost()) return absl::UnavailableError(kGone);
      return absl::AbortedError(status.error_message());
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return absl::UnavailableError("the daemon does not answer; see its log");
    case grpc::StatusCode::UNIMPLEMENTED:
      return absl::UnimplementedError(
          "this p2pd does not know that command: it is another version than p2pctl; restart it "
          "after an upgrade");
    default:
      return ToAbsl(status);
  }
}

}  // namespace p2p::ctl

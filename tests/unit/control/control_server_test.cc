#include "daemon/control/control_server.h"

#include <dirent.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "core/base/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/control.grpc.pb.h"
#include "tests/support/fake_transfer_service.h"
#include "tests/support/temp_dir.h"

namespace p2p::control {
namespace {

using engine::TransferKind;
using engine::TransferState;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing_support::FakeTransferService;
using testing_support::MakeTransfer;
using testing_support::TempDir;

// Plain calls only: also used between fork and exit.
int ConnectTo(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

// What comes until the other side closes or nothing comes for 5 s.
std::string ReadAll(int fd) {
  std::string out;
  char buffer[256];
  for (;;) {
    pollfd wait{fd, POLLIN, 0};
    if (poll(&wait, 1, 5'000) != 1) return out + "(still open)";
    const ssize_t got = read(fd, buffer, sizeof buffer);
    if (got <= 0) return out;
    out.append(buffer, static_cast<size_t>(got));
  }
}

class ControlServerTest : public ::testing::Test {
 protected:
  ControlServerTest() {
    auto claim = ControlSocket::Claim({path_, ""});
    EXPECT_TRUE(claim.ok()) << claim.status();
    socket_ = *std::move(claim);
    auto server = ControlServer::Serve(socket_.get(), &transfers_, [this] { ++shutdowns_; });
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = NewChannel();
    stub_ = v1::Control::NewStub(channel_);
  }

  std::shared_ptr<grpc::Channel> NewChannel() {
    return grpc::CreateInsecureChannelFromFd("test", ConnectTo(path_.c_str()));
  }
  // The answer's status; the request is sent as these bytes.
  grpc::Status CallRaw(const std::string& method, const std::string& request) {
    const grpc::Slice slice(request);
    const grpc::ByteBuffer in(&slice, 1);
    grpc::ByteBuffer out;
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    grpc::Status status;
    const auto call = grpc::GenericStub(channel_).PrepareUnaryCall(&context, method, in, &queue);
    call->StartCall();
    call->Finish(&out, &status, this);
    AwaitTag(&queue);
    return status;
  }
  // Whether the one operation under way succeeded.
  static bool AwaitTag(grpc::CompletionQueue* queue) {
    void* tag = nullptr;
    bool ok = false;
    return queue->Next(&tag, &ok) && ok;
  }
  std::unique_ptr<grpc::ClientReader<v1::WatchTransfersResponse>> Watch(
      grpc::ClientContext* context, const std::string& transfer, bool until_end) {
    v1::WatchTransfersRequest request;
    request.set_transfer(transfer);
    request.set_until_end(until_end);
    return stub_->WatchTransfers(context, request);
  }

  TempDir directory_;
  const std::string path_ = directory_ / "p2pd.sock";
  FakeTransferService transfers_;
  std::atomic<int> shutdowns_{0};
  std::unique_ptr<ControlSocket> socket_;
  std::unique_ptr<ControlServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Control::Stub> stub_;
};

TEST_F(ControlServerTest, AnswersOnTheSocket) {
  engine::DaemonInfo daemon;
  daemon.version = "1.2.3";
  daemon.trackers.push_back({"127.0.0.1:8080", true, "ok"});
  transfers_.SetDaemon(daemon);
  grpc::ClientContext context;
  v1::GetDaemonResponse response;
  const grpc::Status status = stub_->GetDaemon(&context, {}, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.daemon().version(), "1.2.3");
  EXPECT_EQ(response.daemon().trackers(0).address(), "127.0.0.1:8080");
}

TEST_F(ControlServerTest, ErrorsKeepTheirCodeAndTheirText) {
  grpc::ClientContext context;
  v1::PauseRequest request;
  request.set_transfer("nobody");
  v1::PauseResponse response;
  const grpc::Status status = stub_->Pause(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("p2pctl list"));
}

TEST_F(ControlServerTest, CallsThatWaitForADiskDelayNoOthers) {
  transfers_.Put(MakeTransfer(1, TransferState::kDownloading, TransferKind::kDownload, "x"));
  transfers_.HoldPauses();
  std::vector<std::thread> waiting;
  for (int i = 0; i < 2 * limits::kMaxControlWaits; ++i) {
    waiting.emplace_back([this] {
      grpc::ClientContext context;
      v1::PauseRequest request;
      request.set_transfer("1");
      v1::PauseResponse response;
      EXPECT_TRUE(v1::Control::NewStub(NewChannel())->Pause(&context, request, &response).ok());
    });
  }
  transfers_.AwaitHeldPauses(limits::kMaxControlWaits);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  v1::GetDaemonResponse response;
  EXPECT_TRUE(stub_->GetDaemon(&context, {}, &response).ok());
  transfers_.LetPausesGo();
  for (std::thread& thread : waiting) thread.join();
  EXPECT_EQ(transfers_.calls().size(), waiting.size());
}

TEST_F(ControlServerTest, AVeryLongErrorIsCutAndStillArrives) {
  transfers_.AnswerWith(absl::InternalError(std::string(100'000, '\xff')));
  grpc::ClientContext context;
  v1::DownloadRequest request;
  request.set_source("x");
  v1::DownloadResponse response;
  const grpc::Status status = stub_->Download(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(status.error_message(), StartsWith("\\xff\\xff"));
}

TEST_F(ControlServerTest, G10_AStringThatIsNotUtf8IsNamed) {
  const grpc::Status status =
      CallRaw("/p2p.v1.Control/GetTransfer", std::string("\x0a\x02\xff\xfe", 4));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), StartsWith("transfer: "));
}

TEST_F(ControlServerTest, G10_ATruncatedRequestIsRefused) {
  const grpc::Status status = CallRaw("/p2p.v1.Control/GetTransfer", std::string("\x0a\x7f", 2));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("p2p.v1.GetTransferRequest"));
}

TEST_F(ControlServerTest, G10_UnknownFieldsAndWrongTypesChangeNothing) {
  // Field 99, and field 1 as a number where a string belongs.
  EXPECT_TRUE(CallRaw("/p2p.v1.Control/GetDaemon", std::string("\x9a\x06\x01x", 4)).ok());
  EXPECT_EQ(CallRaw("/p2p.v1.Control/GetTransfer", std::string("\x08\x01", 2)).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ControlServerTest, G06_AMessageBeyondTheLimitIsRefusedAndTheNextOneServed) {
  v1::ShareRequest request;
  request.set_path(std::string(limits::kMaxControlMessageBytes, 'x'));
  grpc::ClientContext big;
  v1::ShareResponse response;
  EXPECT_EQ(stub_->Share(&big, request, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  grpc::ClientContext context;
  v1::GetDaemonResponse daemon;
  EXPECT_TRUE(stub_->GetDaemon(&context, {}, &daemon).ok());
}

TEST_F(ControlServerTest, ShutdownIsPassedOnAndAnswered) {
  grpc::ClientContext context;
  v1::ShutdownResponse response;
  EXPECT_TRUE(stub_->Shutdown(&context, {}, &response).ok());
  EXPECT_EQ(shutdowns_, 1);
}

TEST_F(ControlServerTest, HealthAndReflectionAreOn) {
  EXPECT_TRUE(CallRaw("/grpc.health.v1.Health/Check", "").ok());
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const auto stream = grpc::GenericStub(channel_).PrepareCall(
      &context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  stream->StartCall(this);
  ASSERT_TRUE(AwaitTag(&queue));
  const grpc::Slice slice(std::string("\x3a\x00", 2));  // list_services: ""
  stream->Write(grpc::ByteBuffer(&slice, 1), this);
  ASSERT_TRUE(AwaitTag(&queue));
  grpc::ByteBuffer answer;
  stream->Read(&answer, this);
  ASSERT_TRUE(AwaitTag(&queue));
  grpc::Slice bytes;
  ASSERT_TRUE(answer.DumpToSingleSlice(&bytes).ok());
  const std::string text(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
  EXPECT_THAT(text, HasSubstr("p2p.v1.Control"));
  EXPECT_THAT(text, HasSubstr("grpc.health.v1.Health"));
  context.TryCancel();
}

TEST_F(ControlServerTest, WatchTellsTheStateAtOnceThenChangesAndEndsWithTheTransfer) {
  auto info = MakeTransfer(1, TransferState::kDownloading, TransferKind::kDownload, "file");
  transfers_.Put(info);
  grpc::ClientContext context;
  const auto stream = Watch(&context, "file", true);
  v1::WatchTransfersResponse message;
  ASSERT_TRUE(stream->Read(&message));
  ASSERT_EQ(message.transfers_size(), 1);
  EXPECT_EQ(message.transfers(0).bytes_done(), info.bytes_done);
  info.bytes_done += 1'000;
  transfers_.PutQuietly(info);
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_EQ(message.transfers(0).bytes_done(), info.bytes_done);
  info.state = TransferState::kComplete;
  transfers_.Put(info);
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_EQ(message.transfers(0).state(), v1::TRANSFER_STATE_COMPLETE);
  EXPECT_FALSE(stream->Read(&message));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(ControlServerTest, WatchOfAllTellsWhatCameAndWhatWent) {
  grpc::ClientContext context;
  const auto stream = Watch(&context, "", false);
  v1::WatchTransfersResponse message;
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_EQ(message.transfers_size(), 0);
  transfers_.Put(MakeTransfer(4, TransferState::kPaused, TransferKind::kDownload, "file"));
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_EQ(message.transfers(0).id(), 4u);
  transfers_.Erase(4);
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_THAT(message.removed_ids(), ::testing::ElementsAre(4));
}

// What comes next after an engine stood still is what changed, and nothing was told meanwhile.
TEST_F(ControlServerTest, V15_WatchersAreNotToldThatAnythingWasRemovedByAnEngineThatStandsStill) {
  for (const std::string watched : {"", "1"}) {
    auto info = MakeTransfer(1, TransferState::kDownloading, TransferKind::kDownload, "file");
    transfers_.Put(info);
    grpc::ClientContext context;
    const auto stream = Watch(&context, watched, false);
    v1::WatchTransfersResponse message;
    ASSERT_TRUE(stream->Read(&message));
    transfers_.AnswerQuestionsWith(absl::DeadlineExceededError("it did not answer"));
    const int looks = transfers_.looks();
    while (transfers_.looks() < looks + 3) std::this_thread::yield();
    info.bytes_done = 2'000'000;
    transfers_.Put(info);
    transfers_.AnswerQuestionsWith(absl::OkStatus());
    ASSERT_TRUE(stream->Read(&message));
    EXPECT_EQ(message.removed_ids_size(), 0);
    ASSERT_EQ(message.transfers_size(), 1);
    EXPECT_EQ(message.transfers(0).bytes_done(), 2'000'000u);
    context.TryCancel();
    stream->Finish();
  }
}

TEST_F(ControlServerTest, V15_AWatchThatBeginsWhileTheEngineStandsStillIsTold) {
  transfers_.Put(MakeTransfer(1, TransferState::kDownloading, TransferKind::kDownload, "file"));
  transfers_.AnswerQuestionsWith(absl::DeadlineExceededError("it did not answer"));
  grpc::ClientContext context;
  const auto stream = Watch(&context, "", false);
  v1::WatchTransfersResponse message;
  EXPECT_FALSE(stream->Read(&message));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(ControlServerTest, WatchOfAnUnknownTransferIsNotFound) {
  grpc::ClientContext context;
  const auto stream = Watch(&context, "nobody", false);
  v1::WatchTransfersResponse message;
  EXPECT_FALSE(stream->Read(&message));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ControlServerTest, WatchUntilTheEndOfAllIsRefusedByName) {
  grpc::ClientContext context;
  const auto stream = Watch(&context, "", true);
  v1::WatchTransfersResponse message;
  EXPECT_FALSE(stream->Read(&message));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), StartsWith("until_end"));
}

TEST_F(ControlServerTest, WithoutWatchersTheTransfersAreNotLookedAt) {
  transfers_.Put(MakeTransfer(1, TransferState::kDownloading, TransferKind::kDownload, "file"));
  {
    grpc::ClientContext context;
    const auto stream = Watch(&context, "1", false);
    v1::WatchTransfersResponse message;
    ASSERT_TRUE(stream->Read(&message));
    context.TryCancel();
    stream->Finish();
  }
  // The server learns of the cancellation soon after the client: then its looks stop for good.
  int before = -1;
  for (int round = 0; round < 50 && transfers_.looks() != before; ++round) {
    before = transfers_.looks();
    transfers_.WaitForChange(transfers_.Revision(), absl::Milliseconds(700));
  }
  EXPECT_EQ(transfers_.looks(), before);
}

TEST_F(ControlServerTest, G09_StoppingEndsStreamsWithUnavailableAndAdvice) {
  transfers_.Put(MakeTransfer(1, TransferState::kDownloading, TransferKind::kDownload, "file"));
  grpc::ClientContext context;
  const auto stream = Watch(&context, "1", false);
  v1::WatchTransfersResponse message;
  ASSERT_TRUE(stream->Read(&message));
  server_->Stop();
  while (stream->Read(&message)) {
  }
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("try again"));
}

TEST_F(ControlServerTest, G09_AStoppedServerRefusesWhileTheClaimStands) {
  server_->Stop();
  EXPECT_EQ(ConnectTo(path_.c_str()), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
  EXPECT_TRUE(absl::IsFailedPrecondition(ControlSocket::Claim({path_, ""}).status()));
}

TEST_F(ControlServerTest, G09_ADeadlineOfAMillisecondHarmsNobodyElse) {
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(1));
    v1::WatchTransfersResponse message;
    const auto stream = Watch(&context, "", false);
    while (stream->Read(&message)) {
    }
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  grpc::ClientContext context;
  v1::GetDaemonResponse response;
  EXPECT_TRUE(stub_->GetDaemon(&context, {}, &response).ok());
}

TEST_F(ControlServerTest, G09_AClientThatVanishesMidStreamLeavesNothingBehind) {
  transfers_.Put(MakeTransfer(1, TransferState::kDownloading, TransferKind::kDownload, "file"));
  for (int i = 0; i < 20; ++i) {
    const auto channel = NewChannel();
    const auto stub = v1::Control::NewStub(channel);
    grpc::ClientContext context;
    const auto stream = stub->WatchTransfers(&context, {});
    v1::WatchTransfersResponse message;
    ASSERT_TRUE(stream->Read(&message));
    context.TryCancel();
    stream->Finish();
  }
  grpc::ClientContext context;
  v1::GetDaemonResponse response;
  EXPECT_TRUE(stub_->GetDaemon(&context, {}, &response).ok());
  server_->Stop();  // returns only when no stream is left
}

TEST_F(ControlServerTest, G01_AnotherUserIsToldWhyAndClosedBeforeHttp2) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  // As if the modes had been set wrong: only the kernel's word on who connects is left.
  ASSERT_EQ(chmod(directory_.path().c_str(), 0755), 0);
  ASSERT_EQ(chmod(path_.c_str(), 0666), 0);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    char buffer[512];
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(1);
    const int fd = ConnectTo(path_.c_str());
    ssize_t got = 0;
    while (fd >= 0 && (got = read(fd, buffer, sizeof buffer)) > 0) {
      if (write(ends[1], buffer, static_cast<size_t>(got)) != got) _exit(2);
    }
    _exit(fd >= 0 ? 0 : 3);
  }
  close(ends[1]);
  const std::string heard = ReadAll(ends[0]);
  close(ends[0]);
  int exit_status = -1;
  ASSERT_EQ(waitpid(child, &exit_status, 0), child);
  EXPECT_EQ(exit_status, 0);
  EXPECT_THAT(heard, StartsWith("p2pd: not permitted: user 65534 "));
  EXPECT_EQ(heard.find('\n'), heard.size() - 1);
}

TEST_F(ControlServerTest, ConnectionsBeyondTheCapAreToldBusyAndOnesThatClosedMakeRoom) {
  std::vector<int> open;
  for (int i = 1; i < limits::kMaxControlConnections; ++i) {  // one is the fixture's
    open.push_back(ConnectTo(path_.c_str()));
    ASSERT_GE(open.back(), 0);
  }
  const int extra = ConnectTo(path_.c_str());
  EXPECT_THAT(ReadAll(extra), StartsWith("p2pd: busy"));
  close(extra);
  for (const int fd : open) close(fd);
  // gRPC closes its ends some time after it sees ours closed.
  for (int round = 0; round < 100; ++round) {
    const int again = ConnectTo(path_.c_str());
    pollfd wait{again, POLLIN, 0};
    ASSERT_EQ(poll(&wait, 1, 5'000), 1);
    char first = 'p';
    ASSERT_EQ(recv(again, &first, 1, MSG_PEEK), 1);
    close(again);
    if (first == '\0') return;
    transfers_.WaitForChange(transfers_.Revision(), absl::Milliseconds(50));
  }
  FAIL() << "no room was made";
}

TEST_F(ControlServerTest, Q04_RunningOutOfDescriptorsTurnsClientsAwayAndPassesOver) {
  grpc::ClientContext before;
  v1::GetDaemonResponse response;
  ASSERT_TRUE(stub_->GetDaemon(&before, {}, &response).ok());
  // Our own end, made while there are descriptors: the server's end is then the one too many.
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  rlimit old_limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old_limit), 0);
  rlimit low = old_limit;
  low.rlim_cur = static_cast<rlim_t>(fd) + 1;
  std::vector<int> fillers;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  for (int filler; (filler = dup(fd)) >= 0;) fillers.push_back(filler);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  const int connected = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
  const std::string said = ReadAll(fd);
  for (const int filler : fillers) close(filler);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old_limit), 0);
  EXPECT_EQ(connected, 0);
  EXPECT_THAT(said, StartsWith("p2pd: busy"));
  close(fd);
  const auto stub = v1::Control::NewStub(NewChannel());
  grpc::ClientContext after;
  EXPECT_TRUE(stub->GetDaemon(&after, {}, &response).ok());
}

TEST_F(ControlServerTest, G05_TheOnlyListenerIsTheUnixSocket) {
  DIR* const directory = opendir("/proc/self/fd");
  if (directory == nullptr) GTEST_SKIP() << "needs /proc";
  int listeners = 0;
  while (const dirent* entry = readdir(directory)) {
    const int fd = std::atoi(entry->d_name);
    int listens = 0;
    int domain = 0;
    socklen_t size = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) continue;
    size = sizeof domain;
    ASSERT_EQ(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size), 0);
    EXPECT_EQ(domain, AF_UNIX);
    ++listeners;
  }
  closedir(directory);
  EXPECT_EQ(listeners, 1);
}

}  // namespace
}  // namespace p2p::control

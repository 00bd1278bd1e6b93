// Connect: outcomes and their reasons.
#include "absl/synchronization/notification.h"
#include "net_test_support.h"

namespace p2p::net {
namespace {

class ConnectTest : public ::testing::Test {
 protected:
  ConnectTest() { loop_.Start(); }

  absl::Status ConnectTo(const Endpoint& to, absl::Duration timeout = kPatience) {
    absl::Notification done;
    absl::Status status;
    bool inside = true;
    loop_.RunAndWait([&] {
      Connect(&loop_, to, timeout, [&](absl::StatusOr<asio::ip::tcp::socket> socket) {
        EXPECT_FALSE(inside) << "told from within Connect";
        EXPECT_TRUE(loop_.IsInLoop());
        status = socket.status();
        if (socket.ok()) {
          EXPECT_EQ(send(socket->native_handle(), "hi", 2, MSG_NOSIGNAL), 2);
          EXPECT_TRUE(fcntl(socket->native_handle(), F_GETFL) & O_NONBLOCK);
          EXPECT_TRUE(fcntl(socket->native_handle(), F_GETFD) & FD_CLOEXEC);
        }
        done.Notify();
      });
      inside = false;
    });
    done.WaitForNotification();
    return status;
  }

  EventLoop loop_{"connect"};
};

TEST_F(ConnectTest, GivesAConnectedSocket) {
  const RawListener listener;
  EXPECT_TRUE(ConnectTo(listener.at).ok());
  EXPECT_EQ(listener.Accept().Read(2), "hi");
}

TEST_F(ConnectTest, C15_ARefusalIsToldAsOne) {
  Endpoint nobody;
  {
    const RawListener listener;
    nobody = listener.at;
  }
  const absl::Status status = ConnectTo(nobody);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "connection refused");
}

TEST_F(ConnectTest, C15_AnUnreachableAddressIsToldAsOne) {
  // Broadcast takes no TCP, with or without a route.
  const absl::Status status = ConnectTo(*ParseEndpoint("255.255.255.255:9"));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "not reachable from here");
}

TEST_F(ConnectTest, C15_GivesUpWhenNobodyAnswers) {
  // A listener whose queue is full lets further connections wait.
  const RawListener listener(0);
  std::vector<RawSocket> filling;
  for (int i = 0; i < 8; ++i) {
    filling.push_back(RawSocket::Unconnected());
    fcntl(filling.back().fd(), F_SETFL, O_NONBLOCK);
    filling.back().ConnectTo(listener.at);
  }
  const absl::Status status = ConnectTo(listener.at, absl::Milliseconds(100));
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(status.message(), "no answer within 100ms");
}

TEST_F(ConnectTest, C15_RunningOutOfDescriptorsIsOurOwnFault) {
  const RawListener listener;
  EXPECT_TRUE(ConnectTo(listener.at).ok());
  WarmUp(&loop_);
  std::vector<int> taken;
  for (int fd = dup(0); fd >= 0; fd = dup(0)) taken.push_back(fd);
  const absl::Status status = ConnectTo(listener.at);
  for (int fd : taken) close(fd);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find("too many open files"), absl::string_view::npos) << status;
}

TEST_F(ConnectTest, CancelledItDoesNotTell) {
  const RawListener listener;
  loop_.RunAndWait([&] {
    const auto cancel =
        Connect(&loop_, listener.at, kPatience, [](const auto&) { FAIL() << "was cancelled"; });
    cancel();
    cancel();
  });
  EXPECT_EQ(listener.Accept().ReadToEnd(), "");
}

TEST_F(ConnectTest, CancellingAfterItIsDoneDoesNothing) {
  const RawListener listener;
  std::function<void()> cancel;
  absl::optional<asio::ip::tcp::socket> kept;
  absl::Notification done;
  loop_.RunAndWait([&] {
    cancel =
        Connect(&loop_, listener.at, kPatience, [&](absl::StatusOr<asio::ip::tcp::socket> socket) {
          kept = *std::move(socket);
          done.Notify();
        });
  });
  done.WaitForNotification();
  const RawSocket other = listener.Accept();
  loop_.RunAndWait([&] {
    cancel();
    EXPECT_EQ(send(kept->native_handle(), "ok", 2, MSG_NOSIGNAL), 2);
  });
  EXPECT_EQ(other.Read(2), "ok");
  loop_.RunAndWait([&] { kept.reset(); });
}

TEST(ConnectAndLoop, AnAttemptUnderWayIsDroppedWithTheLoop) {
  auto token = std::make_shared<int>(0);
  const RawListener listener(0);
  {
    EventLoop loop("short");
    loop.Start();
    loop.RunAndWait([&] {
      for (int i = 0; i < 8; ++i) {
        Connect(&loop, listener.at, kPatience, [token](const auto&) {});
      }
    });
  }
  EXPECT_EQ(token.use_count(), 1);
}

}  // namespace
}  // namespace p2p::net

#include "core/net/listener.h"

#include <sys/resource.h>
#include <sys/time.h>

#include <ctime>
#include <memory>
#include <thread>
#include <vector>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "net_test_support.h"

namespace p2p::net {
namespace {

Endpoint Local(const char* text) { return *ParseEndpoint(text, /*allow_port_zero=*/true); }

// A listener that greets whom it admits and holds the connection until told to drop all.
class ListenerTest : public ::testing::Test {
 protected:
  struct Held {
    asio::ip::tcp::socket socket;
    Admission admission;
  };

  ListenerTest() {
    loop_.Start();
    other_loop_.Start();
  }
  ~ListenerTest() override {
    loop_.RunAndWait([this] { listener_.reset(); });
    loop_.Stop();
    other_loop_.Stop();
    held_.clear();
  }

  absl::Status Listen(const Endpoint& at, const ListenerOptions& options = ListenerOptions()) {
    auto listener = Listener::Listen(
        &loop_, at, options, "no room\n", [this] { return &other_loop_; },
        [this](EventLoop* home, asio::ip::tcp::socket socket, Admission admission) {
          EXPECT_EQ(home, &other_loop_);
          EXPECT_TRUE(loop_.IsInLoop());
          const int flags = fcntl(socket.native_handle(), F_GETFL);
          EXPECT_TRUE(flags & O_NONBLOCK);
          EXPECT_TRUE(fcntl(socket.native_handle(), F_GETFD) & FD_CLOEXEC);
          EXPECT_EQ(send(socket.native_handle(), "hi", 2, MSG_NOSIGNAL), 2);
          held_.push_back({std::move(socket), std::move(admission)});
        });
    if (listener.ok()) listener_ = std::move(*listener);
    return listener.status();
  }
  void DropAll() {
    loop_.RunAndWait([this] { held_.clear(); });
  }
  // Whether the newcomer was admitted; else it was closed.
  static bool Admitted(const RawSocket& newcomer) { return newcomer.Read(2) == "hi"; }

  EventLoop loop_{"listen"};
  EventLoop other_loop_{"home"};
  std::unique_ptr<Listener> listener_;
  std::vector<Held> held_;
};

TEST_F(ListenerTest, AcceptsOnAFreePortAndTellsIt) {
  ASSERT_TRUE(Listen(Local("127.0.0.1:0")).ok());
  EXPECT_NE(listener_->local().port(), 0);
  EXPECT_EQ(FormatHost(listener_->local()), "127.0.0.1");
  EXPECT_TRUE(Admitted(RawSocket::To(listener_->local())));
}

TEST_F(ListenerTest, AllIpv6AddressesTakeIpv4Too) {
  const absl::Status status = Listen(Local("[::]:0"));
  if (!status.ok()) GTEST_SKIP() << "no IPv6 here: " << status;
  const Endpoint v4(asio::ip::address_v4::loopback(), listener_->local().port());
  EXPECT_TRUE(Admitted(RawSocket::To(v4)));
  const Endpoint v6(asio::ip::address_v6::loopback(), listener_->local().port());
  EXPECT_TRUE(Admitted(RawSocket::To(v6)));
}

TEST_F(ListenerTest, P16_The65thConnectionOfAnAddressIsToldSoAndClosedAtOnce) {
  ASSERT_TRUE(Listen(Local("127.0.0.1:0")).ok());
  std::vector<RawSocket> admitted;
  for (int i = 0; i < 64; ++i) {
    admitted.push_back(RawSocket::To(listener_->local()));
    ASSERT_TRUE(Admitted(admitted.back())) << i;
  }
  EXPECT_EQ(RawSocket::To(listener_->local()).ReadToEnd(), "no room\n");
  EXPECT_EQ(listener_->refused(), 1u);
  // Another address of this machine is another source.
  RawSocket other = RawSocket::Unconnected();
  const Endpoint from = Local("127.0.0.2:0");
  ASSERT_EQ(bind(other.fd(), from.data(), static_cast<socklen_t>(from.size())), 0);
  ASSERT_TRUE(other.ConnectTo(listener_->local()));
  EXPECT_TRUE(Admitted(other));
  DropAll();
  EXPECT_TRUE(Admitted(RawSocket::To(listener_->local())));
}

TEST_F(ListenerTest, NewConnectionsFasterThanTheRateAreClosed) {
  ListenerOptions options;
  options.max_new_connections_per_second = 2;
  ASSERT_TRUE(Listen(Local("127.0.0.1:0"), options).ok());
  int admitted = 0;
  const absl::Time start = MonotonicNow();
  for (int i = 0; i < 20; ++i) admitted += Admitted(RawSocket::To(listener_->local()));
  const double seconds = absl::ToDoubleSeconds(MonotonicNow() - start);
  EXPECT_GE(admitted, 2);
  EXPECT_LE(admitted, 2 + 2 * seconds + 1);
  EXPECT_EQ(listener_->refused(), 20u - admitted);
}

TEST_F(ListenerTest, APortInUseIsToldWithAdvice) {
  ASSERT_TRUE(Listen(Local("127.0.0.1:0")).ok());
  const auto second = Listener::Listen(
      &loop_, listener_->local(), ListenerOptions(), "", [this] { return &loop_; },
      [](EventLoop*, asio::ip::tcp::socket, Admission) {});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(second.status().message(),
            "port " + std::to_string(listener_->local().port()) +
                " on 127.0.0.1 is already in use; stop the other program or choose another with "
                "--listen HOST:PORT");
}

TEST_F(ListenerTest, AnAddressOfAnotherMachineIsToldWithAdvice) {
  const absl::Status status = Listen(Local("203.0.113.7:9001"));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "this machine has no address 203.0.113.7; listen on one of its own or on all with "
            "--listen 0.0.0.0:9001");
}

TEST_F(ListenerTest, ThePortIsFreeAgainAtOnce) {
  ASSERT_TRUE(Listen(Local("127.0.0.1:0")).ok());
  const Endpoint at = listener_->local();
  const RawSocket client = RawSocket::To(at);
  EXPECT_TRUE(Admitted(client));
  DropAll();
  loop_.RunAndWait([this] { listener_.reset(); });
  EXPECT_TRUE(Listen(at).ok());
  EXPECT_TRUE(Admitted(RawSocket::To(at)));
}

TEST_F(ListenerTest, NobodyIsAcceptedAfterItWasDestroyed) {
  ASSERT_TRUE(Listen(Local("127.0.0.1:0")).ok());
  const Endpoint at = listener_->local();
  loop_.RunAndWait([this] { listener_.reset(); });
  EXPECT_FALSE(RawSocket::Unconnected().ConnectTo(at));
}

// Takes every free descriptor while it lives.
class NoDescriptors {
 public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit low = {128, before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &low);
    for (int fd = dup(0); fd >= 0; fd = dup(0)) taken_.push_back(fd);
  }
  ~NoDescriptors() {
    for (int fd : taken_) close(fd);
    setrlimit(RLIMIT_NOFILE, &before_);
  }

 private:
  rlimit before_ = {};
  std::vector<int> taken_;
};

TEST_F(ListenerTest, Q04_WithoutDescriptorsNewcomersAreClosedAndNothingSpins) {
  constexpr int kPauses = 4;
  constexpr int kAcceptsPerTurn = 64;  // however fast they come, then it pauses
  ASSERT_TRUE(Listen(Local("127.0.0.1:0")).ok());
  std::vector<RawSocket> newcomers;
  for (int i = 0; i < (kPauses + 2) * kAcceptsPerTurn; ++i) {
    newcomers.push_back(RawSocket::Unconnected());
  }
  const RawSocket last = RawSocket::Unconnected();
  EXPECT_TRUE(Admitted(RawSocket::To(listener_->local())));
  WarmUp(&loop_);
  WarmUp(&other_loop_);
  {
    const NoDescriptors none;
    const absl::Time start = MonotonicNow();
    const std::clock_t cpu_start = std::clock();
    absl::Duration took;
    size_t closed = 0;
    for (; took < kPauses * limits::kAcceptPause; took = MonotonicNow() - start) {
      ASSERT_LT(closed, newcomers.size()) << "accepting does not pause";
      ASSERT_TRUE(newcomers[closed].ConnectTo(listener_->local()));
      EXPECT_EQ(newcomers[closed++].ReadToEnd(), "no room\n");
    }
    const absl::Duration cpu =
        absl::Seconds(static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC);
    EXPECT_LT(cpu, took / 4);
  }
  ASSERT_TRUE(last.ConnectTo(listener_->local()));
  EXPECT_TRUE(Admitted(last));
}

TEST_F(ListenerTest, Q04_TakesNoMoreThanHalfOfTheDescriptors) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 40;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  const absl::Status status = Listen(Local("127.0.0.1:0"));
  setrlimit(RLIMIT_NOFILE, &before);
  ASSERT_TRUE(status.ok()) << status;
  std::vector<RawSocket> admitted;
  for (int i = 0; i < 20; ++i) {
    admitted.push_back(RawSocket::To(listener_->local()));
    ASSERT_TRUE(Admitted(admitted.back())) << i;
  }
  EXPECT_EQ(RawSocket::To(listener_->local()).ReadToEnd(), "no room\n");
}

}  // namespace
}  // namespace p2p::net

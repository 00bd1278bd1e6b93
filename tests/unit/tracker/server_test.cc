// The server with real sockets on loopback; its times are short so that nothing here waits for the
// real ones.
#include "tracker/server.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "asio/io_context.hpp"
#include "gtest/gtest.h"

namespace p2p::tracker {
namespace {

// A blocking client; every call gives up after some seconds, so that a failure does not hang the
// test.
class RawClient {
 public:
  explicit RawClient(const net::Endpoint& to) : socket_(context_) {
    socket_.connect(to);
    const timeval limit = {10, 0};
    setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(socket_.native_handle(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }

  // Whether all of it was taken.
  bool Send(absl::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  void EndSending() { shutdown(socket_.native_handle(), SHUT_WR); }
  void Reset() {
    socket_.set_option(asio::socket_base::linger(true, 0));
    socket_.close();
  }
  // The next line without its LF; "" at the end.
  std::string Line() {
    while (buffer_.find('\n') == std::string::npos) {
      if (!Receive()) return std::exchange(buffer_, "");
    }
    const size_t end = buffer_.find('\n');
    std::string line = buffer_.substr(0, end);
    buffer_.erase(0, end + 1);
    return line;
  }
  // Everything until the server ends the connection; "timeout" is at its end when it does not.
  std::string Rest() {
    while (Receive()) {
    }
    return std::exchange(buffer_, "") + (timed_out_ ? "timeout" : "");
  }

 private:
  bool Receive() {
    char bytes[65536];
    const ssize_t n = recv(socket_.native_handle(), bytes, sizeof bytes, 0);
    timed_out_ = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    if (n <= 0) return false;
    buffer_.append(bytes, static_cast<size_t>(n));
    return true;
  }

  asio::io_context context_;
  asio::ip::tcp::socket socket_;
  std::string buffer_;
  bool timed_out_ = false;
};

class ServerTest : public ::testing::Test {
 protected:
  void Start() {
    auto server = Server::Start({{asio::ip::address_v4::loopback(), 0}}, options_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  RawClient Connect() { return RawClient(server_->local()); }

  ServerOptions options_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, RegistersAndLooksUpOverRealSockets) {
  Start();
  RawClient one = Connect();
  RawClient two = Connect();
  one.Send("REGISTER a file 524289 127.0.0.1:9001\n");
  EXPECT_EQ(one.Line(), "OK 120");
  two.Send("LOOKUP a file\nLOOKUP other\nHELLO 3\n");
  EXPECT_EQ(two.Line(), "OK 524289 1 127.0.0.1:9001");
  EXPECT_TRUE(absl::StartsWith(two.Line(), "ERROR 404 "));
  EXPECT_TRUE(absl::StartsWith(two.Line(), "HELLO 3 agent=p2p-tracker/"));
  one.Send("UNREGISTER 127.0.0.1:9001\n");
  EXPECT_EQ(one.Line(), "OK 1");
}

TEST_F(ServerTest, ListensOnBothFamiliesAndTellsIpv4SourcesAsIpv4) {
  auto server = Server::Start(
      {net::Endpoint(asio::ip::tcp::v6(), 0), net::Endpoint(asio::ip::tcp::v4(), 0)}, options_);
  ASSERT_TRUE(server.ok()) << server.status();
  RawClient client(net::Endpoint(asio::ip::address_v4::loopback(), (*server)->local().port()));
  client.Send("REGISTER f 1 127.0.0.1:9001\n");
  EXPECT_EQ(client.Line(), "OK 120");
}

TEST_F(ServerTest, SaysInOneSentenceThatThePortIsInUse) {
  Start();
  const auto second = Server::Start({server_->local()}, options_);
  ASSERT_FALSE(second.ok());
  EXPECT_TRUE(absl::StrContains(std::string(second.status().message()), "in use"));
}

TEST_F(ServerTest, T13_TakesTheSourceOfTheConnectionAsTheAuthority) {
  Start();
  RawClient client = Connect();
  for (const char* address :
       {"192.0.2.1:9", "127.0.0.2:9", "0.0.0.0:9", "[::1]:9", "localhost:9"}) {
    client.Send(absl::StrCat("REGISTER f 1 ", address, "\n"));
    EXPECT_TRUE(absl::StartsWith(client.Line(), "ERROR 403 ")) << address;
  }
  client.Send("LOOKUP f\n");
  EXPECT_TRUE(absl::StartsWith(client.Line(), "ERROR 404 "));
}

TEST_F(ServerTest, T15_ClosesAConnectionWithoutAWholeRequestAndFreesItsSlot) {
  options_.conversation.first_request_timeout = absl::Milliseconds(50);
  options_.listener.max_connections = 1;
  Start();
  {
    RawClient silent = Connect();
    EXPECT_EQ(silent.Rest(), "");
  }
  // Its slot comes back as soon as the server has noticed that it is gone.
  const absl::Time give_up = absl::Now() + absl::Minutes(1);
  std::string answer;
  while (answer.empty() && absl::Now() < give_up) {
    RawClient next = Connect();
    next.Send("LOOKUP f\n");
    answer = next.Line();
  }
  EXPECT_TRUE(absl::StartsWith(answer, "ERROR 404 ")) << answer;
}

TEST_F(ServerTest, T15_ClosesAClientThatSendsSingleBytes) {
  options_.conversation.first_request_timeout = absl::Milliseconds(100);
  options_.conversation.line_pause = absl::Seconds(60);
  Start();
  RawClient slow = Connect();
  ASSERT_TRUE(slow.Send("L"));
  EXPECT_EQ(slow.Rest(), "");
}

TEST_F(ServerTest, ClosesAnIdleConnection) {
  options_.conversation.idle_timeout = absl::Milliseconds(500);
  options_.registry.ttl = absl::Milliseconds(400);
  Start();
  RawClient client = Connect();
  client.Send("LOOKUP f\n");
  EXPECT_TRUE(absl::StartsWith(client.Line(), "ERROR 404 "));
  EXPECT_EQ(client.Rest(), "");
}

TEST_F(ServerTest, OptionsThatCameBeforeItListenedHoldFromTheFirstConnectionOn) {
  Server server(options_);
  options_.listener.max_connections_per_address = 1;
  server.SetOptions(options_);
  ASSERT_TRUE(server.Listen({{asio::ip::address_v4::loopback(), 0}}).ok());
  RawClient one(server.local());
  one.Send("LOOKUP f\n");
  EXPECT_TRUE(absl::StartsWith(one.Line(), "ERROR 404 "));
  RawClient two(server.local());
  two.Send("LOOKUP f\n");
  EXPECT_EQ(two.Line(), "HELLO 3 agent=p2p-tracker/" P2P_VERSION);
  EXPECT_EQ(two.Line(), "ERROR 503 too many connections");
  EXPECT_EQ(two.Rest(), "");
}

TEST_F(ServerTest, CountsRequestsWhateverEndsThem) {
  options_.conversation.line_pause = absl::Milliseconds(20);
  Start();
  RawClient ends = Connect();
  ends.Send("LOOKUP f");
  ends.EndSending();
  EXPECT_TRUE(absl::StartsWith(ends.Rest(), "ERROR 404 "));
  RawClient pauses = Connect();
  pauses.Send("LOOKUP f");
  EXPECT_TRUE(absl::StartsWith(pauses.Line(), "ERROR 404 "));
  RawClient asks = Connect();
  asks.Send("STATS\n");
  EXPECT_TRUE(absl::StrContains(asks.Line(), " requests=2 "));
}

TEST_F(ServerTest, EndsALineByAPause) {
  options_.conversation.line_pause = absl::Milliseconds(20);
  Start();
  RawClient client = Connect();
  client.Send("LOOKUP f");
  EXPECT_TRUE(absl::StartsWith(client.Line(), "ERROR 404 "));
}

TEST_F(ServerTest, T19_StopsReadingAClientThatNeverReadsAndClosesIt) {
  options_.conversation.max_backlog_bytes = 64 << 10;
  options_.conversation.slow_reader_timeout = absl::Milliseconds(200);
  Start();
  RawClient filler = Connect();
  for (int i = 0; i < 64; ++i) {
    filler.Send(absl::StrCat("REGISTER f 1 127.0.0.1:", 40'000 + i, "\n"));
    ASSERT_EQ(filler.Line(), "OK 120");
  }
  RawClient client = Connect();
  std::string lookups;
  for (int i = 0; i < 10'000; ++i) lookups += "LOOKUP f\n";
  // 64 such blocks would be answered with a gigabyte: long before, the server reads no more, and
  // then it closes.
  bool taken = true;
  for (int i = 0; i < 640 && taken; ++i) taken = client.Send(lookups);
  EXPECT_FALSE(taken);
  filler.Send("LOOKUP g\n");
  EXPECT_TRUE(absl::StartsWith(filler.Line(), "ERROR 404 ")) << "others are served";
}

TEST_F(ServerTest, T20_AnswersAfterAHalfCloseAndThenCloses) {
  Start();
  RawClient client = Connect();
  client.Send("REGISTER f 1 127.0.0.1:9\nLOOKUP f");
  client.EndSending();
  EXPECT_EQ(client.Rest(), "OK 120\nOK 1 1 127.0.0.1:9\n");
}

TEST_F(ServerTest, T20_OutlivesConnectionsThatBreakOffAnywhere) {
  Start();
  const std::string request = "REGISTER f 1 127.0.0.1:9\nLOOKUP f\n";
  for (size_t cut = 0; cut <= request.size(); cut += 5) {
    RawClient reset = Connect();
    reset.Send(request.substr(0, cut));
    reset.Reset();
    RawClient closed = Connect();
    closed.Send(request.substr(0, cut));
  }
  RawClient client = Connect();
  client.Send("LOOKUP f\n");
  EXPECT_NE(client.Line(), "");
}

TEST_F(ServerTest, T02_SaysWhyBeforeItClosesOverALongLine) {
  Start();
  RawClient client = Connect();
  // Much more than the limit, sent at once: the answer must survive the bytes that nobody reads.
  client.Send(std::string(200'000, 'x'));
  client.EndSending();
  EXPECT_EQ(client.Rest(), "ERROR 413 the line is longer than 4096 bytes\n");
}

TEST_F(ServerTest, T25_SaysWhyBeforeItClosesOverAnotherProtocol) {
  Start();
  RawClient client = Connect();
  client.Send("GET / HTTP/1.1\r\nHost: tracker\r\nAccept: */*\r\n\r\n");
  EXPECT_TRUE(absl::StartsWith(client.Line(), "ERROR 400 "));
  client.EndSending();
  EXPECT_EQ(client.Rest(), "");
}

TEST_F(ServerTest, ServesManyConnectionsOverSeveralLoops) {
  options_.loops = 2;
  options_.listener.max_new_connections_per_second = 1'000;
  Start();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 60; ++i) {
    clients.push_back(std::make_unique<RawClient>(server_->local()));
    clients.back()->Send(absl::StrCat("REGISTER f 1 127.0.0.1:", 1 + i, "\n"));
  }
  for (auto& client : clients) EXPECT_EQ(client->Line(), "OK 120");
  EXPECT_EQ(server_->service().registry().registration_count(), 60u);
}

}  // namespace
}  // namespace p2p::tracker

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sqlite3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>

#include "daemon/engine/engine.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"

namespace p2p::engine {
namespace {

using testing_support::TempDir;

class EngineStartTest : public ::testing::Test {
 protected:
  EngineOptions Options(const std::string& listen) const {
    EngineOptions options;
    options.state_dir = directory_ / "state";
    options.download_dir = directory_ / "downloads";
    options.listen = listen;
    return options;
  }
  // From here on no run can begin, which shows when the engine listens already.
  void LetNoRunBegin() const {
    sqlite3* catalog = nullptr;
    ASSERT_EQ(sqlite3_open((directory_ / "state/catalog.db").c_str(), &catalog), SQLITE_OK);
    char* problem = nullptr;
    sqlite3_exec(catalog,
                 "CREATE TRIGGER no BEFORE UPDATE ON meta BEGIN SELECT RAISE(ABORT, 'no'); END",
                 nullptr, nullptr, &problem);
    EXPECT_EQ(problem, nullptr) << problem;
    sqlite3_close(catalog);
  }

  TempDir directory_;
};

TEST_F(EngineStartTest, E15_AStartThatFailsAfterItListensEndsInGoodOrder) {
  std::string listen;
  {
    auto engine = Engine::Start(Options("127.0.0.1:0"));
    ASSERT_TRUE(engine.ok()) << engine.status();
    listen = (*engine)->listen();
    EXPECT_TRUE((*engine)->Stop(absl::Seconds(10)));
  }
  LetNoRunBegin();
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(&listen[listen.rfind(':') + 1])));
  std::atomic<bool> over{false};
  std::thread visitor([&] {
    while (!over) {
      const int fd = socket(AF_INET, SOCK_STREAM, 0);
      (void)connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
      close(fd);
    }
  });
  for (int round = 0; round < 20; ++round) {
    const auto engine = Engine::Start(Options(listen));
    EXPECT_FALSE(engine.ok());
  }
  over = true;
  visitor.join();
}

TEST_F(EngineStartTest, V16_CallsAreAnsweredAtOnceWhenItStops) {
  auto engine = Engine::Start(Options("127.0.0.1:0"));
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_TRUE((*engine)->Stop(absl::Seconds(10)));
  EXPECT_TRUE(absl::IsUnavailable((*engine)->Daemon().status()));
  EXPECT_TRUE(absl::IsUnavailable((*engine)->Transfers(TransferId(0), 10).status()));
  EXPECT_TRUE(absl::IsUnavailable((*engine)->Pause(TransferId(1))));
  absl::Status shared;
  (*engine)->Share("/nowhere", "",
                   [&](const absl::StatusOr<TransferId>& id) { shared = id.status(); });
  EXPECT_TRUE(absl::IsUnavailable(shared));
}

}  // namespace
}  // namespace p2p::engine

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
    ChangeCatalog("CREATE TRIGGER no BEFORE UPDATE ON meta BEGIN SELECT RAISE(ABORT, 'no'); END");
  }
  void ChangeCatalog(const char* sql) const {
    sqlite3* catalog = nullptr;
    ASSERT_EQ(sqlite3_open((directory_ / "state/catalog.db").c_str(), &catalog), SQLITE_OK);
    char* problem = nullptr;
    sqlite3_exec(catalog, sql, nullptr, nullptr, &problem);
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

TEST_F(EngineStartTest, S03_WhatTheCatalogRefusesIsNotAcknowledged) {
  TransferId id;
  {
    const auto engine = Engine::Start(Options("127.0.0.1:0"));
    ASSERT_TRUE(engine.ok()) << engine.status();
    // It stays queued: nobody has it.
    const auto added = (*engine)->Download(std::string(64, 'a'), "", false);
    ASSERT_TRUE(added.ok()) << added.status();
    id = *added;
    EXPECT_TRUE((*engine)->Pause(id).ok());
    EXPECT_TRUE((*engine)->Resume(id).ok());
    EXPECT_TRUE((*engine)->Stop(absl::Seconds(10)));
  }
  ChangeCatalog(
      "CREATE TRIGGER no BEFORE UPDATE ON transfers BEGIN SELECT RAISE(ABORT, 'no'); END;"
      "CREATE TRIGGER nor BEFORE DELETE ON transfers BEGIN SELECT RAISE(ABORT, 'no'); END");
  {
    const auto engine = Engine::Start(Options("127.0.0.1:0"));
    ASSERT_TRUE(engine.ok()) << engine.status();
    EXPECT_NE((*engine)->Pause(id).message().find("it is paused, but the catalog cannot save that"),
              std::string::npos);
    EXPECT_FALSE((*engine)->Pause(id).ok()) << "the second time neither";
    EXPECT_NE((*engine)->Resume(id).message().find("it goes on, but the catalog cannot save that"),
              std::string::npos);
    EXPECT_FALSE((*engine)->Download(std::string(64, 'a'), "", false).ok());
    EXPECT_FALSE((*engine)->Remove(id, /*with_data=*/false).ok());
    EXPECT_TRUE((*engine)->Stop(absl::Seconds(10)));
  }
  ChangeCatalog("DROP TRIGGER no; DROP TRIGGER nor");
  const auto engine = Engine::Start(Options("127.0.0.1:0"));
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_EQ((*engine)->Transfer(id)->state, TransferState::kQueued);
  EXPECT_TRUE((*engine)->Pause(id).ok());
  EXPECT_TRUE((*engine)->Stop(absl::Seconds(10)));
}

}  // namespace
}  // namespace p2p::engine

#include "core/net/log_sink.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "spdlog/logger.h"

namespace p2p::net {
namespace {

class LogSinkTest : public testing::Test {
 protected:
  LogSinkTest() {
    std::signal(SIGPIPE, SIG_IGN);
    EXPECT_EQ(pipe(ends_), 0);
  }
  ~LogSinkTest() override {
    if (ends_[0] >= 0) close(ends_[0]);
    if (ends_[1] >= 0) close(ends_[1]);
  }

  spdlog::logger MakeLogger() {
    spdlog::logger logger("test", std::make_shared<LogSink>(ends_[1]));
    logger.set_pattern("%v");
    return logger;
  }
  // Until the text holds `end`.
  std::string ReadUntil(absl::string_view end) {
    std::string text;
    char buffer[65'536];
    while (!absl::StrContains(text, end)) {
      const ssize_t size = read(ends_[0], buffer, sizeof buffer);
      if (size <= 0) break;
      text.append(buffer, static_cast<size_t>(size));
    }
    return text;
  }

  int ends_[2] = {-1, -1};
};

TEST_F(LogSinkTest, WritesLinesInTheirOrder) {
  auto logger = MakeLogger();
  for (int i = 0; i < 100; ++i) logger.info("line {}", i);
  std::string expected;
  for (int i = 0; i < 100; ++i) absl::StrAppend(&expected, "line ", i, "\n");
  EXPECT_EQ(ReadUntil("line 99\n"), expected);
}

TEST_F(LogSinkTest, HasWrittenAllWhenItIsFlushed) {
  auto logger = MakeLogger();
  logger.info("the last words");
  logger.flush();
  ASSERT_EQ(fcntl(ends_[0], F_SETFL, O_NONBLOCK), 0);
  EXPECT_EQ(ReadUntil("\n"), "the last words\n");
}

TEST_F(LogSinkTest, X12_NobodyWaitsForAReaderThatDoesNotRead) {
  auto logger = MakeLogger();
  // Many times what the pipe and the queue hold.
  const std::string line(1'000, 'x');
  for (int i = 0; i < 10'000; ++i) logger.info(line);
  // Once it is read there is room, and it is told what is missing.
  const std::string text = ReadUntil("were left out");
  EXPECT_LT(text.size(), size_t{1} << 20);
  // As soon as what else still waits has been read.
  std::string later;
  char buffer[65'536];
  while (!absl::StrContains(later, "again\n")) {
    logger.info("again");
    const ssize_t size = read(ends_[0], buffer, sizeof buffer);
    ASSERT_GT(size, 0);
    later.append(buffer, static_cast<size_t>(size));
  }
}

TEST_F(LogSinkTest, X12_TheProgramEndsThoughNobodyReads) {
  auto logger = std::make_unique<spdlog::logger>(MakeLogger());
  for (int i = 0; i < 1'000; ++i) logger->info(std::string(1'000, 'x'));
  logger.reset();
  ends_[1] = -1;  // its thread may still be writing there
}

TEST_F(LogSinkTest, X12_ALogThatCannotBeWrittenToHarmsNothing) {
  close(std::exchange(ends_[0], -1));  // whoever writes gets EPIPE
  auto logger = MakeLogger();
  for (int i = 0; i < 1'000; ++i) logger.info("lost");
  logger.flush();
}

}  // namespace
}  // namespace p2p::net

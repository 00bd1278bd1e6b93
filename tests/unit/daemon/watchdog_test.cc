#include "daemon/watchdog.h"

#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace p2p::daemon {
namespace {

// A loop that runs what was posted when it is told to.
struct ManualLoop {
  std::vector<std::function<void()>> posted;

  engine::LoopHandle Handle(const std::string& name) {
    return {name, [this](std::function<void()> task) { posted.push_back(std::move(task)); }};
  }
  void Run() {
    for (const auto& task : std::exchange(posted, {})) task();
  }
};

TEST(ProgressWatch, X06_NamesEachLoopThatHasNotRunItsTask) {
  ManualLoop engine, io;
  ProgressWatch watch({engine.Handle("engine"), io.Handle("io")});
  EXPECT_EQ(watch.Check(), "");
  EXPECT_EQ(watch.Check(), "engine, io");
  io.Run();
  EXPECT_EQ(watch.Check(), "engine");
  engine.Run();
  EXPECT_EQ(watch.Check(), "");
  EXPECT_EQ(watch.Check(), "engine, io");
}

TEST(ProgressWatch, PostsNothingMoreToALoopThatIsStuck) {
  ManualLoop stuck, good;
  ProgressWatch watch({stuck.Handle("stuck"), good.Handle("good")});
  for (int i = 0; i < 5; ++i) {
    watch.Check();
    good.Run();
  }
  EXPECT_EQ(stuck.posted.size(), 1u);
}

TEST(ProgressWatch, ALoopMayAnswerAfterItsEnd) {
  ManualLoop late;
  {
    ProgressWatch watch({late.Handle("late")});
    watch.Check();
  }
  late.Run();
}

class WatchdogIntervalTest : public ::testing::Test {
 protected:
  ~WatchdogIntervalTest() override {
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
  }
  absl::optional<absl::Duration> With(const std::string& interval, const std::string& pid) {
    setenv("WATCHDOG_USEC", interval.c_str(), 1);
    setenv("WATCHDOG_PID", pid.c_str(), 1);
    return WatchdogInterval();
  }
};

TEST_F(WatchdogIntervalTest, IsTakenFromTheEnvironment) {
  EXPECT_EQ(WatchdogInterval(), absl::nullopt);
  EXPECT_EQ(With("60000000", absl::StrCat(getpid())), absl::Seconds(60));
  EXPECT_EQ(With("1500000", ""), absl::Milliseconds(1500));
}

TEST_F(WatchdogIntervalTest, IsNotForAnotherProcess) {
  EXPECT_EQ(With("60000000", absl::StrCat(getpid() + 1)), absl::nullopt);
}

TEST_F(WatchdogIntervalTest, OfNonsenseIsNone) {
  for (const char* nonsense : {"", "0", "-5", "soon", "99999999999999999999"}) {
    EXPECT_EQ(With(nonsense, ""), absl::nullopt) << nonsense;
  }
}

}  // namespace
}  // namespace p2p::daemon

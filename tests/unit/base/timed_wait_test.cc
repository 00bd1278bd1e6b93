#include "core/base/timed_wait.h"

#include <thread>

#include "gtest/gtest.h"

namespace p2p {
namespace {

TEST(TimedWait, TellsWhetherItHappenedOrTheTimeWasOver) {
  TimedNotification notification;
  EXPECT_FALSE(notification.WaitFor(absl::Milliseconds(1)));
  EXPECT_FALSE(notification.WaitFor(-absl::InfiniteDuration()));
  notification.Notify();
  EXPECT_TRUE(notification.WaitFor(absl::ZeroDuration()));
  EXPECT_TRUE(notification.HasBeenNotified());
}

TEST(TimedWait, WakesWhoWaitsForEver) {
  TimedNotification notification;
  std::thread other([&] { notification.Notify(); });
  EXPECT_TRUE(notification.WaitFor(absl::InfiniteDuration()));
  other.join();
}

TEST(TimedWait, GivesTheMutexUpWhileItWaits) {
  absl::Mutex mutex;
  TimedCondition condition;
  int turn = 0;
  std::thread other([&] {
    absl::MutexLock lock(&mutex);
    EXPECT_TRUE(condition.WaitFor(&mutex, absl::InfiniteDuration(), [&] { return turn == 1; }));
    turn = 2;
    condition.SignalAll();
  });
  {
    absl::MutexLock lock(&mutex);
    turn = 1;
    condition.SignalAll();
    EXPECT_TRUE(condition.WaitFor(&mutex, absl::InfiniteDuration(), [&] { return turn == 2; }));
  }
  other.join();
}

}  // namespace
}  // namespace p2p

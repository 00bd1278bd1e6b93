#include "core/net/event_loop.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "core/base/clock.h"

namespace p2p::net {
namespace {

TEST(EventLoop, RunsWhatIsPostedInItsOrder) {
  EventLoop loop("order");
  std::vector<int> seen;
  for (int i = 0; i < 50; ++i) loop.Post([&seen, i] { seen.push_back(i); });
  loop.Start();
  for (int i = 50; i < 100; ++i) loop.Post([&seen, i] { seen.push_back(i); });
  loop.RunAndWait([] {});
  ASSERT_EQ(seen.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(seen[i], i);
}

TEST(EventLoop, TakesTasksFromManyThreads) {
  EventLoop loop("many");
  loop.Start();
  int sum = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1'000; ++i) loop.Post([&sum] { ++sum; });
    });
  }
  for (std::thread& thread : threads) thread.join();
  loop.RunAndWait([&] { EXPECT_EQ(sum, 4'000); });
}

TEST(EventLoop, KnowsItsOwnThread) {
  EventLoop loop("mine");
  EXPECT_FALSE(loop.IsInLoop());
  loop.Start();
  EXPECT_FALSE(loop.IsInLoop());
  loop.RunAndWait([&] { EXPECT_TRUE(loop.IsInLoop()); });
}

TEST(EventLoop, NamesItsThreadForTheOperator) {
  EventLoop loop("a-name-longer-than-allowed");
  loop.Start();
  loop.RunAndWait([] {
    char name[64] = {};
    EXPECT_EQ(pthread_getname_np(pthread_self(), name, sizeof name), 0);
    EXPECT_STREQ(name, "a-name-longer-t");
  });
}

TEST(EventLoop, X03_BlocksSigpipeOnItsThread) {
  EventLoop loop("pipe");
  loop.Start();
  loop.RunAndWait([] {
    sigset_t blocked;
    ASSERT_EQ(pthread_sigmask(SIG_BLOCK, nullptr, &blocked), 0);
    EXPECT_EQ(sigismember(&blocked, SIGPIPE), 1);
    EXPECT_EQ(sigismember(&blocked, SIGTERM), 0);
  });
}

TEST(EventLoop, StopDestroysWhatWasNotRun) {
  auto token = std::make_shared<int>(0);
  bool ran = false;
  {
    EventLoop loop("stop");
    loop.Start();
    absl::Notification stopping, stop_called;
    loop.Post([&] {
      stopping.Notify();
      stop_called.WaitForNotification();
      loop.Post([&ran, token] { ran = true; });
    });
    stopping.WaitForNotification();
    // Stop waits for the running task, which goes on when it was told to stop.
    std::thread stopper([&] { loop.Stop(); });
    while (!loop.context().stopped()) std::this_thread::yield();
    stop_called.Notify();
    stopper.join();
    loop.Post([&ran, token] { ran = true; });
    loop.Stop();
  }
  EXPECT_FALSE(ran);
  EXPECT_EQ(token.use_count(), 1);
}

TEST(EventLoop, AWeakPosterOutlivesItsLoop) {
  EventLoop::WeakPoster post;
  auto token = std::make_shared<int>(0);
  {
    EventLoop loop("weak");
    loop.Start();
    post = loop.MakeWeakPoster();
    absl::Notification done;
    post([&] {
      EXPECT_TRUE(loop.IsInLoop());
      done.Notify();
    });
    done.WaitForNotification();
  }
  post([token] { FAIL() << "ran without a loop"; });
  EXPECT_EQ(token.use_count(), 1);
}

TEST(EventLoop, LendsTheSameScratchMemory) {
  EventLoop loop("scratch");
  loop.Start();
  loop.RunAndWait([&] {
    EXPECT_EQ(loop.Scratch().size(), size_t{64} << 10);
    EXPECT_EQ(loop.Scratch().data(), loop.Scratch().data());
  });
}

class TimerTest : public ::testing::Test {
 protected:
  TimerTest() { loop_.Start(); }
  ~TimerTest() override {
    loop_.RunAndWait([this] { timers_.clear(); });
  }
  Timer* New() {
    timers_.push_back(std::make_unique<Timer>(&loop_));
    return timers_.back().get();
  }
  std::function<void()> Record(int id) {
    return [this, id] { fired_.push_back(id); };
  }
  // Runs `setup`, which arms a timer for `end`, and waits for that.
  void RunUntil(std::function<void(std::function<void()> end)> setup) {
    absl::Notification ended;
    loop_.RunAndWait([&] { setup([&ended] { ended.Notify(); }); });
    ended.WaitForNotification();
  }

  EventLoop loop_{"timers"};
  std::vector<std::unique_ptr<Timer>> timers_;
  std::vector<int> fired_;
};

TEST_F(TimerTest, FiresInTheOrderOfTimesNotOfArming) {
  const absl::Time now = MonotonicNow();
  RunUntil([&](auto end) {
    New()->Arm(now + absl::Milliseconds(30), end);
    New()->Arm(now + absl::Milliseconds(20), Record(2));
    New()->Arm(now + absl::Milliseconds(10), Record(1));
    New()->Arm(now - absl::Hours(1), Record(0));
    New()->Arm(absl::InfinitePast(), Record(-1));
  });
  ASSERT_EQ(fired_.size(), 4u);
  EXPECT_EQ(fired_[2], 1);
  EXPECT_EQ(fired_[3], 2);
  EXPECT_GE(MonotonicNow(), now + absl::Milliseconds(30));
}

TEST_F(TimerTest, NeverFiresEarly) {
  absl::Time due;
  absl::Time fired_at;
  RunUntil([&](auto end) {
    due = MonotonicNow() + absl::Microseconds(5'432.1);
    New()->Arm(due, [&fired_at, end] {
      fired_at = MonotonicNow();
      end();
    });
  });
  EXPECT_GE(fired_at, due);
}

TEST_F(TimerTest, ArmedAgainForLaterItFiresOnceAndNotBefore) {
  const absl::Time now = MonotonicNow();
  absl::Time fired_at;
  RunUntil([&](auto end) {
    Timer* const timer = New();
    timer->Arm(now + absl::Milliseconds(5), Record(1));
    timer->Arm(now + absl::Milliseconds(30), [&, record = Record(2)] {
      fired_at = MonotonicNow();
      record();
    });
    EXPECT_EQ(timer->due(), now + absl::Milliseconds(30));
    New()->Arm(now + absl::Milliseconds(40), end);
  });
  EXPECT_EQ(fired_, (std::vector<int>{2}));
  EXPECT_GE(fired_at, now + absl::Milliseconds(30));
}

TEST_F(TimerTest, ArmedAgainForEarlierItFiresOnceAndThen) {
  const absl::Time now = MonotonicNow();
  RunUntil([&](auto end) {
    Timer* const timer = New();
    timer->Arm(now + absl::Hours(1), Record(1));
    timer->Arm(now + absl::Milliseconds(10), Record(2));
    New()->Arm(now + absl::Milliseconds(40), end);
  });
  EXPECT_EQ(fired_, (std::vector<int>{2}));
}

TEST_F(TimerTest, DisarmedOrDestroyedItDoesNotFire) {
  const absl::Time now = MonotonicNow();
  RunUntil([&](auto end) {
    Timer* const disarmed = New();
    disarmed->Arm(now + absl::Milliseconds(1), Record(1));
    disarmed->Disarm();
    EXPECT_EQ(disarmed->due(), absl::InfiniteFuture());
    Timer* const infinite = New();
    infinite->Arm(now + absl::Milliseconds(1), Record(2));
    infinite->Arm(absl::InfiniteFuture(), Record(3));
    {
      Timer gone(&loop_);
      gone.Arm(now, Record(4));
    }
    Timer* const revived = New();
    revived->Arm(now + absl::Milliseconds(1), Record(5));
    revived->Disarm();
    revived->Arm(now + absl::Milliseconds(2), Record(6));
    New()->Arm(now + absl::Milliseconds(20), end);
  });
  EXPECT_EQ(fired_, (std::vector<int>{6}));
}

TEST_F(TimerTest, MayBeArmedAgainFromInsideItsCall) {
  RunUntil([&](auto end) {
    Timer* const timer = New();
    auto again = std::make_shared<std::function<void()>>();
    *again = [this, timer, end, again] {
      fired_.push_back(static_cast<int>(fired_.size()));
      if (fired_.size() < 5) return timer->Arm(MonotonicNow(), *again);
      end();
      *again = nullptr;
    };
    timer->Arm(MonotonicNow(), [again] { (*again)(); });
  });
  EXPECT_EQ(fired_, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST_F(TimerTest, MayBeDestroyedInsideItsCall) {
  RunUntil([&](auto end) {
    Timer* const timer = New();
    timer->Arm(MonotonicNow(), [this, end] {
      timers_.clear();
      end();
    });
  });
  loop_.RunAndWait([&] { EXPECT_TRUE(timers_.empty()); });
}

TEST_F(TimerTest, TimesFarAwayAreNotNow) {
  RunUntil([&](auto end) {
    New()->Arm(MonotonicNow() + absl::Hours(24 * 365 * 1'000.0), Record(1));
    New()->Arm(MonotonicNow() + absl::Milliseconds(5), end);
  });
  EXPECT_TRUE(fired_.empty());
}

}  // namespace
}  // namespace p2p::net

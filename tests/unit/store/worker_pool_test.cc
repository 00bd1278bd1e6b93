#include "daemon/store/worker_pool.h"

#include <pthread.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace p2p::store {
namespace {

using Priority = WorkerPool::Priority;

TEST(WorkerPool, RunsWhatIsQueuedBeforeItIsGone) {
  std::atomic<int> ran{0};
  {
    WorkerPool pool(3, "test");
    for (int i = 0; i < 1000; ++i) {
      pool.SubmitComputation(i % 2 == 0 ? Priority::kBulk : Priority::kUrgent, [&] { ++ran; });
    }
  }
  EXPECT_EQ(ran, 1000);
}

TEST(WorkerPool, RunsWhatAJobQueuesWhileThePoolStops) {
  std::atomic<int> ran{0};
  {
    WorkerPool pool(2, "test");
    pool.SubmitComputation(Priority::kBulk, [&] {
      pool.SubmitComputation(Priority::kUrgent, [&] {
        pool.SubmitComputation(Priority::kBulk, [&] { ++ran; });
        ++ran;
      });
    });
  }
  EXPECT_EQ(ran, 2);
}

TEST(WorkerPool, StoppedItTakesJobsAndNeverRunsThem) {
  std::atomic<int> runs{0};
  const auto token = std::make_shared<int>();
  {
    WorkerPool pool(2, "test");
    pool.SubmitComputation(Priority::kBulk, [&] { ++runs; });
    pool.Stop();
    EXPECT_EQ(runs, 1);
    EXPECT_EQ(pool.threads(), 2);
    pool.SubmitComputation(Priority::kUrgent, [&, token] { ++runs; });
    pool.SubmitInTurn(7, [&, token] { ++runs; });
    pool.Stop();
  }
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(token.use_count(), 1);
}

TEST(WorkerPool, HasAtLeastOneThread) {
  absl::Notification done;
  WorkerPool pool(0, "test");
  EXPECT_EQ(pool.threads(), 1);
  pool.SubmitComputation(Priority::kBulk, [&] { done.Notify(); });
  done.WaitForNotification();
}

TEST(WorkerPool, ABulkJobHasItsTurnAmongUrgentJobsWithoutEnd) {
  absl::Notification bulk_done;
  std::function<void()> again;
  WorkerPool pool(1, "test");
  again = [&] {
    if (!bulk_done.HasBeenNotified()) pool.SubmitComputation(Priority::kUrgent, [&] { again(); });
  };
  pool.SubmitComputation(Priority::kUrgent, [&] { again(); });
  pool.SubmitComputation(Priority::kBulk, [&] { bulk_done.Notify(); });
  bulk_done.WaitForNotification();
}

TEST(WorkerPool, UrgentJobsRunWhileBulkJobsHoldEveryOtherThread) {
  absl::Notification release;
  absl::Notification urgent_done;
  WorkerPool pool(3, "test");
  for (int i = 0; i < 10; ++i)
    pool.SubmitComputation(Priority::kBulk, [&] { release.WaitForNotification(); });
  pool.SubmitComputation(Priority::kUrgent, [&] { urgent_done.Notify(); });
  urgent_done.WaitForNotification();
  release.Notify();
}

TEST(WorkerPool, WithOneThreadUrgentJobsOvertakeBulkJobs) {
  absl::Notification begin;
  absl::BlockingCounter done(4);
  std::string order;
  WorkerPool pool(1, "test");
  pool.SubmitComputation(Priority::kBulk, [&] { begin.WaitForNotification(); });
  for (const auto& [priority, letter] :
       {std::pair(Priority::kBulk, 'b'), std::pair(Priority::kBulk, 'b'),
        std::pair(Priority::kUrgent, 'u'), std::pair(Priority::kUrgent, 'u')}) {
    pool.SubmitComputation(priority, [&, mark = letter] {
      order += mark;
      done.DecrementCount();
    });
  }
  begin.Notify();
  done.Wait();
  EXPECT_EQ(order, "uubb");
}

TEST(WorkerPool, JobsOfOneKeyRunOneAfterTheOtherAsTheyCame) {
  std::atomic<int> inside{0};
  std::string order;
  absl::Notification all_submitted;
  {
    WorkerPool pool(4, "test");
    for (const char mark : {'a', 'b', 'c', 'd', 'e', 'f'}) {
      pool.SubmitInTurn(7, [&, mark] {
        all_submitted.WaitForNotification();
        EXPECT_EQ(++inside, 1);
        order += mark;
        if (mark == 'c') pool.SubmitInTurn(7, [&] { order += 'g'; });
        --inside;
      });
    }
    all_submitted.Notify();
  }
  EXPECT_EQ(order, "abcdefg");
}

TEST(WorkerPool, WhoWaitsForATurnKeepsNoThread) {
  absl::Notification release;
  absl::BlockingCounter others(2);
  WorkerPool pool(3, "test");
  pool.SubmitInTurn(7, [&] { release.WaitForNotification(); });
  for (int i = 0; i < 10; ++i) pool.SubmitInTurn(7, [] {});
  pool.SubmitInTurn(8, [&] { others.DecrementCount(); });
  pool.SubmitComputation(Priority::kBulk, [&] { others.DecrementCount(); });
  others.Wait();
  release.Notify();
}

TEST(WorkerPool, S24_ADiskThatHangsLeavesAThreadToTheRest) {
  absl::Notification release;
  absl::BlockingCounter others(4);
  WorkerPool pool(3, "test");
  for (int i = 0; i < 10; ++i) {
    pool.Submit(i % 2 == 0 ? Priority::kUrgent : Priority::kBulk, DiskId(7),
                [&] { release.WaitForNotification(); });
  }
  for (const Priority priority : {Priority::kUrgent, Priority::kBulk}) {
    pool.Submit(priority, DiskId(8), [&] { others.DecrementCount(); });
    pool.SubmitComputation(priority, [&] { others.DecrementCount(); });
  }
  others.Wait();
  release.Notify();
}

// Whatever is stuck where: the only thread, all threads, the places of bulk jobs.
TEST(WorkerPool, V12_OthersGetTheThreadsOfWhatIsStuck) {
  for (const int threads : {1, 2, 3}) {
    absl::Notification release;
    absl::BlockingCounter others(3);
    WorkerPool pool(threads, "test", absl::Milliseconds(5));
    for (const uint64_t disk : {6, 7}) {
      for (int i = 0; i < 10; ++i) {
        pool.Submit(Priority::kUrgent, DiskId(disk), [&] { release.WaitForNotification(); });
        pool.Submit(Priority::kBulk, DiskId(disk), [&] { release.WaitForNotification(); });
        pool.SubmitSweep(DiskId(disk), [&] { release.WaitForNotification(); });
      }
      pool.SubmitInTurn(disk, [&] { release.WaitForNotification(); });
    }
    pool.Submit(Priority::kBulk, DiskId(8), [&] { others.DecrementCount(); });
    pool.SubmitSweep(DiskId(8), [&] { others.DecrementCount(); });
    pool.SubmitComputation(Priority::kBulk, [&] { others.DecrementCount(); });
    others.Wait();
    release.Notify();
  }
}

TEST(WorkerPool, V12_OneDiskKeepsNoMoreThanItsShareOfThreads) {
  constexpr int kMost = limits::kMaxStuckJobsPerDisk + 1;  // and one that counts as under way
  absl::Notification release;
  std::atomic<int> began{0};
  absl::BlockingCounter all_that_may(kMost);
  absl::Notification other;
  {
    WorkerPool pool(2, "test", absl::Milliseconds(1));
    for (int i = 0; i < 2 * kMost; ++i) {
      pool.Submit(Priority::kUrgent, DiskId(7), [&] {
        if (++began <= kMost) all_that_may.DecrementCount();
        release.WaitForNotification();
      });
    }
    all_that_may.Wait();
    pool.Submit(Priority::kUrgent, DiskId(8), [&] { other.Notify(); });
    other.WaitForNotification();
    EXPECT_EQ(began, kMost);
    release.Notify();
  }
  EXPECT_EQ(began, 2 * kMost);
}

TEST(WorkerPool, V12_WhatWasStuckGoesOnAndItsStandInsGo) {
  absl::Notification release;
  std::atomic<int> inside{0};
  WorkerPool pool(1, "test", absl::Milliseconds(1));
  absl::Notification stood_in;
  pool.Submit(Priority::kUrgent, DiskId(7), [&] { release.WaitForNotification(); });
  pool.SubmitComputation(Priority::kUrgent, [&] { stood_in.Notify(); });
  stood_in.WaitForNotification();
  release.Notify();
  // Stuck or not: from here on one thread does all the work again.
  absl::BlockingCounter ran(100);
  absl::Notification begin;
  pool.Submit(Priority::kUrgent, DiskId(7), [&] { begin.Notify(); });
  begin.WaitForNotification();
  for (int i = 0; i < 100; ++i) {
    pool.SubmitComputation(Priority::kUrgent, [&] {
      EXPECT_EQ(++inside, 1);
      --inside;
      ran.DecrementCount();
    });
  }
  ran.Wait();
}

TEST(WorkerPool, WithoutPatienceForNothingAPoolOfOneThreadRunsOneJobAtATime) {
  std::string order;
  {
    WorkerPool pool(1, "test");
    for (const char mark : {'a', 'b', 'c', 'd'}) {
      pool.Submit(Priority::kUrgent, DiskId::kUnknown, [&order, mark] { order += mark; });
    }
  }
  EXPECT_EQ(order, "abcd");
}

TEST(WorkerPool, JobsForADiskThatWaitForOthersRunBeforeThePoolIsGone) {
  for (const int threads : {1, 2, 4}) {
    std::atomic<int> ran{0};
    {
      WorkerPool pool(threads, "test");
      for (int i = 0; i < 1000; ++i) {
        pool.Submit(i % 3 == 0 ? Priority::kBulk : Priority::kUrgent, DiskId(7), [&] { ++ran; });
      }
    }
    EXPECT_EQ(ran, 1000);
  }
}

TEST(WorkerPool, JobsMayOwnWhatCannotBeCopied) {
  std::atomic<int> seen{0};
  {
    WorkerPool pool(1, "test");
    pool.SubmitComputation(Priority::kUrgent,
                           [&, value = std::make_unique<int>(7)] { seen = *value; });
  }
  EXPECT_EQ(seen, 7);
}

TEST(WorkerPool, ThreadsCarryTheNameAndANumber) {
  std::string name(32, '\0');
  {
    WorkerPool pool(1, "a-very-long-thread-name");
    pool.SubmitComputation(Priority::kUrgent,
                           [&] { ::pthread_getname_np(::pthread_self(), &name[0], name.size()); });
  }
  EXPECT_STREQ(name.c_str(), "a-very-long-t-0");
}

}  // namespace
}  // namespace p2p::store

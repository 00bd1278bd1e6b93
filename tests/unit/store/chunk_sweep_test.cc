#include "daemon/store/chunk_sweep.h"

#include <atomic>
#include <memory>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "tests/unit/store/store_test_support.h"

namespace p2p::store {
namespace {

constexpr uint32_t kChunks = 200;

// Visits that note how many of them run at once, over several sweeps.
class ChunkSweepTest : public testing::Test {
 protected:
  SweepWork Work(Disk disk, absl::BlockingCounter* done) {
    SweepWork work;
    work.layout = SingleFile("file", uint64_t{kChunks} * kChunk);
    work.which = ChunkSet(kChunks);
    work.which.AddAll();
    work.disk = disk;
    work.progress = std::make_shared<WorkProgress>();
    work.visit = [this](auto chunks, auto, const auto& visited) {
      const int now = ++inside_;
      int most = most_inside_;
      while (most < now && !most_inside_.compare_exchange_weak(most, now)) {
      }
      if (now < wait_for_) enough_inside_.WaitForNotification();
      if (now == wait_for_ && !enough_inside_.HasBeenNotified()) enough_inside_.Notify();
      for (const ChunkIndex chunk : chunks) visited(chunk);
      visits_ += static_cast<int>(chunks.size());
      --inside_;
      return absl::OkStatus();
    };
    work.done = [done](const absl::Status& status) {
      EXPECT_TRUE(status.ok()) << status;
      done->DecrementCount();
    };
    return work;
  }

  std::atomic<int> inside_{0};
  std::atomic<int> most_inside_{0};
  std::atomic<int> visits_{0};
  int wait_for_ = 0;  // visits stay inside until there have been so many at once
  absl::Notification enough_inside_;
};

TEST_F(ChunkSweepTest, ATurningDiskHasOneReaderOfAllSweeps) {
  absl::BlockingCounter done(3);
  WorkerPool pool(4, "sweep");
  for (int i = 0; i < 3; ++i) StartSweep(&pool, Work({DeviceType::kRotational, 8}, &done));
  done.Wait();
  EXPECT_EQ(most_inside_, 1);
  EXPECT_EQ(visits_, 3 * static_cast<int>(kChunks));
}

TEST_F(ChunkSweepTest, TwoTurningDisksAreReadAtOnce) {
  wait_for_ = 2;
  absl::BlockingCounter done(2);
  WorkerPool pool(4, "sweep");
  StartSweep(&pool, Work({DeviceType::kRotational, 8}, &done));
  StartSweep(&pool, Work({DeviceType::kRotational, 16}, &done));
  done.Wait();
  EXPECT_EQ(visits_, 2 * static_cast<int>(kChunks));
}

TEST_F(ChunkSweepTest, OtherDevicesAreReadByAllBulkThreads) {
  wait_for_ = 3;
  absl::BlockingCounter done(1);
  WorkerPool pool(4, "sweep");
  StartSweep(&pool, Work({DeviceType::kSolidState, 8}, &done));
  done.Wait();
  EXPECT_EQ(most_inside_, 3);
  EXPECT_EQ(visits_, static_cast<int>(kChunks));
}

}  // namespace
}  // namespace p2p::store

#include "tracker/change_queue.h"

#include <thread>
#include <vector>

#include "core/base/clock.h"
#include "gtest/gtest.h"
#include "tracker/store_record.h"

namespace p2p::tracker {
namespace {

const absl::Time kNow = absl::UnixEpoch() + absl::Hours(1);
const wire::PeerAddress kPeer = *wire::PeerAddress::Parse("[2001:db8::7]:9001");

TEST(ChangeQueue, HandsOverWhatItWasToldInOrder) {
  int first = 0;
  ChangeQueue queue([&first] { ++first; });
  const absl::Time before = MonotonicNow();
  queue.OnChanged({"f", absl::nullopt, kPeer});
  const absl::Time after = MonotonicNow();
  queue.OnRenewed(kPeer, kNow);
  queue.OnUnregistered(kPeer, kNow + absl::Milliseconds(1));
  EXPECT_EQ(first, 1);
  EXPECT_EQ(queue.count(), 3);
  ChangeQueue::Batch batch;
  queue.Take(&batch);
  absl::string_view rest = batch.text;
  ChangeQueue::Change change;
  ASSERT_TRUE(ChangeQueue::Batch::Next(&rest, &change));
  EXPECT_EQ(change.kind, ChangeQueue::Kind::kChanged);
  EXPECT_EQ(change.field, "- f");
  // When it changed, however late it is taken.
  EXPECT_GE(change.time, before);
  EXPECT_LE(change.time, after);
  EXPECT_EQ(change.address, kPeer);
  ASSERT_TRUE(ChangeQueue::Batch::Next(&rest, &change));
  EXPECT_EQ(change.kind, ChangeQueue::Kind::kRenewed);
  EXPECT_EQ(change.time, kNow);
  ASSERT_TRUE(ChangeQueue::Batch::Next(&rest, &change));
  EXPECT_EQ(change.kind, ChangeQueue::Kind::kUnregistered);
  EXPECT_EQ(change.time, kNow + absl::Milliseconds(1));
  EXPECT_FALSE(ChangeQueue::Batch::Next(&rest, &change));
  queue.Take(&batch);
  EXPECT_TRUE(batch.text.empty());
  EXPECT_EQ(queue.count(), 0);
  queue.OnRenewed(kPeer, kNow);
  EXPECT_EQ(first, 2);
}

TEST(ChangeQueue, SaysThatSomeWereLostWhenNobodyTakesThem) {
  ChangeQueue queue([] {});
  const std::string name(1000, 'n');
  for (int i = 0; i < 40'000; ++i) queue.OnChanged({name, absl::nullopt, kPeer});
  ChangeQueue::Batch batch;
  queue.Take(&batch);
  EXPECT_TRUE(batch.lost);
  EXPECT_LE(batch.text.size(), size_t{32} << 20);
  queue.Take(&batch);
  EXPECT_FALSE(batch.lost);
}

TEST(ChangeQueue, TakesFromManyThreads) {
  ChangeQueue queue([] {});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&queue] {
      for (int n = 0; n < 1'000; ++n) queue.OnRenewed(kPeer, kNow);
    });
  }
  int taken = 0;
  ChangeQueue::Batch batch;
  ChangeQueue::Change change;
  const auto take = [&] {
    queue.Take(&batch);
    for (absl::string_view rest = batch.text; ChangeQueue::Batch::Next(&rest, &change);) ++taken;
  };
  for (int i = 0; i < 100; ++i) take();
  for (auto& thread : threads) thread.join();
  take();
  EXPECT_EQ(taken, 4'000);
}

}  // namespace
}  // namespace p2p::tracker

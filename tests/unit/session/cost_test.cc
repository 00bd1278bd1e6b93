// That what another side says costs the same however much waits. A program of its own, because it
// counts every byte that operator new hands out.
#include "daemon/session/serve_queue.h"
#include "gtest/gtest.h"
#include "tests/support/allocated_bytes.h"

namespace p2p::session {
namespace {

using testing_support::BytesAllocatedBy;

TEST(SessionCost, V08_CancelsThatHitNothingCostNothingBesideAFullQueue) {
  ServeQueue queue;
  for (uint32_t i = 0; i < limits::kMaxQueuedChunks; ++i) {
    ASSERT_TRUE(queue.Add(ChunkPart{ChunkIndex(i), 0, 4}, limits::kMaxQueuedChunks));
  }
  EXPECT_EQ(BytesAllocatedBy([&queue] {
              for (int i = 0; i < 10'000; ++i) {
                EXPECT_TRUE(queue.Cancel(ChunkRun{5'000'000, 1}).empty());
                EXPECT_TRUE(queue.Cancel(ChunkRun{0, 0x7fff'ffff}).empty());
                EXPECT_FALSE(queue.Cancel(ChunkPart{ChunkIndex(7), 4, 4}));
              }
            }),
            0u);
  EXPECT_EQ(queue.size(), limits::kMaxQueuedChunks);
}

}  // namespace
}  // namespace p2p::session

// That a swarm of a pebibyte costs what is here and what links tell, not what the layout states. A
// program of its own, because it counts every byte that operator new hands out.
#include "core/base/send_tally.h"
#include "daemon/swarm/swarm.h"
#include "gtest/gtest.h"
#include "tests/support/allocated_bytes.h"
#include "tests/unit/swarm/swarm_harness.h"

namespace p2p::swarm {
namespace {

constexpr uint32_t kChunks = uint32_t{1} << 31;
constexpr size_t kMiB = 1 << 20;

using testing_support::BytesAllocatedBy;

// Each of these would take seconds and gigabytes if anything were done for each chunk.
TEST(SwarmMemory, V04_S17_APebibyteIsBegunAndFetchedFromOneThatHasAll) {
  EXPECT_LT(BytesAllocatedBy([] {
              Harness h(OneFileOfChunks(kChunks));
              h.AddSeed(1);
              h.Decide();
              h.Deliver(1);
              h.Decide();
              EXPECT_GT(h.queue[1].size(), 1u);
              EXPECT_EQ(h.swarm.bytes_have(), ByteCount(limits::kChunkBytes));
              EXPECT_EQ(h.swarm.useful_links(), 1);
            }),
            24 * kMiB);
}

TEST(SwarmMemory, V04_HashesThatAreNotKnownCostNothing) {
  EXPECT_LT(BytesAllocatedBy([] {
              Swarm swarm(OneFileOfChunks(kChunks), ChunkSet(kChunks), 1, limits::kLeavesPerChunk,
                          Swarm::Hashes::kUnknown);
              swarm.AddLink(LinkId(1), LinkTraits(), absl::UnixEpoch());
              swarm.OnHave(LinkId(1), ChunkIndex(0), kChunks);
              EXPECT_TRUE(swarm.Decide(absl::UnixEpoch()).requests.empty());
              swarm.SetKnown(ChunkIndex(8'192), 8'192, true);
              const Commands commands = swarm.Decide(absl::UnixEpoch());
              ASSERT_EQ(commands.requests.size(), 1u);
              EXPECT_EQ(commands.requests[0].first.value() / 8'192, 1u);
            }),
            24 * kMiB);
}

TEST(SwarmMemory, V04_LinksThatHaveSomeOfAPebibyteAreCountedByRuns) {
  EXPECT_LT(BytesAllocatedBy([] {
              Harness h(OneFileOfChunks(kChunks));
              h.Add(1);
              h.Have(1, 1, kChunks - 1);
              h.Add(2);
              h.Have(2, 0, kChunks / 2);
              h.Have(2, kChunks / 2 + 100'000, 7);
              h.AddSeed(3);
              h.swarm.OnLost(LinkId(3), ChunkIndex(12), 1);
              h.Decide();
              EXPECT_TRUE(h.dropped.empty());
              EXPECT_EQ(h.swarm.useful_links(), 3);
              // It says so again and again, and goes.
              for (int i = 0; i < 20; ++i) h.Have(1, 1, kChunks - 1);
              h.swarm.OnLost(LinkId(2), ChunkIndex(0), kChunks);
              h.Decide();
              EXPECT_EQ(h.swarm.useful_links(), 2);
              for (uint64_t link : {1, 2, 3}) h.Remove(link);
            }),
            64 * kMiB);
}

TEST(SwarmMemory, V04_WhatIsHereOfAPebibyteIsTakenUpAsRuns) {
  EXPECT_LT(BytesAllocatedBy([] {
              ChunkSet have(kChunks);
              have.AddRun(ChunkIndex(5), kChunks - 10);
              Harness h(OneFileOfChunks(kChunks), std::move(have), 1);
              EXPECT_EQ(h.swarm.bytes_have().value(),
                        (kChunks - 10) * uint64_t{limits::kChunkBytes});
              h.AddSeed(1);
              h.Decide();
              h.Deliver(1);
              EXPECT_FALSE(h.swarm.Complete());
            }),
            24 * kMiB);
}

TEST(SwarmMemory, V04_ATallyTakesMemoryForWhatWasSent) {
  EXPECT_LT(BytesAllocatedBy([] {
              SendTally tally(kChunks);
              for (uint32_t chunk : {0u, 1u, kChunks / 2, kChunks - 1}) {
                EXPECT_EQ(tally.Of(ChunkIndex(chunk)), 0u);
                tally.Add(ChunkIndex(chunk));
                EXPECT_EQ(tally.Of(ChunkIndex(chunk)), 1u);
              }
              tally.Add(ChunkIndex(kChunks));
            }),
            4 * kMiB);
}

}  // namespace
}  // namespace p2p::swarm

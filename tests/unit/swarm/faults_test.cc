// Slow, silent, lying and absent peers.
#include <set>

#include "tests/unit/swarm/swarm_harness.h"

namespace p2p::swarm {
namespace {

TEST(SwarmFaults, C04_DropsALiarAtTheFirstBadChunkAndAsksElsewhere) {
  Harness h(OneFileOfChunks(4));
  h.AddSeed(1);
  h.Decide();
  const uint32_t bad = h.Asked(1)[0];
  ASSERT_TRUE(h.Receive(1));
  h.AddSeed(2);
  h.swarm.OnFailed(LinkId(1), ChunkIndex(bad));
  EXPECT_FALSE(h.swarm.have().Has(ChunkIndex(bad)));
  h.Decide();
  EXPECT_EQ(h.dropped[1], "sent a chunk with wrong bytes");
  EXPECT_TRUE(h.swarm.IsBanned(1));
  EXPECT_FALSE(h.swarm.IsBanned(2));
  while (!h.swarm.Complete()) {
    h.Deliver(2);
    h.Decide();
  }
}

TEST(SwarmFaults, C04_ABannedPeerIsDroppedWhenItComesBack) {
  Harness h(OneFileOfChunks(4));
  h.AddSeed(1, 77);
  h.AddSeed(2, 77);
  h.Decide();
  const uint32_t bad = h.Asked(1)[0];
  ASSERT_TRUE(h.Receive(1));
  h.swarm.OnFailed(LinkId(1), ChunkIndex(bad));
  h.Decide();
  EXPECT_EQ(h.dropped.size(), 2u);
  h.AddSeed(3, 77);
  h.Decide();
  EXPECT_EQ(h.dropped.count(3), 1u);
  EXPECT_TRUE(h.Asked(3).empty());
  EXPECT_EQ(h.swarm.useful_links(), 0);
}

TEST(SwarmFaults, C04_BlamesAPeerThatLeftBeforeItsChunkWasChecked) {
  Harness h(OneFileOfChunks(4));
  h.AddSeed(1, 77);
  h.Decide();
  const uint32_t bad = h.Asked(1)[0];
  ASSERT_TRUE(h.Receive(1));
  h.Remove(1);
  h.AddSeed(2, 78);
  h.swarm.OnFailed(LinkId(1), ChunkIndex(bad));
  EXPECT_TRUE(h.swarm.IsBanned(77));
  EXPECT_FALSE(h.swarm.IsBanned(78));
}

TEST(SwarmFaults, V01_AHostCostsOneChunkHoweverOftenItComesBack) {
  Harness h(OneFileOfChunks(100));
  int bad = 0;
  for (uint64_t link = 1; link <= 50; ++link) {
    h.AddAcceptedSeed(link, /*host=*/77);
    h.AddAcceptedSeed(1'000 + link, /*host=*/77);
    h.Decide();
    for (const uint64_t one : {link, 1'000 + link}) {
      while (!h.queue[one].empty()) {
        const uint32_t chunk = h.queue[one].front().chunk.value();
        if (!h.Receive(one)) continue;
        h.swarm.OnFailed(LinkId(one), ChunkIndex(chunk));
        ++bad;
      }
    }
    h.Decide();
  }
  EXPECT_EQ(bad, 1);
  EXPECT_EQ(h.dropped.size(), 1u) << "the others are served";
  EXPECT_EQ(h.swarm.useful_links(), 0);
}

TEST(SwarmFaults, V01_ManyConnectionsOfOneHostAreTriedOneAfterTheOther) {
  Harness h(OneFileOfChunks(100));
  for (uint64_t link = 1; link <= 10; ++link) h.AddAcceptedSeed(link, /*host=*/77);
  std::set<uint64_t> proven;
  for (int tried = 1; tried <= 10; ++tried) {
    h.Decide();
    std::vector<uint64_t> asked;
    for (uint64_t link = 1; link <= 10; ++link) {
      if (proven.count(link) == 0 && !h.queue[link].empty()) asked.push_back(link);
    }
    ASSERT_EQ(asked.size(), 1u);
    ASSERT_EQ(h.queue[asked[0]].size(), 1u);
    h.Deliver(asked[0]);
    proven.insert(asked[0]);
  }
}

TEST(SwarmFaults, V01_OneThatStallsHoldsUpTheOthersOfItsHostForAShortTime) {
  Harness h(OneFileOfChunks(100));
  for (uint64_t link = 1; link <= 2; ++link) h.AddAcceptedSeed(link, /*host=*/77);
  h.Decide();
  ASSERT_EQ(h.queue[1].size() + h.queue[2].size(), 1u);
  const uint64_t other = h.queue[1].empty() ? 1 : 2;
  h.Pass(limits::kSnubTimeout);
  h.Decide();
  EXPECT_EQ(h.queue[other].size(), 1u);
}

TEST(SwarmFaults, V01_WhoHasBroughtGoodChunksIsNotBlamedForAnotherOfItsHost) {
  Harness h(OneFileOfChunks(100));
  h.AddAcceptedSeed(1, /*host=*/77);
  h.Decide();
  h.Deliver(1);
  h.AddAcceptedSeed(2, /*host=*/77);
  h.Decide();
  const uint32_t bad = h.queue[2].front().chunk.value();
  ASSERT_TRUE(h.Receive(2));
  h.swarm.OnFailed(LinkId(2), ChunkIndex(bad));
  h.Decide();
  EXPECT_EQ(h.dropped.count(2), 1u);
  EXPECT_EQ(h.dropped.count(1), 0u);
  while (!h.swarm.Complete()) {
    h.Deliver(1);
    h.Decide();
  }
}

TEST(SwarmFaults, V01_ANetworkThatLiedIsTriedOneHostAfterTheOther) {
  Harness h(OneFileOfChunks(100));
  h.AddAcceptedSeed(1, /*host=*/1);
  h.Decide();
  const uint32_t bad = h.Asked(1)[0];
  ASSERT_TRUE(h.Receive(1));
  h.swarm.OnFailed(LinkId(1), ChunkIndex(bad));
  for (uint64_t link = 2; link <= 9; ++link) h.AddAcceptedSeed(link, /*host=*/link);
  h.AddAcceptedSeed(10, /*host=*/10, /*network=*/2);
  h.Decide();
  size_t asked = 0;
  for (uint64_t link = 2; link <= 9; ++link) asked += h.queue[link].size();
  EXPECT_EQ(asked, 1u) << "and none of them is banned";
  EXPECT_EQ(h.queue[10].size(), 1u);
}

TEST(SwarmFaults, C04_TakesNothingMoreFromADroppedLink) {
  Harness h(OneFileOfChunks(20));
  h.AddSeed(1);
  h.Prove(1);
  h.Decide();
  const uint32_t bad = h.Asked(1)[0];
  ASSERT_TRUE(h.Receive(1));
  h.swarm.OnFailed(LinkId(1), ChunkIndex(bad));
  EXPECT_FALSE(h.Receive(1));
}

TEST(SwarmFaults, C07_ATricklingLinksChunkIsAskedOfAnother) {
  Harness h(OneFileOfChunks(2));
  h.AddSeed(1);
  h.AddSeed(2);
  h.Decide();
  h.Deliver(2);
  h.Decide();
  const uint32_t late = h.Asked(1)[0];
  for (int second = 0; second < 10 && h.Asked(2).empty(); ++second) {
    h.Pass(absl::Seconds(1));
    h.swarm.OnProgress(LinkId(1), ByteCount(1), h.now);
    h.Decide();
  }
  EXPECT_EQ(h.Asked(2), std::vector<uint32_t>{late});
  h.Deliver(2);
  EXPECT_TRUE(h.swarm.Complete());
  h.Decide();
  ASSERT_EQ(h.last.cancels.size(), 1u);
  EXPECT_EQ(h.last.cancels[0].link, LinkId(1));
  EXPECT_EQ(h.last.cancels[0].part, ChunkIndex(late));
}

TEST(SwarmFaults, C08_TheSecondDeliveryOfAChunkIsDroppedAndCountedOnce) {
  Harness h(OneFileOfChunks(1));
  h.AddSeed(1);
  h.Decide();
  h.AddSeed(2);
  h.Pass(limits::kSnubTimeout);
  h.Decide();
  ASSERT_EQ(h.Asked(1), h.Asked(2));
  EXPECT_TRUE(h.ReceivePart(2, ChunkIndex(0)));
  // The cancel crosses the chunk on its way.
  EXPECT_FALSE(h.ReceivePart(1, ChunkIndex(0)));
  h.swarm.OnVerified(LinkId(2), ChunkIndex(0));
  EXPECT_EQ(h.swarm.bytes_have(), ByteCount(limits::kChunkBytes));
  EXPECT_FALSE(h.ReceivePart(1, ChunkIndex(0)));
  h.swarm.OnVerified(LinkId(1), ChunkIndex(0));
  EXPECT_EQ(h.swarm.bytes_have(), ByteCount(limits::kChunkBytes));
}

TEST(SwarmFaults, C08_ACancelledChunkIsStillTakenWhenTheFirstOneWasBad) {
  Harness h(OneFileOfChunks(1));
  h.AddSeed(1);
  h.Decide();
  h.AddSeed(2);
  h.Pass(limits::kSnubTimeout);
  h.Decide();
  ASSERT_TRUE(h.ReceivePart(2, ChunkIndex(0)));
  h.swarm.OnFailed(LinkId(2), ChunkIndex(0));
  EXPECT_TRUE(h.ReceivePart(1, ChunkIndex(0)));
  h.swarm.OnVerified(LinkId(1), ChunkIndex(0));
  EXPECT_TRUE(h.swarm.Complete());
}

TEST(SwarmFaults, C09_CompletesFromTheHonestOneOfTenAtOneBadChunkALiar) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    Harness h(OneFileOfChunks(100), seed);
    for (uint64_t link = 1; link <= 10; ++link) h.AddSeed(link);
    std::map<uint64_t, int> bad_chunks;
    for (int round = 0; round < 200 && !h.swarm.Complete(); ++round) {
      h.Pass(absl::Milliseconds(10));
      h.Decide();
      // Everything asked for comes before the first verdict.
      std::vector<std::pair<uint64_t, uint32_t>> received;
      for (uint64_t link = 1; link <= 10; ++link) {
        while (!h.queue[link].empty()) {
          const uint32_t chunk = h.queue[link].front().chunk.value();
          if (h.Receive(link)) received.push_back({link, chunk});
          h.Decide();
        }
      }
      for (const auto& [link, chunk] : received) {
        if (link == 10) {
          h.swarm.OnVerified(LinkId(link), ChunkIndex(chunk));
        } else {
          h.swarm.OnFailed(LinkId(link), ChunkIndex(chunk));
          ++bad_chunks[link];
        }
      }
    }
    EXPECT_TRUE(h.swarm.Complete());
    EXPECT_EQ(h.dropped.size(), 9u);
    for (const auto& [link, count] : bad_chunks) EXPECT_EQ(count, 1) << "link " << link;
  }
}

TEST(SwarmFaults, C12_ALinkThatTellsTheSameAgainAndAgainIsDropped) {
  Harness h(OneFileOfChunks(100));
  h.AddSeed(1);
  h.Add(2);
  h.Add(3);
  // Each chunk, and what belongs to it, is told some times by everybody.
  for (uint32_t chunk = 0; chunk < 100; ++chunk) {
    for (int i = 0; i < 30; ++i) h.Have(2, chunk);
  }
  for (uint64_t told = 0; told < limits::kMaxToldPerChunk * 100 + 100; told += 99) h.Have(3, 0, 99);
  h.Decide();
  EXPECT_EQ(h.dropped.count(1), 0u);
  EXPECT_EQ(h.dropped.count(2), 0u);
  ASSERT_EQ(h.dropped.count(3), 1u);
  EXPECT_EQ(h.dropped[3], "tells what it has again and again");
  EXPECT_FALSE(h.swarm.IsBanned(3)) << "it sent nothing wrong";
}

TEST(SwarmFaults, C12_StormsOfOneOriginAreEndedHoweverOftenItConnects) {
  constexpr uint32_t kChunks = 10'000;
  Harness h(OneFileOfChunks(kChunks));
  LinkTraits traits;
  traits.origin = 7;
  uint64_t changes = 0;
  uint64_t link = 1;
  // Another behind the same host, which brings what it tells of.
  traits.peer = link;
  h.swarm.AddLink(LinkId(link), traits, h.now);
  h.Have(link, 0, 8);
  h.Decide();
  h.Prove(link);
  const auto storm = [&] {
    traits.peer = ++link;
    h.swarm.AddLink(LinkId(link), traits, h.now);
    // No more than one connection may.
    for (uint64_t i = 0; i < limits::kMaxLostPerChunk; ++i) {
      h.Have(link, 0, kChunks - 1);
      h.swarm.OnLost(LinkId(link), ChunkIndex(0), kChunks - 1);
      changes += 2 * kChunks;
    }
    h.Decide();
    const bool dropped = h.dropped.count(link) > 0;
    h.Remove(link);
    return !dropped;
  };
  while (storm()) ASSERT_LE(changes, 2 * limits::kMaxChangesPerChunk * kChunks);
  EXPECT_EQ(h.dropped[link], "changes what it has again and again");
  EXPECT_FALSE(storm());
  h.Have(1, 8);
  h.Decide();
  EXPECT_EQ(h.dropped.count(1), 0u) << "it brought something";
  traits.origin = 8;
  EXPECT_TRUE(storm()) << "another one's";
  traits.origin = 7;
  h.Pass(limits::kChangesMemory);
  EXPECT_TRUE(storm());
}

TEST(SwarmFaults, C10_WithoutPeersItSleeps) {
  Harness h(OneFileOfChunks(100));
  h.Decide();
  EXPECT_EQ(h.swarm.NextWake(), absl::InfiniteFuture());
  EXPECT_FALSE(h.swarm.Complete());
  h.Add(1);
  h.Decide();
  EXPECT_EQ(h.swarm.NextWake(), absl::InfiniteFuture());
}

TEST(SwarmFaults, C10_WithOnlyLiarsItStaysIncompleteAndSleeps) {
  Harness h(OneFileOfChunks(100));
  for (uint64_t link = 1; link <= 5; ++link) h.AddSeed(link);
  h.Decide();
  for (uint64_t link = 1; link <= 5; ++link) {
    const uint32_t chunk = h.queue[link].front().chunk.value();
    ASSERT_TRUE(h.Receive(link));
    h.swarm.OnFailed(LinkId(link), ChunkIndex(chunk));
  }
  h.Decide();
  EXPECT_EQ(h.dropped.size(), 5u);
  EXPECT_FALSE(h.swarm.Complete());
  EXPECT_EQ(h.swarm.NextWake(), absl::InfiniteFuture());
}

TEST(SwarmFaults, C10_ALinkThatRefusesEverythingIsAskedSeldom) {
  Harness h(OneFileOfChunks(1'000));
  h.AddSeed(1);
  int asked = 0;
  int wakes = 0;
  const absl::Time end = h.now + absl::Minutes(10);
  while (h.now < end) {
    h.Decide();
    ++wakes;
    for (; !h.queue[1].empty(); ++asked) h.Reject(1);
    const absl::Time wake = h.swarm.NextWake();
    // Answers bring the engine back at once.
    h.now = std::min(end, std::max(wake, h.now + absl::Milliseconds(1)));
    if (h.last.requests.empty()) {
      ASSERT_LT(h.now, absl::InfiniteFuture());
    } else {
      h.now = std::min(end, h.now);
    }
  }
  // At most kMaxRejectedChunks for each back-off of 3, 6, 12, 24, 48, 48 ... seconds.
  EXPECT_LT(asked, 20 * static_cast<int>(limits::kMaxRejectedChunks));
  EXPECT_GT(asked, 0);
  EXPECT_LT(wakes, 10'000);
}

TEST(SwarmFaults, HaveEndsTheBackOffAfterARefusal) {
  Harness h(OneFileOfChunks(1));
  h.AddSeed(1);
  h.Decide();
  h.Reject(1);
  h.Decide();
  EXPECT_TRUE(h.Asked(1).empty());
  h.Have(1, 0);
  h.Decide();
  EXPECT_EQ(h.Asked(1), std::vector<uint32_t>{0});
}

TEST(Snubbing, StartsExactlyAtTheTimeoutAndEndsWithProgress) {
  Harness h(OneFileOfChunks(100));
  h.AddSeed(1);
  h.Prove(1);
  h.Decide();
  ASSERT_EQ(h.Asked(1).size(), 8u);
  const std::vector<uint32_t> stalled = h.Asked(1);
  EXPECT_EQ(h.swarm.NextWake(), h.now + limits::kSnubTimeout);
  h.AddSeed(2);
  h.Prove(2);
  h.Pass(limits::kSnubTimeout - absl::Nanoseconds(1));
  h.Decide();
  while (!h.queue[2].empty()) h.Deliver(2);
  std::set<uint32_t> again;
  h.Pass(absl::Nanoseconds(1));
  while (h.swarm.have().count() < 92 + 1) {
    h.Decide();
    while (!h.queue[2].empty()) again.insert(h.Deliver(2));
  }
  size_t shared = 0;
  for (uint32_t chunk : stalled) shared += again.count(chunk);
  EXPECT_GT(shared, 0u);
  EXPECT_TRUE(h.dropped.empty());
}

TEST(Snubbing, ShrinksTheWindowToOneChunkUntilProgress) {
  Harness h(OneFileOfChunks(1'000));
  h.AddSeed(1);
  h.Prove(1);
  h.Decide();
  ASSERT_EQ(h.Asked(1).size(), 8u);
  h.Pass(limits::kSnubTimeout);
  h.Decide();
  EXPECT_EQ(h.swarm.NextWake(), absl::InfiniteFuture());
  // A byte is no progress; a leaf is, and the chunks are the link's again.
  h.swarm.OnProgress(LinkId(1), ByteCount(1), h.now);
  h.Decide();
  EXPECT_EQ(h.swarm.NextWake(), absl::InfiniteFuture());
  for (int i = 0; i < 7; ++i) h.swarm.OnRejected(LinkId(1), ChunkIndex(h.Asked(1)[i]), h.now);
  h.Decide();
  EXPECT_TRUE(h.last.requests.empty());
  h.swarm.OnProgress(LinkId(1), ByteCount(limits::kLeafBytes), h.now);
  h.Decide();
  // The floor of 2 MiB is 4 chunks.
  ASSERT_FALSE(h.last.requests.empty());
  EXPECT_EQ(h.Asked(1).size() - 7, 4u);
}

TEST(Endgame, AsksAnIdleLinkForALateChunkOnlyOnce) {
  Harness h(OneFileOfChunks(20));
  for (uint64_t link = 1; link <= 3; ++link) h.AddSeed(link);
  // Links 2 and 3 are quick; link 1 brings its first chunk and then nothing.
  h.Decide();
  for (uint64_t link = 1; link <= 3; ++link) h.Deliver(link);
  h.Decide();
  const std::vector<uint32_t> held = h.Asked(1);
  ASSERT_GE(held.size(), 2u);
  std::map<uint32_t, int> duplicates;
  for (int i = 0; i < 40; ++i) {
    h.Pass(absl::Milliseconds(100));
    for (uint64_t link = 2; link <= 3; ++link) {
      // The duplicates stay unanswered.
      while (!h.queue[link].empty() &&
             std::find(held.begin(), held.end(), h.queue[link].front().chunk.value()) ==
                 held.end()) {
        h.Deliver(link);
      }
    }
    h.Decide();
    for (const RequestChunks& request : h.last.requests) {
      for (uint32_t k = 0; k < request.count; ++k) {
        const uint32_t chunk = request.first.value() + k;
        if (std::find(held.begin(), held.end(), chunk) != held.end()) ++duplicates[chunk];
      }
    }
  }
  EXPECT_EQ(duplicates.size(), 2u);
  for (const auto& [chunk, count] : duplicates) EXPECT_EQ(count, 1) << chunk;
}

TEST(Endgame, AsksNoThirdLinkForAChunkThatTwoAreBringingSlowly) {
  Harness h(OneFileOfChunks(1));
  h.AddSeed(1);
  h.Decide();
  h.AddSeed(2);
  for (int second = 0; second < 40; second += 2) {
    h.Pass(absl::Seconds(2));
    h.swarm.OnProgress(LinkId(1), ByteCount(limits::kLeafBytes), h.now);
    h.swarm.OnProgress(LinkId(2), ByteCount(limits::kLeafBytes / 2), h.now);
    h.Decide();
    if (second == 10) h.AddSeed(3);
  }
  EXPECT_EQ(h.Asked(1), std::vector<uint32_t>{0});
  EXPECT_EQ(h.Asked(2), std::vector<uint32_t>{0});
  EXPECT_TRUE(h.Asked(3).empty());
}

TEST(Endgame, CancelsTheOtherRequestWhenOneArrives) {
  Harness h(OneFileOfChunks(1));
  h.AddSeed(1);
  h.Decide();
  h.AddSeed(2);
  h.Pass(absl::Seconds(4));
  h.Decide();
  ASSERT_EQ(h.Asked(2), std::vector<uint32_t>{0});
  ASSERT_TRUE(h.Receive(1));
  h.Decide();
  ASSERT_EQ(h.last.cancels.size(), 1u);
  EXPECT_EQ(h.last.cancels[0].link, LinkId(2));
  h.swarm.OnVerified(LinkId(1), ChunkIndex(0));
  EXPECT_TRUE(h.swarm.Complete());
  h.Decide();
  EXPECT_EQ(h.swarm.NextWake(), absl::InfiniteFuture());
}

TEST(Endgame, DoesNotDuplicateWhatIsOnTime) {
  Harness h(OneFileOfChunks(40));
  h.AddSeed(1);
  h.AddSeed(2);
  int received = 0;
  while (!h.swarm.Complete()) {
    h.Pass(absl::Milliseconds(5));
    h.Decide();
    for (uint64_t link = 1; link <= 2; ++link) {
      if (h.queue[link].empty()) continue;
      h.Deliver(link);
      ++received;
    }
  }
  EXPECT_EQ(received, 40);
  EXPECT_TRUE(h.queue[1].empty() && h.queue[2].empty());
}

}  // namespace
}  // namespace p2p::swarm

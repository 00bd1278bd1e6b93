// What waits to be sent, in which order it leaves, and how much of it stands ready.
#include "daemon/session/serve_queue.h"

#include <algorithm>
#include <deque>
#include <random>

#include "daemon/session/peer_session.h"
#include "gtest/gtest.h"

namespace p2p::session {
namespace {

constexpr uint32_t kMost = 40;

ChunkPart Part(uint32_t chunk, uint32_t first_leaf, uint32_t leaf_count = 4) {
  return {ChunkIndex(chunk), first_leaf, leaf_count};
}

std::vector<ChunkPart> TakeAll(ServeQueue* queue, SendTally* tally) {
  std::vector<ChunkPart> taken;
  while (const absl::optional<ChunkPart> next = queue->TakeNext(tally)) {
    taken.push_back(*next);
    if (tally != nullptr) tally->Add(*next);
  }
  return taken;
}

// The same as ServeQueue, one entry for each chunk or range.
struct PlainQueue {
  std::deque<ChunkPart> waiting;

  uint32_t Add(ChunkRun run) {
    const uint32_t taken = std::min<uint32_t>(run.count, kMost - waiting.size());
    for (uint32_t i = 0; i < taken; ++i) waiting.emplace_back(ChunkIndex(run.first + i));
    return taken;
  }
  bool Add(const ChunkPart& part) {
    if (waiting.size() == kMost) return false;
    waiting.push_back(part);
    return true;
  }
  uint32_t Cancel(ChunkRun run) {
    const size_t before = waiting.size();
    waiting.erase(std::remove_if(waiting.begin(), waiting.end(),
                                 [&](const ChunkPart& part) {
                                   return part.whole() && part.chunk.value() >= run.first &&
                                          part.chunk.value() < run.first + run.count;
                                 }),
                  waiting.end());
    return static_cast<uint32_t>(before - waiting.size());
  }
  bool Cancel(const ChunkPart& part) {
    const auto at = std::find(waiting.begin(), waiting.end(), part);
    if (at == waiting.end()) return false;
    waiting.erase(at);
    return true;
  }
  absl::optional<ChunkPart> TakeNext(const SendTally* tally) {
    if (waiting.empty()) return absl::nullopt;
    auto best = waiting.begin();
    if (tally != nullptr) {
      best = std::min_element(
          waiting.begin(), waiting.end(),
          [&](const ChunkPart& a, const ChunkPart& b) { return tally->Of(a) < tally->Of(b); });
    }
    const ChunkPart taken = *best;
    waiting.erase(best);
    return taken;
  }
};

void UseAtRandom(uint32_t seed, SendTally* tally) {
  std::mt19937 random(seed);
  ServeQueue queue;
  PlainQueue plain;
  for (int step = 0; step < 100; ++step) {
    const ChunkRun run{static_cast<uint32_t>(random() % 30),
                       static_cast<uint32_t>(random() % 8 + 1)};
    const ChunkPart part = Part(run.first, random() % 8 * 4);
    switch (random() % 6) {
      case 0:
        EXPECT_EQ(queue.Add(run, kMost), plain.Add(run));
        break;
      case 1:
        EXPECT_EQ(queue.Add(part, kMost), plain.Add(part));
        break;
      case 2: {
        uint32_t cancelled = 0;
        for (const ChunkRun& gone : queue.Cancel(run)) cancelled += gone.count;
        EXPECT_EQ(cancelled, plain.Cancel(run));
        break;
      }
      case 3:
        EXPECT_EQ(queue.Cancel(part), plain.Cancel(part));
        break;
      default: {
        const absl::optional<ChunkPart> next = queue.TakeNext(tally);
        EXPECT_EQ(next, plain.TakeNext(tally));
        if (next && tally != nullptr) tally->Add(*next);
      }
    }
    ASSERT_EQ(queue.size(), plain.waiting.size());
  }
}

TEST(ServeQueue, GivesTheSameAsAPlainListWouldUnderRandomUse) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    UseAtRandom(seed, nullptr);
    SendTally tally(30);
    UseAtRandom(seed, &tally);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(ServeQueue, SendsInTheOrderOfTheRequestsWithoutATally) {
  ServeQueue queue;
  queue.Add({5, 2}, kMost);
  queue.Add(Part(1, 8), kMost);
  queue.Add({7, 1}, kMost);
  EXPECT_EQ(TakeAll(&queue, nullptr),
            (std::vector<ChunkPart>{ChunkIndex(5), ChunkIndex(6), Part(1, 8), ChunkIndex(7)}));
}

TEST(ServeQueue, SendsFirstWhatWasSentLeastAndOfThoseTheFirst) {
  SendTally tally(10);
  for (int i = 0; i < 2; ++i) tally.Add(ChunkIndex(0));
  tally.Add(ChunkIndex(1));
  tally.Add(Part(3, 8));
  ServeQueue queue;
  queue.Add({0, 5}, kMost);
  queue.Add(Part(3, 8), kMost);
  queue.Add(Part(3, 12), kMost);
  EXPECT_EQ(TakeAll(&queue, &tally),
            (std::vector<ChunkPart>{ChunkIndex(2), ChunkIndex(4), Part(3, 12), ChunkIndex(1),
                                    ChunkIndex(3), ChunkIndex(0), Part(3, 8)}));
}

TEST(ServeQueue, ComparesOnlyTheFirstOfVeryMany) {
  SendTally tally(1'000);
  for (uint32_t chunk = 0; chunk < 64; ++chunk) tally.Add(ChunkIndex(chunk));
  ServeQueue queue;
  queue.Add({0, 1'000}, 1'000);
  EXPECT_EQ(queue.TakeNext(&tally), absl::optional<ChunkPart>(ChunkIndex(0)));
  EXPECT_EQ(queue.TakeNext(&tally), absl::optional<ChunkPart>(ChunkIndex(64)));
}

TEST(ServeQueue, CancelsJustTheRangeThatWasAskedFor) {
  ServeQueue queue;
  queue.Add(Part(1, 8), kMost);
  queue.Add({1, 1}, kMost);
  queue.Add(Part(1, 8, 8), kMost);
  EXPECT_FALSE(queue.Cancel(Part(1, 12)));
  EXPECT_TRUE(queue.Cancel(Part(1, 8)));
  EXPECT_FALSE(queue.Cancel(Part(1, 8)));
  EXPECT_EQ(queue.Cancel({1, 1}).size(), 1u) << "the chunk is a request of its own";
  EXPECT_EQ(queue.size(), 1u);
  EXPECT_EQ(TakeAll(&queue, nullptr), std::vector<ChunkPart>{Part(1, 8, 8)});
}

TEST(ServeQueue, TakesNoMoreThanItMay) {
  ServeQueue queue;
  EXPECT_EQ(queue.Add({0, 10}, 4), 4u);
  EXPECT_FALSE(queue.Add(Part(9, 0), 4));
  EXPECT_EQ(queue.Add({10, 1}, 4), 0u);
  queue.TakeNext(nullptr);
  EXPECT_TRUE(queue.Add(Part(9, 0), 4));
}

// A connection that sends parts of `length` bytes at `rate` bytes a second, and has always more to
// send.
class Sending {
 public:
  Sending(ServeWindow* window, uint32_t length, absl::Time* now)
      : window_(window), length_(length), now_(now) {}

  // Returns the least and the most bytes that stood ready after filling up.
  std::pair<uint64_t, uint64_t> Run(double rate, absl::Duration time) {
    std::pair<uint64_t, uint64_t> ready(UINT64_MAX, 0);
    const absl::Duration step = absl::Milliseconds(1);
    for (absl::Duration t; t < time; t += step) {
      while (window_->HasRoom()) {
        window_->OnAsked();
        put_ += length_;
        window_->OnPrepared(length_, put_, *now_);
      }
      ready.first = std::min(ready.first, put_ - static_cast<uint64_t>(sent_));
      ready.second = std::max(ready.second, put_ - static_cast<uint64_t>(sent_));
      *now_ += step;
      sent_ = std::min<double>(put_, sent_ + rate * absl::ToDoubleSeconds(step));
      window_->OnSentUpTo(static_cast<uint64_t>(sent_), *now_);
    }
    return ready;
  }

 private:
  ServeWindow* window_;
  const uint32_t length_;
  absl::Time* now_;
  uint64_t put_ = 0;
  double sent_ = 0;
};

constexpr uint32_t kPartBytes = 64 << 10;
constexpr uint64_t kMostAhead = uint64_t{PeerSession::kServeAhead} * limits::kChunkBytes;

TEST(ServeWindow, BeginsWithTheLeastAndGrowsToFourChunksOnAFastLink) {
  ServeWindow window;
  EXPECT_EQ(window.ahead_bytes(), limits::kMinSendAheadBytes);
  absl::Time now = absl::UnixEpoch() + absl::Hours(1);
  Sending sending(&window, limits::kChunkBytes, &now);
  sending.Run(1e9, absl::Milliseconds(100));
  EXPECT_EQ(window.ahead_bytes(), kMostAhead);
  const uint64_t most = sending.Run(1e9, absl::Seconds(1)).second;
  EXPECT_LE(most, kMostAhead);
  EXPECT_GT(most, kMostAhead - limits::kChunkBytes);
}

TEST(ServeWindow, HoldsWhatLeavesInAMoment) {
  ServeWindow window;
  absl::Time now = absl::UnixEpoch() + absl::Hours(1);
  Sending sending(&window, kPartBytes, &now);
  sending.Run(12.5e6, absl::Seconds(1));
  // 25 ms of 100 Mbit/s.
  EXPECT_NEAR(window.ahead_bytes(), 312'500, 100'000);
}

TEST(ServeWindow, ShrinksToOnePartOnASlowLink) {
  ServeWindow window;
  absl::Time now = absl::UnixEpoch() + absl::Hours(1);
  Sending sending(&window, kPartBytes, &now);
  sending.Run(1e9, absl::Seconds(1));
  EXPECT_EQ(window.ahead_bytes(), kMostAhead);
  // What stood ready of it leaves first.
  sending.Run(100e3, absl::Seconds(60));
  EXPECT_EQ(window.ahead_bytes(), limits::kMinSendAheadBytes);
  EXPECT_EQ(sending.Run(100e3, absl::Seconds(10)).second, kPartBytes);
}

TEST(ServeWindow, V08_DoesNotShrinkWhereAllLeavesAtOnceOfALoopThatIsBusy) {
  ServeWindow window;
  absl::Time now = absl::UnixEpoch() + absl::Hours(1);
  Sending(&window, kPartBytes, &now).Run(1e9, absl::Seconds(1));
  ASSERT_EQ(window.ahead_bytes(), kMostAhead);
  ServeWindow busy = window;
  uint64_t put = 1'000'000'000'000;
  busy.OnSentUpTo(put, now);
  for (int turn = 0; turn < 20; ++turn) {
    while (busy.HasRoom()) {
      busy.OnAsked();
      put += kPartBytes;
      busy.OnPrepared(kPartBytes, put, now);
    }
    now += absl::Milliseconds(150);
    busy.OnSentUpTo(put, now);
  }
  EXPECT_EQ(busy.ahead_bytes(), kMostAhead);
}

TEST(ServeWindow, AlwaysLetsOneStandReadyHoweverLargeAndSlow) {
  for (const double rate : {100.0, 1e4, 1e9}) {
    ServeWindow window;
    absl::Time now = absl::UnixEpoch() + absl::Hours(1);
    Sending sending(&window, limits::kChunkBytes, &now);
    for (int i = 0; i < 20; ++i) {
      EXPECT_GT(sending.Run(rate, absl::Milliseconds(500)).first, 0u) << rate;
    }
  }
}

TEST(ServeWindow, HoldsNoMoreThanSoManySmallOnes) {
  ServeWindow window;
  absl::Time now = absl::UnixEpoch() + absl::Hours(1);
  Sending sending(&window, limits::kLeafBytes, &now);
  sending.Run(1e9, absl::Seconds(1));
  EXPECT_EQ(window.ahead_bytes(), kMostAhead);
  EXPECT_EQ(sending.Run(1e9, absl::Seconds(1)).second, uint64_t{64} * limits::kLeafBytes);
}

TEST(ServeWindow, CountsWhatIsBeingPreparedAndForgetsWhatIsRefused) {
  ServeWindow window;
  EXPECT_TRUE(window.HasRoom());
  window.OnAsked();
  EXPECT_FALSE(window.HasRoom());
  EXPECT_EQ(window.preparing(), 1);
  window.OnRefused();
  EXPECT_TRUE(window.HasRoom());
  EXPECT_EQ(window.preparing(), 0);
}

}  // namespace
}  // namespace p2p::session

// Two sessions that talk to each other through a pipe in memory that cuts the bytes anywhere.
#include <random>

#include "gmock/gmock.h"
#include "tests/unit/session/fake_share.h"

namespace p2p::session {
namespace {

// Two harnesses; what one says the other hears, in random pieces, with random pauses between.
class Pipe {
 public:
  Pipe(PeerSessionOptions dialler, uint32_t seed, size_t pool_bytes)
      : random_(seed), d(std::move(dialler), pool_bytes), a(Accepted(), pool_bytes) {
    d.sends_at_once = a.sends_at_once = false;
    d.scratch_bytes = 1 + random_() % 20'000;
    a.scratch_bytes = 1 + random_() % 20'000;
  }

  // Until nobody has anything to say.
  void Run(FakeShare* d_share, FakeShare* a_share) {
    for (int idle = 0; idle < 3;) {
      const bool d_moved = Move(&d, &a);
      const bool moved = Move(&a, &d) || d_moved;
      d_share->Answer(&d);
      a_share->Answer(&a);
      idle = moved ? 0 : idle + 1;
      if (random_() % 8 == 0) {
        d.Advance(absl::Milliseconds(1));
        a.Advance(absl::Milliseconds(1));
      }
    }
  }

 private:
  bool Move(Harness* from, Harness* to) {
    from->Pump();
    const size_t most = 1 + (random_() % 3 == 0 ? random_() % 10 : random_() % 300'000);
    from->Send(most);
    const std::string bytes = std::exchange(from->said, "");
    to->Feed(bytes);
    return !bytes.empty() || to->unread_bytes() > 0;
  }

  std::mt19937 random_;

 public:
  Harness d;
  Harness a;
};

std::shared_ptr<const TestContent> SomeContent() {
  static const auto* const content = new std::shared_ptr<const TestContent>(
      std::make_shared<TestContent>("some file", Pattern(5 * limits::kChunkBytes + 12'345)));
  return *content;
}

std::vector<uint32_t> Lengths(const TestContent& content) {
  std::vector<uint32_t> lengths;
  for (const std::string& chunk : content.chunks)
    lengths.push_back(static_cast<uint32_t>(chunk.size()));
  return lengths;
}

TEST(SessionPipe, BothSidesFetchTheSameHoweverTheBytesAreCut) {
  std::vector<std::string> expected;
  for (uint32_t seed = 0; seed < 12; ++seed) {
    // The smallest pool has room for one chunk: every second one waits.
    Pipe pipe(Dialled(), seed, seed % 2 == 0 ? limits::kChunkPoolBytes : limits::kChunkBytes);
    FakeShare d_share(SomeContent(), false);
    FakeShare a_share(SomeContent(), true);
    d_share.have.Add(ChunkIndex(3));
    pipe.d.session.Open(SomeContent()->manifest->content_id());
    pipe.d.session.AskManifest(8'192);
    pipe.d.session.AskWhich("some file");
    pipe.Run(&d_share, &a_share);
    pipe.d.session.AskPeers();
    pipe.d.session.Subscribe();
    pipe.a.session.Subscribe();
    pipe.Run(&d_share, &a_share);
    pipe.d.session.RequestChunks(ChunkIndex(0), Lengths(*SomeContent()), pipe.d.now);
    pipe.a.session.RequestChunks(ChunkIndex(3), std::vector<uint32_t>{limits::kChunkBytes},
                                 pipe.a.now);
    pipe.d.session.Cancel(ChunkIndex(5));
    pipe.Run(&d_share, &a_share);
    EXPECT_EQ(d_share.have.count(), 5u);
    EXPECT_EQ(pipe.d.session.requested() + pipe.a.session.requested(), 0);
    EXPECT_EQ(d_share.progress, 5 * limits::kChunkBytes);
    EXPECT_EQ(pipe.d.pool->leased_bytes(), 0u);
    EXPECT_THAT(a_share.log, ::testing::Contains("chunk 3"));
    if (seed == 0) expected = d_share.log;
    EXPECT_EQ(d_share.log, expected) << seed;
  }
  EXPECT_THAT(expected,
              ::testing::ElementsAre("hello p2pd/test", "open 1", "manifest", "hashes 0 6",
                                     "which 1", "peers 2", "have 0 6", "rejected 5 499", "chunk 0",
                                     "chunk 1", "chunk 2", "chunk 3", "chunk 4"));
}

// All of these parts of some content, one side of the other.
void FetchLeaves(uint32_t seed, const std::vector<ChunkPart>& parts, FakeShare* to,
                 FakeShare* from) {
  Pipe pipe(Dialled(), seed, limits::kChunkPoolBytes);
  pipe.d.session.Open(SomeContent()->manifest->content_id());
  pipe.d.session.SetChunkCount(SomeContent()->chunk_count());
  pipe.Run(to, from);
  for (const ChunkPart& part : parts) {
    const size_t length = SomeContent()->BytesOf(part).size();
    pipe.d.session.RequestLeaves(part, static_cast<uint32_t>(length), pipe.d.now);
  }
  pipe.Run(to, from);
  EXPECT_EQ(pipe.d.session.requested(), 0);
  EXPECT_EQ(pipe.d.pool->leased_bytes(), 0u);
}

TEST(SessionPipe, PassesLeavesOnBeforeTheirChunkIsWhole) {
  const ChunkPart half(ChunkIndex(2), 16, 16);
  const ChunkPart eighth(ChunkIndex(2), 4, 4);
  const ChunkPart last(ChunkIndex(5), 0, 8);  // of 12,345 bytes
  const ChunkPart missing(ChunkIndex(2), 0, 4);
  for (uint32_t seed = 0; seed < 6; ++seed) {
    FakeShare everything(SomeContent(), true);
    FakeShare between(SomeContent(), false);
    FakeShare far(SomeContent(), false);
    between.knows_manifest = true;
    FetchLeaves(seed, {half, eighth, last}, &between, &everything);
    EXPECT_EQ(between.parts, (std::set<ChunkPart>{half, eighth, last}));
    FetchLeaves(seed, {half, eighth, last, missing}, &far, &between);
    EXPECT_EQ(far.parts, between.parts);
    EXPECT_THAT(far.log, ::testing::Contains("rejected 2 0 4 409"));
    EXPECT_TRUE(far.have.None());
  }
}

TEST(SessionPipe, FetchesThroughTheOriginalProtocolHoweverTheBytesAreCut) {
  for (uint32_t seed = 0; seed < 6; ++seed) {
    Pipe pipe(DialledOriginal(), seed, limits::kChunkBytes);
    FakeShare d_share(SomeContent(), false);
    FakeShare a_share(SomeContent(), true);
    const std::vector<uint32_t> lengths = Lengths(*SomeContent());
    for (uint32_t i = 0; i < lengths.size(); ++i) {
      pipe.d.session.RequestOriginalChunk("some file", ChunkIndex(i), lengths[i], pipe.d.now);
      pipe.Run(&d_share, &a_share);
    }
    EXPECT_TRUE(d_share.have.All());
    EXPECT_FALSE(pipe.d.session.ended());
    pipe.a.EndOfStream();
    EXPECT_TRUE(pipe.a.session.ended());
  }
}

TEST(SessionPipe, StaysOpenWhileBothSidesAreIdle) {
  Pipe pipe(Dialled(), 1, limits::kChunkBytes);
  FakeShare d_share(SomeContent(), false);
  FakeShare a_share(SomeContent(), true);
  for (int minute = 0; minute < 60; ++minute) {
    pipe.Run(&d_share, &a_share);
    pipe.d.Advance(absl::Seconds(60));
    pipe.a.Advance(absl::Seconds(60));
  }
  EXPECT_FALSE(pipe.d.session.ended());
  EXPECT_FALSE(pipe.a.session.ended());
}

}  // namespace
}  // namespace p2p::session

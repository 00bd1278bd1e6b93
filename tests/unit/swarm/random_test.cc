// Anything may happen in any order: nothing is asked that makes no sense, and all of it gets here.
#include <random>
#include <set>

#include "tests/unit/swarm/swarm_harness.h"

namespace p2p::swarm {
namespace {

std::shared_ptr<const content::Layout> MixedFiles(std::mt19937_64* random) {
  std::vector<content::LayoutFile> files(1 + (*random)() % 8);
  for (size_t i = 0; i < files.size(); ++i) {
    files[i].path = "f" + std::to_string(100 + i);
    const uint64_t most = (*random)() % 2 == 0 ? 100'000 : 4 * limits::kChunkBytes;
    files[i].length = ByteCount((*random)() % most);
  }
  files[0].length = ByteCount(limits::kChunkBytes * 3);
  auto layout = content::Layout::Make("files", true, std::move(files));
  EXPECT_TRUE(layout.ok()) << layout.status();
  return std::make_shared<const content::Layout>(*std::move(layout));
}

// Peers and a user that do whatever the rules allow.
class Anything {
 public:
  Anything(uint64_t seed, uint32_t unit_leaves)
      : random_(seed), unit_leaves_(unit_leaves), h_(MixedFiles(&random_), seed, unit_leaves) {}

  // NOLINTNEXTLINE(readability-function-size)
  void Step() {
    h_.Pass(absl::Milliseconds(random_() % 200));
    switch (random_() % 12) {
      case 0:
        return AddPeer();
      case 1:
        return RemovePeer();
      case 2:
      case 3:
        return Tell();
      case 4:
        return Lose();
      case 5:
        return RejectOne();
      case 6:
        return Check();
      case 7:
        return LoseHere();
      default:
        Decide();
        for (uint64_t n = random_() % 6; n > 0; --n) Bring();
    }
  }

  // From now on one honest peer that has everything is there.
  void Finish() {
    while (!peers_.empty()) RemovePeer();
    while (!arrived_.empty()) Check();
    const uint64_t seed = next_peer_++;
    peers_[seed] = {true, false, {}, true};
    h_.links_know_leaves = true;
    h_.AddSeed(seed);
    for (int round = 0; round < 2'000 && !h_.swarm.Complete(); ++round) {
      h_.Pass(absl::Milliseconds(50));
      Decide();
      Bring();
      while (!arrived_.empty()) Check();
    }
    EXPECT_TRUE(h_.swarm.Complete());
    EXPECT_EQ(h_.swarm.bytes_have(), h_.layout->total_bytes());
    EXPECT_TRUE(h_.swarm.PartialChunks().empty());
    EXPECT_EQ(h_.swarm.useful_links(), 0);
  }

 private:
  struct Peer {
    bool leaves = false;
    bool lies = false;
    std::set<std::pair<uint32_t, uint32_t>> has;  // chunk, leaf
    bool has_all = false;
  };
  struct Arrived {
    uint64_t from;
    bool lie;
    ChunkPart part;
  };

  uint32_t LeavesOf(uint32_t chunk) const {
    const uint32_t length = h_.layout->ChunkLength(ChunkIndex(chunk));
    return (length + limits::kLeafBytes - 1) / limits::kLeafBytes;
  }
  uint32_t AnyChunk() { return static_cast<uint32_t>(random_() % h_.layout->chunk_count()); }
  Peer* AnyPeer(uint64_t* number) {
    if (peers_.empty()) return nullptr;
    const auto at = std::next(peers_.begin(), random_() % peers_.size());
    *number = at->first;
    return &at->second;
  }

  void AddPeer() {
    if (peers_.size() >= 5) return;
    const uint64_t number = next_peer_++;
    Peer& peer = peers_[number];
    peer.leaves = random_() % 3 != 0;
    peer.lies = random_() % 6 == 0;
    h_.links_know_leaves = peer.leaves;
    h_.Add(number);
    if (random_() % 3 != 0) return;
    peer.has_all = true;
    h_.Have(number, 0, h_.layout->chunk_count());
  }

  void RemovePeer() {
    uint64_t number = 0;
    if (AnyPeer(&number) == nullptr) return;
    h_.Remove(number);
    peers_.erase(number);
  }

  void Tell() {
    uint64_t number = 0;
    Peer* peer = AnyPeer(&number);
    if (peer == nullptr) return;
    const uint32_t chunk = AnyChunk();
    const uint32_t end = LeavesOf(chunk);
    uint32_t first = 0;
    uint32_t count = limits::kLeavesPerChunk;
    if (peer->leaves && random_() % 2 == 0) {
      first = random_() % limits::kLeavesPerChunk;
      count = 1 + random_() % (limits::kLeavesPerChunk - first);
      h_.HaveLeaves(number, {ChunkIndex(chunk), first, count});
    } else {
      h_.Have(number, chunk);
    }
    for (uint32_t leaf = first; leaf < std::min(first + count, end); ++leaf) {
      peer->has.insert({chunk, leaf});
    }
  }

  void Lose() {
    uint64_t number = 0;
    Peer* peer = AnyPeer(&number);
    if (peer == nullptr || peer->has_all) return;
    const uint32_t chunk = AnyChunk();
    h_.swarm.OnLost(LinkId(number), ChunkIndex(chunk), 1);
    for (uint32_t leaf = 0; leaf < limits::kLeavesPerChunk; ++leaf) peer->has.erase({chunk, leaf});
  }

  void Decide() {
    h_.Decide();
    ExpectSense();
    for (const auto& [number, reason] : h_.dropped) {
      const auto peer = peers_.find(number);
      if (peer == peers_.end()) continue;
      EXPECT_TRUE(peer->second.lies || !h_.swarm.IsBanned(number)) << reason;
      peers_.erase(peer);
    }
  }

  // Only what the peer has, in words that it knows, and nothing twice.
  void ExpectSense() {
    for (const RequestLeaves& request : h_.last.leaf_requests) {
      const auto peer = peers_.find(request.link.value());
      ASSERT_NE(peer, peers_.end());
      EXPECT_TRUE(peer->second.leaves);
      EXPECT_EQ(request.part.leaf_count, unit_leaves_);
      EXPECT_EQ(request.part.first_leaf % unit_leaves_, 0u);
      ExpectHas(peer->second, request.part);
    }
    for (const RequestChunks& request : h_.last.requests) {
      const auto peer = peers_.find(request.link.value());
      ASSERT_NE(peer, peers_.end());
      for (uint32_t i = 0; i < request.count; ++i) {
        const ChunkIndex chunk(request.first.value() + i);
        ExpectHas(peer->second, chunk);
        EXPECT_FALSE(h_.swarm.have().Has(chunk));
      }
    }
    for (auto& [number, asked] : h_.queue) {
      std::set<ChunkPart> once;
      for (const ChunkPart& part : asked) EXPECT_TRUE(once.insert(part).second) << part;
    }
  }

  void ExpectHas(const Peer& peer, const ChunkPart& part) {
    if (peer.has_all) return;
    const uint32_t chunk = part.chunk.value();
    const uint32_t end = part.whole()
                             ? LeavesOf(chunk)
                             : std::min(part.first_leaf + part.leaf_count, LeavesOf(chunk));
    EXPECT_LT(part.first_leaf, end);
    for (uint32_t leaf = part.first_leaf; leaf < end; ++leaf) {
      EXPECT_EQ(peer.has.count({chunk, leaf}), 1u) << part;
    }
  }

  void Bring() {
    uint64_t number = 0;
    Peer* peer = AnyPeer(&number);
    if (peer == nullptr || h_.queue[number].empty()) return;
    const size_t nth = random_() % h_.queue[number].size();
    const ChunkPart part = h_.queue[number][nth];
    h_.queue[number].erase(h_.queue[number].begin() + static_cast<std::ptrdiff_t>(nth));
    if (h_.ReceivePart(number, part)) arrived_.push_back({number, peer->lies, part});
  }

  void RejectOne() {
    uint64_t number = 0;
    if (AnyPeer(&number) == nullptr || h_.queue[number].empty()) return;
    h_.Reject(number);
  }

  void Check() {
    if (arrived_.empty()) return;
    // Workers end in any order.
    const auto at = arrived_.begin() + static_cast<std::ptrdiff_t>(random_() % arrived_.size());
    const Arrived arrived = *at;
    arrived_.erase(at);
    if (arrived.lie) {
      h_.swarm.OnFailed(LinkId(arrived.from), arrived.part);
      if (peers_.count(arrived.from) > 0) {
        EXPECT_TRUE(h_.swarm.IsBanned(arrived.from));
      }
    } else if (random_() % 10 == 0) {
      h_.swarm.OnNotStored(LinkId(arrived.from), arrived.part);
    } else {
      h_.swarm.OnVerified(LinkId(arrived.from), arrived.part);
      EXPECT_TRUE(h_.swarm.Has(arrived.part)) << arrived.part;
    }
  }

  void LoseHere() {
    if (random_() % 4 != 0) return;
    const uint32_t chunk = AnyChunk();
    h_.swarm.OnChunkLostHere(ChunkIndex(chunk));
    EXPECT_TRUE(h_.swarm.PartsOf(ChunkIndex(chunk)).empty());
  }

  std::mt19937_64 random_;
  const uint32_t unit_leaves_;
  Harness h_;
  std::map<uint64_t, Peer> peers_;
  std::deque<Arrived> arrived_;
  uint64_t next_peer_ = 1;
};

TEST(AnythingGoes, AndTheContentGetsHereFromOneHonestPeer) {
  for (const uint32_t unit_leaves : {4u, 8u, 32u}) {
    for (uint64_t seed = 0; seed < 100; ++seed) {
      SCOPED_TRACE(::testing::Message() << "seed " << seed << ", units of " << unit_leaves);
      Anything anything(seed, unit_leaves);
      for (int step = 0; step < 400; ++step) anything.Step();
      anything.Finish();
      if (::testing::Test::HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace p2p::swarm

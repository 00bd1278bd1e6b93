// A swarm under virtual time, with a record of what is asked of each link.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "core/base/limits.h"
#include "core/content/layout.h"
#include "daemon/swarm/swarm.h"
#include "gtest/gtest.h"

namespace p2p::swarm {

inline std::shared_ptr<const content::Layout> OneFile(uint64_t bytes) {
  content::LayoutFile file;
  file.path = "file";
  file.length = ByteCount(bytes);
  auto layout = content::Layout::Make("file", false, {file});
  EXPECT_TRUE(layout.ok()) << layout.status();
  return std::make_shared<const content::Layout>(*std::move(layout));
}

inline std::shared_ptr<const content::Layout> OneFileOfChunks(uint32_t chunks) {
  return OneFile(uint64_t{chunks} * limits::kChunkBytes);
}

inline std::shared_ptr<const content::Layout> SmallFiles(uint32_t count, uint64_t bytes) {
  std::vector<content::LayoutFile> files(count);
  for (uint32_t i = 0; i < count; ++i) {
    files[i].path = "f" + std::to_string(1'000'000 + i);
    files[i].length = ByteCount(bytes);
  }
  auto layout = content::Layout::Make("files", true, std::move(files));
  EXPECT_TRUE(layout.ok()) << layout.status();
  return std::make_shared<const content::Layout>(*std::move(layout));
}

class Harness {
 public:
  explicit Harness(std::shared_ptr<const content::Layout> layout_in, uint64_t seed = 1,
                   uint32_t unit_leaves = limits::kLeavesPerChunk)
      : Harness(layout_in, ChunkSet(layout_in->chunk_count()), seed, unit_leaves) {}
  Harness(std::shared_ptr<const content::Layout> layout_in, ChunkSet have, uint64_t seed,
          uint32_t unit_leaves = limits::kLeavesPerChunk)
      : layout(layout_in), swarm(layout_in, std::move(have), seed, unit_leaves) {}

  // A link to a peer of the same number.
  void Add(uint64_t link) { Add(link, link); }
  void Add(uint64_t link, uint64_t peer) {
    LinkTraits traits;
    traits.peer = peer;
    traits.leaves = links_know_leaves;
    swarm.AddLink(LinkId(link), traits, now);
  }
  void AddSeed(uint64_t link) { AddSeed(link, link); }
  void AddSeed(uint64_t link, uint64_t peer) {
    Add(link, peer);
    Have(link, 0, layout->chunk_count());
  }
  // One that the peer dialled, from a host of a network.
  void AddAcceptedSeed(uint64_t link, uint64_t host, uint64_t network = 1) {
    LinkTraits traits;
    traits.accepted = true;
    traits.peer = host;
    traits.network = network;
    traits.leaves = links_know_leaves;
    swarm.AddLink(LinkId(link), traits, now);
    Have(link, 0, layout->chunk_count());
  }
  void AddOriginal(uint64_t link) {
    LinkTraits traits;
    traits.original = true;
    traits.peer = link;
    swarm.AddLink(LinkId(link), traits, now);
  }
  void Have(uint64_t link, uint32_t first, uint32_t count = 1) {
    swarm.OnHave(LinkId(link), ChunkIndex(first), count);
  }
  void HaveLeaves(uint64_t link, const ChunkPart& part) { swarm.OnHaveLeaves(LinkId(link), part); }
  void Remove(uint64_t link) {
    swarm.RemoveLink(LinkId(link), now);
    queue.erase(link);
  }

  // Decides and files the commands; what is cancelled is refused at once, as a peer that has not
  // begun it does.
  void Decide() {
    last = swarm.Decide(now);
    if (refuses_cancelled) {
      for (const CancelPart& cancel : last.cancels) RefuseCancelled(cancel);
    }
    for (const RequestChunks& request : last.requests) {
      ++request_lines;
      for (uint32_t i = 0; i < request.count; ++i) {
        queue[request.link.value()].push_back(ChunkIndex(request.first.value() + i));
      }
    }
    for (const RequestLeaves& request : last.leaf_requests) {
      ++request_lines;
      queue[request.link.value()].push_back(request.part);
    }
    for (const DropLink& drop : last.drops) {
      dropped[drop.link.value()] = drop.reason;
      Remove(drop.link.value());
    }
  }
  void RefuseCancelled(const CancelPart& cancel) {
    auto& waiting = queue[cancel.link.value()];
    const auto at = std::find(waiting.begin(), waiting.end(), cancel.part);
    if (at == waiting.end()) return;  // the answer crossed it
    waiting.erase(at);
    swarm.OnRejected(cancel.link, cancel.part, now);
  }

  // The link brings the first thing asked of it. Returns whether the swarm took it.
  bool Receive(uint64_t link) {
    const ChunkPart part = queue[link].front();
    queue[link].pop_front();
    return ReceivePart(link, part);
  }
  bool ReceivePart(uint64_t link, const ChunkPart& part) {
    swarm.OnProgress(LinkId(link), ByteCount(LengthOf(part)), now);
    return swarm.OnReceived(LinkId(link), part, now);
  }
  // It is good, too. Returns the chunk.
  uint32_t Deliver(uint64_t link) { return DeliverPart(link).chunk.value(); }
  ChunkPart DeliverPart(uint64_t link) {
    const ChunkPart part = queue[link].front();
    EXPECT_TRUE(Receive(link)) << "link " << link << " chunk " << part;
    swarm.OnVerified(LinkId(link), part);
    return part;
  }
  // What a new peer is asked for first is asked for alone; this gets it over with.
  void Prove(uint64_t link) {
    Decide();
    ASSERT_EQ(queue[link].size(), 1u);
    Deliver(link);
  }
  void Reject(uint64_t link) {
    const ChunkPart part = queue[link].front();
    queue[link].pop_front();
    swarm.OnRejected(LinkId(link), part, now);
  }
  // In the order of the questions; of parts just the chunks that they are of.
  std::vector<uint32_t> Asked(uint64_t link) {
    std::vector<uint32_t> chunks;
    for (const ChunkPart& part : queue[link]) chunks.push_back(part.chunk.value());
    return chunks;
  }
  std::vector<ChunkPart> AskedParts(uint64_t link) {
    return std::vector<ChunkPart>(queue[link].begin(), queue[link].end());
  }
  bool IsAsked(uint64_t link, const ChunkPart& part) {
    return std::find(queue[link].begin(), queue[link].end(), part) != queue[link].end();
  }
  uint32_t LengthOf(const ChunkPart& part) const {
    const uint32_t length = layout->ChunkLength(part.chunk);
    if (part.whole()) return length;
    const uint32_t before = std::min(part.first_leaf * limits::kLeafBytes, length);
    return std::min(part.leaf_count * limits::kLeafBytes, length - before);
  }
  void Pass(absl::Duration time) { now += time; }

  std::shared_ptr<const content::Layout> layout;
  Swarm swarm;
  absl::Time now = absl::UnixEpoch() + absl::Hours(1);
  Commands last;
  std::map<uint64_t, std::deque<ChunkPart>> queue;
  std::map<uint64_t, std::string> dropped;
  int request_lines = 0;
  // Of the links that are added from now on.
  bool links_know_leaves = false;
  bool refuses_cancelled = true;
};

}  // namespace p2p::swarm

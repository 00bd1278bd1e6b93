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
  explicit Harness(std::shared_ptr<const content::Layout> layout_in, uint64_t seed = 1)
      : Harness(layout_in, ChunkSet(layout_in->chunk_count()), seed) {}
  Harness(std::shared_ptr<const content::Layout> layout_in, ChunkSet have, uint64_t seed)
      : layout(layout_in), swarm(layout_in, std::move(have), seed) {}

  // A link to a peer of the same number.
  void Add(uint64_t link) { Add(link, link); }
  void Add(uint64_t link, uint64_t peer) {
    LinkTraits traits;
    traits.peer = peer;
    swarm.AddLink(LinkId(link), traits, now);
  }
  void AddSeed(uint64_t link) { AddSeed(link, link); }
  void AddSeed(uint64_t link, uint64_t peer) {
    Add(link, peer);
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
  void Remove(uint64_t link) {
    swarm.RemoveLink(LinkId(link), now);
    queue.erase(link);
  }

  // Decides and files the commands; a cancelled chunk is refused at once, as a peer that has not
  // begun it does.
  void Decide() {
    last = swarm.Decide(now);
    for (const RequestChunks& request : last.requests) {
      ++request_lines;
      for (uint32_t i = 0; i < request.count; ++i) {
        queue[request.link.value()].push_back(request.first.value() + i);
      }
    }
    for (const CancelChunk& cancel : last.cancels) {
      auto& waiting = queue[cancel.link.value()];
      waiting.erase(std::find(waiting.begin(), waiting.end(), cancel.chunk.value()));
      swarm.OnRejected(cancel.link, cancel.chunk, now);
    }
    for (const DropLink& drop : last.drops) {
      dropped[drop.link.value()] = drop.reason;
      Remove(drop.link.value());
    }
  }

  // The link brings the first chunk asked of it. Returns whether the swarm took it.
  bool Receive(uint64_t link) {
    const ChunkIndex chunk(queue[link].front());
    queue[link].pop_front();
    return ReceiveChunk(link, chunk.value());
  }
  bool ReceiveChunk(uint64_t link, uint32_t chunk) {
    const uint32_t length = layout->ChunkLength(ChunkIndex(chunk));
    swarm.OnProgress(LinkId(link), ByteCount(length), now);
    return swarm.OnChunkReceived(LinkId(link), ChunkIndex(chunk), now);
  }
  // It is good, too. Returns the chunk.
  uint32_t Deliver(uint64_t link) {
    const uint32_t chunk = queue[link].front();
    EXPECT_TRUE(Receive(link)) << "link " << link << " chunk " << chunk;
    swarm.OnChunkVerified(ChunkIndex(chunk));
    return chunk;
  }
  // The first chunk of a new peer is asked for alone; this gets it over with.
  void Prove(uint64_t link) {
    Decide();
    ASSERT_EQ(queue[link].size(), 1u);
    Deliver(link);
  }
  void Reject(uint64_t link) {
    const ChunkIndex chunk(queue[link].front());
    queue[link].pop_front();
    swarm.OnRejected(LinkId(link), chunk, now);
  }
  std::vector<uint32_t> Asked(uint64_t link) {
    return std::vector<uint32_t>(queue[link].begin(), queue[link].end());
  }
  void Pass(absl::Duration time) { now += time; }

  std::shared_ptr<const content::Layout> layout;
  Swarm swarm;
  absl::Time now = absl::UnixEpoch() + absl::Hours(1);
  Commands last;
  std::map<uint64_t, std::deque<uint32_t>> queue;
  std::map<uint64_t, std::string> dropped;
  int request_lines = 0;
};

}  // namespace p2p::swarm

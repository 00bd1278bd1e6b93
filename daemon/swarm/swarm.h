// Who has what of one content, and what to ask of whom. Pure policy: no clock, socket, file or
// thread; time is an argument. Owned by the engine, on its loop.
//
// Facts go in (OnX), Decide(now) gives commands. A link is one connection to one peer.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/chunk_set.h"
#include "core/base/ids.h"
#include "core/content/layout.h"

namespace p2p::swarm {

struct LinkTraits {
  // Speaks only the original protocol: has everything, one request at a time, no have-set.
  bool original = false;
  // A name for the peer behind the link (its address or peer id): links of one peer share blame.
  uint64_t peer = 0;
};

// What Decide() wants done.
struct RequestChunks {
  LinkId link;
  ChunkIndex first;
  uint32_t count;
};
struct CancelChunk {
  LinkId link;
  ChunkIndex chunk;
};
struct DropLink {
  LinkId link;
  const char* reason;
};
struct Commands {
  std::vector<RequestChunks> requests;
  std::vector<CancelChunk> cancels;
  std::vector<DropLink> drops;
};

class Swarm {
 public:
  // `have`: what is verified already. `random_seed` makes a run repeatable.
  Swarm(std::shared_ptr<const content::Layout> layout, ChunkSet have, uint64_t random_seed);
  ~Swarm();

  void AddLink(LinkId link, const LinkTraits& traits, absl::Time now);
  // Its chunks in flight become wanted again.
  void RemoveLink(LinkId link, absl::Time now);
  void OnHave(LinkId link, ChunkIndex first, uint32_t count);
  void OnLost(LinkId link, ChunkIndex first, uint32_t count);
  void OnHaveBits(LinkId link, ChunkIndex first, absl::string_view bits);

  // Payload came in, whole chunks or parts of them: for rates and snubbing. Every payload byte is
  // counted here; OnChunkReceived counts none.
  void OnProgress(LinkId link, ByteCount bytes, absl::Time now);
  // A whole chunk came in and is being checked. False when nobody waits for it any more (drop it).
  bool OnChunkReceived(LinkId link, ChunkIndex chunk, absl::Time now);
  // A cancelled chunk is just free; any other is not asked of the link again for a while, or until
  // it says HAVE.
  void OnRejected(LinkId link, ChunkIndex chunk, absl::Time now);
  // The check's outcome. Failed: wanted again, not from that peer.
  void OnChunkVerified(ChunkIndex chunk);
  void OnChunkFailed(LinkId link, ChunkIndex chunk);
  // Our own disk failed to keep it: wanted again, nobody's fault.
  void OnChunkNotStored(ChunkIndex chunk);
  // A verified chunk turned out bad or lost on disk.
  void OnChunkLostHere(ChunkIndex chunk);
  // Chunks whose hash is not yet known are not asked for. All are known from the start unless this
  // was called.
  void SetKnown(ChunkIndex first, uint32_t count, bool known);

  Commands Decide(absl::Time now);
  // When Decide() should be called even if nothing happens.
  absl::Time NextWake() const;

  const ChunkSet& have() const;
  ByteCount bytes_have() const;
  bool Complete() const;
  // The peer sent wrong bytes. Its links are dropped, also those that are added later.
  bool IsBanned(uint64_t peer) const;
  // Links that have something that we still want.
  int useful_links() const;
  double rate_down(LinkId link) const;  // bytes a second, smoothed

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace p2p::swarm

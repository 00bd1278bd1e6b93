// Who has what of one content, and what to ask of whom. Pure policy: no clock, socket, file or
// thread; time is an argument. Owned by the engine, on its loop.
//
// Facts go in (OnX), Decide(now) gives commands. A link is one connection to one peer. Parts of
// chunks are asked for, and count, where passing them on before the chunk is whole helps.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/chunk_part.h"
#include "core/base/chunk_set.h"
#include "core/base/ids.h"
#include "core/content/layout.h"

namespace p2p::swarm {

struct LinkTraits {
  // Speaks only the original protocol: has everything, one request at a time, no have-set.
  bool original = false;
  // May be asked for some of a chunk's leaves.
  bool leaves = false;
  // Dialled by the other side.
  bool accepted = false;
  // What blame goes by, beside the link itself: the address that was dialled, or the host that an
  // accepted one came from. Nothing that the other side merely says.
  uint64_t peer = 0;
  // The network that an accepted one came from: whoever has it has many hosts.
  uint64_t network = 0;
  // A name for where it is (the host that dialled us, or the address that we dialled): links from
  // there share how often what they have may change, one after the other too. 0: for itself alone.
  uint64_t origin = 0;
};

// What Decide() wants done.
struct RequestChunks {
  LinkId link;
  ChunkIndex first;
  uint32_t count;
};
struct RequestLeaves {
  LinkId link;
  ChunkPart part;
};
struct CancelPart {
  LinkId link;
  ChunkPart part;
};
struct DropLink {
  LinkId link;
  const char* reason;
  bool lied;  // it sent wrong bytes; else it is only too much
};
// Cancels are of earlier requests, so they come first.
struct Commands {
  std::vector<RequestChunks> requests;
  std::vector<RequestLeaves> leaf_requests;
  std::vector<CancelPart> cancels;
  std::vector<DropLink> drops;
};

class Swarm {
 public:
  // What a chunk is divided into for being passed on, in leaves; all of a chunk's leaves where
  // that gains nothing, as the content has chunks enough for every peer to be busy.
  static uint32_t UnitLeavesFor(ByteCount total_bytes);

  // Whether the hashes of all chunks are known from the start; if not, of none.
  enum class Hashes { kKnown, kUnknown };

  // `have`: what is verified already. `random_seed` makes a run repeatable. `unit_leaves`: a power
  // of two; whole chunks are all that is asked for when it is limits::kLeavesPerChunk. Costs memory
  // and time for what is here and what links tell, not for what the layout states.
  Swarm(std::shared_ptr<const content::Layout> layout, ChunkSet have, uint64_t random_seed,
        uint32_t unit_leaves, Hashes hashes = Hashes::kKnown);
  ~Swarm();

  void AddLink(LinkId link, const LinkTraits& traits, absl::Time now);
  // Its chunks in flight become wanted again.
  void RemoveLink(LinkId link, absl::Time now);
  void OnHave(LinkId link, ChunkIndex first, uint32_t count);
  void OnLost(LinkId link, ChunkIndex first, uint32_t count);
  void OnHaveBits(LinkId link, ChunkIndex first, absl::string_view bits);
  // These leaves of a chunk that is not whole there.
  void OnHaveLeaves(LinkId link, const ChunkPart& part);

  // Payload came in, whole chunks or parts of them: for rates and snubbing. Every payload byte is
  // counted here; OnReceived counts none.
  void OnProgress(LinkId link, ByteCount bytes, absl::Time now);
  // What was asked for came in and is being checked. False when nobody waits for it any more (drop
  // it).
  bool OnReceived(LinkId link, const ChunkPart& part, absl::Time now);
  // What was cancelled is just free; anything else is not asked of the link again for a while, or
  // until it says HAVE.
  void OnRejected(LinkId link, const ChunkPart& part, absl::Time now);
  // The outcome of checking what that link brought; it may be gone by now. Verified: it is here;
  // also for what was found on disk, which nobody brought (LinkId()). Failed: wanted again, not
  // from that peer.
  void OnVerified(LinkId link, const ChunkPart& part);
  void OnFailed(LinkId link, const ChunkPart& part);
  // Our own disk failed to keep it: wanted again, nobody's fault.
  void OnNotStored(LinkId link, const ChunkPart& part);
  // A verified chunk turned out bad or lost on disk.
  void OnChunkLostHere(ChunkIndex chunk);
  // Chunks whose hash is not yet known are not asked for.
  void SetKnown(ChunkIndex first, uint32_t count, bool known);

  Commands Decide(absl::Time now);
  // When Decide() should be called even if nothing happens.
  absl::Time NextWake() const;

  // Whole chunks.
  const ChunkSet& have() const;
  bool Has(const ChunkPart& part) const;
  // The leaves that are here of a chunk that is not whole, as the most that can be told at a time.
  std::vector<ChunkPart> PartsOf(ChunkIndex chunk) const;
  // Chunks that are here in part.
  std::vector<ChunkIndex> PartialChunks() const;
  ByteCount bytes_have() const;
  // The peer has that; it need not be told of it.
  bool LinkHas(LinkId link, const ChunkPart& part) const;
  // So many links have these leaves, besides those that have everything, that others need not be
  // told of them before the chunk is whole.
  bool IsCommon(const ChunkPart& part) const;
  bool Complete() const;
  // The peer sent wrong bytes. Of a dialled one all links are dropped, also those that are added
  // later. Others may be behind the host of an accepted one: of its links those that brought good
  // bytes stay and are asked for one unit again, and nothing is asked of the rest.
  bool IsBanned(uint64_t peer) const;
  // The peer has everything, as it says.
  bool IsComplete(LinkId link) const;
  // Links that have something that we still want.
  int useful_links() const;
  double rate_down(LinkId link) const;  // bytes a second, smoothed

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace p2p::swarm

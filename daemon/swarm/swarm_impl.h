// The inside of a swarm; see swarm.h. Private to this folder.
//
// What always holds between calls: a chunk is wanted (in `rarity`) exactly when its hash is known,
// it is not here and not being checked, and no link that is not snubbed was asked for it. Refresh()
// restores that for one chunk.
#pragma once

#include <memory>
#include <random>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "daemon/swarm/link.h"
#include "daemon/swarm/rarity_index.h"
#include "daemon/swarm/swarm.h"

namespace p2p::swarm {

struct Swarm::Impl {
  // A chunk that links were asked for, or that came and is being checked.
  struct Asked {
    // Those whose request was not cancelled.
    absl::InlinedVector<Link*, 2> holders;
    bool checking = false;
    // Where the chunk that is being checked came from.
    LinkId from_link;
    uint64_t from_peer = 0;
  };
  struct Run {
    uint32_t first = 0;
    uint32_t count = 0;
    uint64_t bytes = 0;
  };

  Impl(std::shared_ptr<const content::Layout> layout_in, ChunkSet have_in, uint64_t random_seed);

  uint32_t chunk_count() const { return layout->chunk_count(); }
  uint32_t Length(uint32_t chunk) const { return layout->ChunkLength(ChunkIndex(chunk)); }
  Link* Find(LinkId id);
  void Refresh(uint32_t chunk);
  // The links' counts of useful chunks follow `have`.
  void SetHave(uint32_t chunk, bool here);

  // --- links.cc: who has what, who is there ---
  void Add(LinkId id, const LinkTraits& traits);
  void Remove(LinkId id);
  void AddHave(Link& link, uint32_t chunk);
  void AddHaveRange(Link& link, uint32_t first, uint64_t end);
  void RemoveHaveRange(Link& link, uint32_t first, uint64_t end);
  // Switches between `complete` and a set of single chunks.
  void MakeComplete(Link& link);
  void MakePartial(Link& link);
  void ForgetHave(Link& link);
  void FreeRequests(Link& link);
  void Drop(Link& link, const char* reason);
  void Ban(uint64_t peer);

  // --- answers.cc: what became of requests ---
  void OnProgress(Link& link, ByteCount bytes, absl::Time now);
  bool OnReceived(Link& link, uint32_t chunk, absl::Time now);
  void OnRejected(Link& link, uint32_t chunk, absl::Time now);
  void OnVerified(uint32_t chunk);
  void OnFailed(LinkId id, uint32_t chunk);
  void RemoveHolder(uint32_t chunk, Link* link);
  void CancelHolders(uint32_t chunk);
  void EndCheck(uint32_t chunk);
  // The link that brought the chunk being checked, where it is still there, has one fewer in check.
  void ReleaseChecked(Asked* entry);
  void SetSnubbed(Link& link, bool snubbed);

  // --- asking.cc: what to ask of whom ---
  Commands Decide(absl::Time now);
  absl::Time NextWake() const;
  void AskAll(absl::Time now);
  bool CanTake(const Link& link) const;
  void Fill(Link& link, uint32_t most_chunks, absl::Time now);
  // The next chunks to ask of the link, at most as many bytes as its window has left; count 0 when
  // there is nothing.
  Run PickRun(Link& link, uint32_t most_chunks);
  uint32_t FindInLevel(Link& link, const BlockBitmap& level);
  uint32_t Scan(const Link& link, const BlockBitmap& level, uint32_t from, uint32_t end) const;
  void Ask(Link& link, const Run& run, absl::Time now);
  void Duplicate(Link& link, absl::Time now);
  bool MayDuplicate(const Link& link) const;
  // The one link that is not snubbed and was asked for it; nullptr when there are more or fewer.
  static const Link* OnlyHolder(const Asked& entry);

  const std::shared_ptr<const content::Layout> layout;
  ChunkSet have;
  uint64_t bytes_have = 0;
  ChunkSet known;
  RarityIndex rarity;
  absl::btree_map<uint32_t, Asked> asked;
  // In the order in which they came; addresses are stable.
  std::vector<std::unique_ptr<Link>> links;
  absl::flat_hash_map<LinkId, Link*> link_by_id;
  absl::flat_hash_set<uint64_t> banned_peers;
  absl::flat_hash_set<uint64_t> proven_peers;
  std::mt19937_64 random;
  // Who is asked first moves on with each Decide().
  size_t turn = 0;
  // Original links are given the chunks in order, one each in turn.
  uint32_t original_next = 0;
  absl::Time last_now = absl::InfinitePast();
  Commands pending;
};

}  // namespace p2p::swarm

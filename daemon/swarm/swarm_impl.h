// The inside of a swarm; see swarm.h. Private to this folder.
//
// Counts in units (see UnitGrid). What always holds between calls: a unit is wanted (in `rarity`)
// exactly when its hash is known, it is not here and not being checked, and no link that is not
// snubbed was asked for it. Refresh() restores that for one unit.
#pragma once

#include <memory>
#include <random>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/container/node_hash_map.h"
#include "daemon/swarm/link.h"
#include "daemon/swarm/rarity_index.h"
#include "daemon/swarm/swarm.h"
#include "daemon/swarm/unit_grid.h"

namespace p2p::swarm {

struct Swarm::Impl {
  // A unit that links were asked for, or that came and is being checked.
  struct Asked {
    // Those whose request was not cancelled, or only withdrawn.
    absl::InlinedVector<Link*, 2> holders;
    bool checking = false;
    // Where the unit that is being checked came from.
    LinkId from_link;
    LinkTraits from;
  };
  struct Run {
    uint32_t first = 0;
    uint32_t count = 0;
    uint64_t bytes = 0;
    // Asked for as whole chunks.
    bool whole_chunks = false;
  };

  Impl(std::shared_ptr<const content::Layout> layout_in, ChunkSet have_in, uint64_t random_seed,
       uint32_t unit_leaves, Hashes hashes);

  uint32_t unit_count() const { return grid.unit_count(); }
  Link* Find(LinkId id);
  void Refresh(uint32_t unit);
  // The links' counts of useful units follow what is here.
  void SetHere(uint32_t unit, bool is_here);
  bool IsHere(uint32_t unit) const { return here.Has(ChunkIndex(unit)); }

  // --- links.cc: who has what, who is there ---
  void Add(LinkId id, const LinkTraits& traits, absl::Time now);
  void Remove(LinkId id);
  // Most changes that are put up with of one origin.
  double MaxChanges() const;
  Changes* ChangesOf(uint64_t origin, absl::Time now);
  static void CountChanges(Link& link, uint32_t units) {
    if (link.changes != nullptr) link.changes->count += units;
  }
  // Whether the link may tell of so many units once more. If not, it is dropped.
  bool MayTell(Link& link, uint32_t units);
  void AddHave(Link& link, uint32_t unit);
  // Of which it has none so far.
  void AddHaveBlock(Link& link, uint32_t block);
  void AddHaveRange(Link& link, UnitGrid::Units units);
  void RemoveHaveRange(Link& link, UnitGrid::Units units);
  // Of chunks, cut where the content ends.
  UnitGrid::Units UnitsOfChunks(ChunkIndex first, uint32_t count) const;
  // Switches between `complete` and a set of single units.
  void MakeComplete(Link& link);
  void MakePartial(Link& link);
  void ForgetHave(Link& link);
  void FreeRequests(Link& link);
  // Nothing is asked of it, and what it says counts for nothing, while it goes on being served.
  void LeaveAlone(Link& link);
  void Drop(Link& link, const char* reason, bool lied = false);
  void Ban(LinkId id, const LinkTraits& traits);

  // --- answers.cc: what became of requests ---
  void OnProgress(Link& link, ByteCount bytes, absl::Time now);
  bool OnReceived(Link& link, UnitGrid::Units units, absl::Time now);
  bool OnReceived(Link& link, uint32_t unit, absl::Time now);
  void OnRejected(Link& link, uint32_t unit, absl::Time now);
  void OnVerified(LinkId id, UnitGrid::Units units);
  void OnFailed(LinkId id, UnitGrid::Units units);
  void RemoveHolder(uint32_t unit, Link* link);
  void CancelHolders(uint32_t unit);
  // Tells the link that the unit is not awaited any more; where it was asked for with its chunk,
  // once none of that is.
  void Cancel(Link& link, uint32_t unit);
  // The link's copy of the unit is not being checked any more. Whatever became of other copies, a
  // link is judged by its own.
  void EndCheck(LinkId id, uint32_t unit);
  void Prove(LinkId id, const LinkTraits& traits);
  void SetSnubbed(Link& link, bool snubbed);

  // --- asking.cc: what to ask of whom ---
  Commands Decide(absl::Time now);
  absl::Time NextWake() const;
  void AskAll(absl::Time now);
  bool CanTake(const Link& link) const;
  // Another accepted link of the same host, which has not proven itself either, is being tried: a
  // host costs one unit, however many connections it has. Where one of its network lied, that goes
  // for the network.
  bool WaitsForProbation(const Link& link) const;
  void Fill(Link& link, uint32_t most_units, absl::Time now);
  void Ask(Link& link, const Run& run, absl::Time now);
  // The unit is asked of the link.
  Request& Await(Link& link, uint32_t unit, absl::Time now);
  void Say(const Link& link, const Run& run);

  // --- choice.cc: which unit next ---
  // Whether the link is asked for whole chunks: it knows nothing else, or passing parts on gains
  // nothing.
  bool TakesWholeChunks(const Link& link) const;
  // The next units to ask of the link, at most as many bytes as its window has left; count 0 when
  // there is nothing.
  Run PickRun(Link& link, uint32_t most_units);
  Run ExtendByUnits(const Link& link, uint32_t first, uint64_t budget, uint32_t most_units) const;
  Run ExtendByChunks(const Link& link, uint32_t first, uint64_t budget, uint32_t most_units) const;
  bool IsFree(const Link& link, uint32_t unit) const;
  bool ChunkIsFree(const Link& link, UnitGrid::Units units) const;
  // A unit of a chunk that is here in part.
  uint32_t FindBegun(const Link& link) const;
  uint32_t FindRarest(Link& link);
  uint32_t FindInLevel(Link& link, const SparseBitmap& level);
  uint32_t FindAnywhere(const Link& link, const SparseBitmap& level);
  uint32_t Scan(const Link& link, const SparseBitmap& level, uint32_t from, uint32_t end) const;

  // --- relief.cc: what waits at one link and could be had of another ---
  // `link`, which is not complete, has the unit: what waits for it at a complete one is withdrawn,
  // so that only what nobody else has is asked of those that have everything.
  void SpareComplete(const Link& link, uint32_t unit);
  void Withdraw(Link& holder, UnitGrid::Units units);
  bool MayRelieve(const Link& link) const;
  // Nothing is left to ask of the link: takes over what waits longest at others.
  void Relieve(Link& link, absl::Time now);
  // Nothing is left to ask of anyone: asks the link for what another is late with as well.
  void Duplicate(Link& link, absl::Time now);
  // The one link that is not snubbed and was asked for it; nullptr when there are more or fewer.
  static Link* OnlyHolder(const Asked& entry);

  const std::shared_ptr<const content::Layout> layout;
  const UnitGrid grid;
  ChunkSet have;  // chunks
  ChunkSet here;  // units
  uint64_t bytes_here = 0;
  ChunkSet known;  // units
  RarityIndex rarity;
  // Chunks that are here in part.
  absl::btree_set<uint32_t> begun;
  absl::btree_map<uint32_t, Asked> asked;
  // In the order in which they came; addresses are stable.
  std::vector<std::unique_ptr<Link>> links;
  absl::flat_hash_map<LinkId, Link*> link_by_id;
  absl::flat_hash_set<uint64_t> banned_peers;
  absl::node_hash_map<uint64_t, Changes> changes_by_origin;
  absl::flat_hash_set<uint64_t> lying_networks;  // of accepted links
  // That were dialled: an accepted link proves itself alone.
  absl::flat_hash_set<uint64_t> proven_peers;
  std::mt19937_64 random;
  // Who is asked first moves on with each Decide().
  size_t turn = 0;
  // Others fetch the content as well. As of the last Decide().
  bool crowded = false;
  // Original links are given the chunks in order, one each in turn.
  uint32_t original_next = 0;
  absl::Time last_now = absl::InfinitePast();
  Commands pending;
};

}  // namespace p2p::swarm

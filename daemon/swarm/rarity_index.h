// The units that may be asked for, ordered by how many links have them. Owned by a swarm, on its
// thread.
//
// Links that have everything are not counted: they raise every unit alike. So a unit of count 0
// is one that only such links (or nobody) have. Costs 2 bytes a unit and one bit for each level in
// use.
#pragma once

#include <cstdint>
#include <vector>

#include "daemon/swarm/block_bitmap.h"

namespace p2p::swarm {

class RarityIndex {
 public:
  explicit RarityIndex(uint32_t unit_count) : unit_count_(unit_count) {}

  // Wanted units of about equal rarity; level 0 is the rarest. Each count to 15 has a level of its
  // own, above it each doubling has: far from rare, order no longer matters.
  static uint32_t LevelOf(uint16_t count);
  // Never fewer than the highest level in use.
  uint32_t level_count() const { return static_cast<uint32_t>(levels_.size()); }
  const BlockBitmap& level(uint32_t i) const { return levels_[i]; }

  uint16_t CountOf(uint32_t unit) const { return counts_.empty() ? 0 : counts_[unit]; }
  uint32_t LevelOfUnit(uint32_t unit) const { return LevelOf(CountOf(unit)); }
  bool IsWanted(uint32_t unit) const;
  // Return whether that changed anything.
  bool SetWanted(uint32_t unit, bool wanted);
  uint32_t wanted_count() const { return wanted_count_; }

  // One link more, or one fewer, has the unit.
  void Increment(uint32_t unit);
  void Decrement(uint32_t unit);

 private:
  BlockBitmap& LevelFor(uint16_t count);
  void ChangeCount(uint32_t unit, uint16_t count);

  const uint32_t unit_count_;
  uint32_t wanted_count_ = 0;
  // Empty until a link has some but not all units.
  std::vector<uint16_t> counts_;
  std::vector<BlockBitmap> levels_;
};

}  // namespace p2p::swarm

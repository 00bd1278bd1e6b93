// The units that may be asked for, ordered by how many links have them. Owned by a swarm, on its
// thread.
//
// Links that have everything are not counted: they raise every unit alike. So a unit of count 0
// is one that only such links (or nobody) have. Takes memory for the blocks (see SparseBitmap)
// whose units differ: 2 bytes a unit and one bit for each level in use.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/sparse_bitmap.h"

namespace p2p::swarm {

class RarityIndex {
 public:
  explicit RarityIndex(uint32_t unit_count) : unit_count_(unit_count) {}

  // Wanted units of about equal rarity; level 0 is the rarest. Each count to 15 has a level of its
  // own, above it each doubling has: far from rare, order no longer matters.
  static uint32_t LevelOf(uint16_t count);
  // Never fewer than the highest level in use.
  uint32_t level_count() const { return static_cast<uint32_t>(levels_.size()); }
  const SparseBitmap& level(uint32_t i) const { return levels_[i]; }

  uint16_t CountOf(uint32_t unit) const {
    if (counts_.empty()) return 0;
    const Counts& block = counts_[unit / kBlock];
    return block.each == nullptr ? block.all : block.each[unit % kBlock];
  }
  uint32_t LevelOfUnit(uint32_t unit) const { return LevelOf(CountOf(unit)); }
  bool IsWanted(uint32_t unit) const;
  // Return whether that changed anything.
  bool SetWanted(uint32_t unit, bool wanted);
  // The same for many, of which none is counted yet.
  void SetAllWanted(uint32_t first, uint32_t end, bool wanted);
  uint32_t wanted_count() const { return wanted_count_; }
  // Of a block of units.
  uint32_t WantedIn(uint32_t block) const;

  // One link more, or one fewer, has the unit.
  void Increment(uint32_t unit);
  void Decrement(uint32_t unit);
  // The same of every unit of a block.
  void IncrementBlock(uint32_t block);
  void DecrementBlock(uint32_t block);
  // No link has any.
  void ForgetCounts();

 private:
  static constexpr uint32_t kBlock = SparseBitmap::kBlockBits;
  struct Counts {
    uint16_t all = 0;                  // of each unit, unless:
    std::unique_ptr<uint16_t[]> each;  // they differ
  };

  SparseBitmap& LevelFor(uint16_t count);
  Counts& BlockOf(uint32_t block);
  void ChangeCount(uint32_t unit, uint16_t count);
  void ChangeBlock(uint32_t block, uint16_t count);

  const uint32_t unit_count_;
  uint32_t wanted_count_ = 0;
  // Empty until a link has some but not all units.
  std::vector<Counts> counts_;
  std::vector<SparseBitmap> levels_;
};

}  // namespace p2p::swarm

#include "daemon/swarm/rarity_index.h"

#include <limits>

namespace p2p::swarm {

uint32_t RarityIndex::LevelOf(uint16_t count) {
  if (count < 16) return count;
  const uint32_t log2 = 31 - static_cast<uint32_t>(__builtin_clz(count));
  return 16 + (log2 - 4);
}

bool RarityIndex::IsWanted(uint32_t unit) const {
  const uint32_t level = LevelOf(CountOf(unit));
  return level < levels_.size() && levels_[level].Has(unit);
}

bool RarityIndex::SetWanted(uint32_t unit, bool wanted) {
  if (IsWanted(unit) == wanted) return false;
  BlockBitmap& level = LevelFor(CountOf(unit));
  if (wanted) {
    level.Add(unit);
    ++wanted_count_;
  } else {
    level.Remove(unit);
    --wanted_count_;
  }
  return true;
}

void RarityIndex::Increment(uint32_t unit) {
  const uint16_t count = CountOf(unit);
  if (count < std::numeric_limits<uint16_t>::max()) ChangeCount(unit, count + 1);
}

void RarityIndex::Decrement(uint32_t unit) {
  const uint16_t count = CountOf(unit);
  if (count > 0) ChangeCount(unit, count - 1);
}

BlockBitmap& RarityIndex::LevelFor(uint16_t count) {
  const uint32_t level = LevelOf(count);
  while (levels_.size() <= level) levels_.emplace_back(unit_count_);
  return levels_[level];
}

void RarityIndex::ChangeCount(uint32_t unit, uint16_t count) {
  if (counts_.empty()) counts_.assign(unit_count_, 0);
  const uint32_t from = LevelOf(counts_[unit]);
  const bool moves = from != LevelOf(count) && IsWanted(unit);
  counts_[unit] = count;
  if (!moves) return;
  levels_[from].Remove(unit);
  LevelFor(count).Add(unit);
}

}  // namespace p2p::swarm

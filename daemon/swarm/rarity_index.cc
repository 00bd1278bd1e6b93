#include "daemon/swarm/rarity_index.h"

#include <limits>

namespace p2p::swarm {

uint32_t RarityIndex::LevelOf(uint16_t count) {
  if (count < 16) return count;
  const uint32_t log2 = 31 - static_cast<uint32_t>(__builtin_clz(count));
  return 16 + (log2 - 4);
}

bool RarityIndex::IsWanted(uint32_t chunk) const {
  const uint32_t level = LevelOf(CountOf(chunk));
  return level < levels_.size() && levels_[level].Has(chunk);
}

bool RarityIndex::SetWanted(uint32_t chunk, bool wanted) {
  if (IsWanted(chunk) == wanted) return false;
  BlockBitmap& level = LevelFor(CountOf(chunk));
  if (wanted) {
    level.Add(chunk);
    ++wanted_count_;
  } else {
    level.Remove(chunk);
    --wanted_count_;
  }
  return true;
}

void RarityIndex::Increment(uint32_t chunk) {
  const uint16_t count = CountOf(chunk);
  if (count < std::numeric_limits<uint16_t>::max()) ChangeCount(chunk, count + 1);
}

void RarityIndex::Decrement(uint32_t chunk) {
  const uint16_t count = CountOf(chunk);
  if (count > 0) ChangeCount(chunk, count - 1);
}

BlockBitmap& RarityIndex::LevelFor(uint16_t count) {
  const uint32_t level = LevelOf(count);
  while (levels_.size() <= level) levels_.emplace_back(chunk_count_);
  return levels_[level];
}

void RarityIndex::ChangeCount(uint32_t chunk, uint16_t count) {
  if (counts_.empty()) counts_.assign(chunk_count_, 0);
  const uint32_t from = LevelOf(counts_[chunk]);
  const bool moves = from != LevelOf(count) && IsWanted(chunk);
  counts_[chunk] = count;
  if (!moves) return;
  levels_[from].Remove(chunk);
  LevelFor(count).Add(chunk);
}

}  // namespace p2p::swarm

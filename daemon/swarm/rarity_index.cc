#include "daemon/swarm/rarity_index.h"

#include <algorithm>
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
  SparseBitmap& level = LevelFor(CountOf(unit));
  if (wanted) {
    level.Add(unit);
    ++wanted_count_;
  } else {
    level.Remove(unit);
    --wanted_count_;
  }
  return true;
}

void RarityIndex::SetAllWanted(uint32_t first, uint32_t end, bool wanted) {
  SparseBitmap& level = LevelFor(0);
  if (wanted) {
    level.AddRange(first, end);
  } else {
    level.RemoveRange(first, end);
  }
  wanted_count_ = level.count();
}

uint32_t RarityIndex::WantedIn(uint32_t block) const {
  uint32_t wanted = 0;
  for (const SparseBitmap& level : levels_) wanted += level.CountIn(block);
  return wanted;
}

void RarityIndex::Increment(uint32_t unit) {
  const uint16_t count = CountOf(unit);
  if (count < std::numeric_limits<uint16_t>::max()) ChangeCount(unit, count + 1);
}

void RarityIndex::Decrement(uint32_t unit) {
  const uint16_t count = CountOf(unit);
  if (count > 0) ChangeCount(unit, count - 1);
}

void RarityIndex::IncrementBlock(uint32_t block) {
  const Counts& counts = BlockOf(block);
  if (counts.each == nullptr) {
    if (counts.all < std::numeric_limits<uint16_t>::max()) ChangeBlock(block, counts.all + 1);
    return;
  }
  const uint64_t end = std::min(uint64_t{unit_count_}, (uint64_t{block} + 1) * kBlock);
  for (uint64_t unit = uint64_t{block} * kBlock; unit < end; ++unit) {
    Increment(static_cast<uint32_t>(unit));
  }
}

void RarityIndex::DecrementBlock(uint32_t block) {
  const Counts& counts = BlockOf(block);
  if (counts.each == nullptr) {
    if (counts.all > 0) ChangeBlock(block, counts.all - 1);
    return;
  }
  const uint64_t end = std::min(uint64_t{unit_count_}, (uint64_t{block} + 1) * kBlock);
  for (uint64_t unit = uint64_t{block} * kBlock; unit < end; ++unit) {
    Decrement(static_cast<uint32_t>(unit));
  }
}

void RarityIndex::ForgetCounts() {
  if (counts_.empty()) return;
  for (uint32_t level = 1; level < levels_.size(); ++level) {
    // Whatever was counted too often to be counted exactly.
    for (uint32_t unit = levels_[level].NextMember(0); unit < unit_count_;
         unit = levels_[level].NextMember(unit + 1)) {
      levels_[0].Add(unit);
    }
  }
  levels_.resize(std::min<size_t>(levels_.size(), 1));
  counts_.clear();
}

SparseBitmap& RarityIndex::LevelFor(uint16_t count) {
  const uint32_t level = LevelOf(count);
  while (levels_.size() <= level) levels_.emplace_back(unit_count_);
  return levels_[level];
}

RarityIndex::Counts& RarityIndex::BlockOf(uint32_t block) {
  if (counts_.empty()) counts_.resize((uint64_t{unit_count_} + kBlock - 1) / kBlock);
  return counts_[block];
}

void RarityIndex::ChangeCount(uint32_t unit, uint16_t count) {
  Counts& block = BlockOf(unit / kBlock);
  if (block.each == nullptr) {
    const size_t units = std::min(kBlock, unit_count_ - unit / kBlock * kBlock);
    block.each.reset(new uint16_t[units]);
    std::fill_n(block.each.get(), units, block.all);
  }
  uint16_t& now = block.each[unit % kBlock];
  const uint32_t from = LevelOf(now);
  const bool moves = from != LevelOf(count) && IsWanted(unit);
  now = count;
  if (!moves) return;
  levels_[from].Remove(unit);
  LevelFor(count).Add(unit);
}

// The units are all counted alike, so those that are wanted are all at one level.
void RarityIndex::ChangeBlock(uint32_t block, uint16_t count) {
  Counts& counts = counts_[block];
  const uint32_t from = LevelOf(counts.all);
  counts.all = count;
  if (from == LevelOf(count) || from >= levels_.size() || levels_[from].CountIn(block) == 0) return;
  SparseBitmap& to = LevelFor(count);  // may move the levels in memory
  levels_[from].MoveBlock(block, &to);
}

}  // namespace p2p::swarm

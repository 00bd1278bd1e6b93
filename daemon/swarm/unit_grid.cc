#include "daemon/swarm/unit_grid.h"

#include <algorithm>
#include <utility>

#include "core/base/limits.h"

namespace p2p::swarm {
namespace {

uint32_t DivideUp(uint64_t bytes, uint32_t by) {
  return static_cast<uint32_t>((bytes + by - 1) / by);
}

}  // namespace

UnitGrid::UnitGrid(std::shared_ptr<const content::Layout> layout, uint32_t unit_leaves)
    : layout_(std::move(layout)), unit_leaves_(unit_leaves), unit_count_(layout_->chunk_count()) {
  if (unit_leaves_ >= limits::kLeavesPerChunk) return;
  unit_count_ = 0;
  first_units_.reserve(layout_->files().size());
  for (const content::LayoutFile& file : layout_->files()) {
    first_units_.push_back(unit_count_);
    unit_count_ += DivideUp(file.length.value(), unit_leaves_ * limits::kLeafBytes);
  }
}

UnitGrid::Units UnitGrid::Of(uint32_t chunk) const {
  if (first_units_.empty()) return {chunk, 1};
  const content::ChunkPlace place = layout_->Locate(ChunkIndex(chunk));
  const uint32_t unit_bytes = unit_leaves_ * limits::kLeafBytes;
  const auto before = static_cast<uint32_t>(place.offset.value() / unit_bytes);
  return {first_units_[place.file.value()] + before, DivideUp(place.length, unit_bytes)};
}

uint32_t UnitGrid::ChunkOf(uint32_t unit) const {
  if (first_units_.empty()) return unit;
  // The last file that begins at or before the unit; empty files at the same number come before it.
  const auto after = std::upper_bound(first_units_.begin(), first_units_.end(), unit);
  const auto file = static_cast<uint32_t>(after - 1 - first_units_.begin());
  const uint32_t before = unit - first_units_[file];
  return layout_->file(FileIndex(file)).first_chunk.value() +
         before / (limits::kLeavesPerChunk / unit_leaves_);
}

uint32_t UnitGrid::Length(uint32_t unit) const {
  const uint32_t chunk = ChunkOf(unit);
  const uint32_t length = layout_->ChunkLength(ChunkIndex(chunk));
  if (first_units_.empty()) return length;
  const uint32_t unit_bytes = unit_leaves_ * limits::kLeafBytes;
  return std::min(unit_bytes, length - (unit - Of(chunk).first) * unit_bytes);
}

ChunkPart UnitGrid::PartOf(uint32_t unit) const {
  const uint32_t chunk = ChunkOf(unit);
  const Units units = Of(chunk);
  if (units.count == 1) return ChunkIndex(chunk);
  return {ChunkIndex(chunk), (unit - units.first) * unit_leaves_, unit_leaves_};
}

UnitGrid::Units UnitGrid::Within(const ChunkPart& part) const {
  const uint32_t chunk = part.chunk.value();
  if (chunk >= layout_->chunk_count()) return {};
  const Units units = Of(chunk);
  if (part.whole()) return units;
  const uint32_t leaves = DivideUp(layout_->ChunkLength(part.chunk), limits::kLeafBytes);
  const uint32_t end = part.first_leaf + part.leaf_count;
  const uint32_t first = std::min(DivideUp(part.first_leaf, unit_leaves_), units.count);
  // The last unit is whole where the chunk ends.
  const uint32_t last = end >= leaves ? units.count : end / unit_leaves_;
  return {units.first + first, last > first ? last - first : 0};
}

}  // namespace p2p::swarm

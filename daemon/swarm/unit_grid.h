// The units in which a swarm counts: whole chunks or, where a chunk is passed on before it is
// whole, equal runs of its leaves. Units are numbered over all chunks in order. Immutable value;
// any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/chunk_part.h"
#include "core/base/ids.h"
#include "core/base/limits.h"
#include "core/content/layout.h"

namespace p2p::swarm {

class UnitGrid {
 public:
  struct Units {
    uint32_t first = 0;
    uint32_t count = 0;
    uint32_t end() const { return first + count; }
  };

  // `unit_leaves`: a power of two, at most limits::kLeavesPerChunk (then a unit is a chunk).
  UnitGrid(std::shared_ptr<const content::Layout> layout, uint32_t unit_leaves);

  uint32_t unit_count() const { return unit_count_; }
  // Of a full one.
  uint32_t unit_bytes() const { return unit_leaves_ * limits::kLeafBytes; }
  // Whether some chunk has several units.
  bool divides() const { return unit_count_ != layout_->chunk_count(); }

  // `chunk` and `unit` must be there.
  Units Of(uint32_t chunk) const;
  uint32_t ChunkOf(uint32_t unit) const;
  uint32_t Length(uint32_t unit) const;
  // The whole chunk where it has one unit only. A chunk's last unit may reach beyond its end.
  ChunkPart PartOf(uint32_t unit) const;
  // The units that lie wholly within the part; none where it is no part of this content.
  Units Within(const ChunkPart& part) const;

 private:
  const std::shared_ptr<const content::Layout> layout_;
  const uint32_t unit_leaves_;
  std::vector<uint32_t> first_units_;  // by file; empty where a unit is a chunk
  uint32_t unit_count_ = 0;
};

}  // namespace p2p::swarm

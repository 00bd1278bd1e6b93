// BEP 52's Merkle trees: leaves of 16 KiB, chunk hashes, file roots, proofs. Pure; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/base/ids.h"

namespace p2p::content {

// The hash of one chunk of a file of `file_bytes` bytes. A file of one chunk: its root, leaves
// padded with zero hashes to the next power of two. A larger file: padded to the 32 leaves of a
// chunk. This is what the manifest's piece layer (or pieces root) holds for the chunk.
Hash256 ChunkHash(absl::Span<const uint8_t> chunk, ByteCount file_bytes);

// Leaves of the tree below a chunk hash, with padding: the next power of two of the chunk's
// `leaf_count` where the chunk is the whole file, else limits::kLeavesPerChunk.
uint32_t TreeWidth(uint32_t leaf_count, ByteCount file_bytes);

// The root of a tree of 2^`layers` missing leaves (32 zero bytes each, BEP 52): the one hash that a
// node with nothing below it can have. `layers`: at most kMaxPaddingLayers.
inline constexpr int kMaxPaddingLayers = 37;
const Hash256& PaddingRoot(int layers);

struct ChunkToHash {
  absl::Span<const uint8_t> bytes;
  ByteCount file_bytes;
};
// ChunkHash of each: small chunks together are hashed faster than one by one.
std::vector<Hash256> HashOfEach(absl::Span<const ChunkToHash> chunks);

// The root over a file's chunk hashes (at least one), padded with the root of 32 zero leaves to the
// next power of two. With one chunk hash: that hash.
Hash256 FileRoot(absl::Span<const Hash256> chunk_hashes);

// A run of a file's chunk hashes with what proves them against the file root.
struct HashRange {
  uint32_t first = 0;           // chunk of the file, a multiple of the run's span (see SpanOf)
  std::vector<Hash256> hashes;  // without padding: shorter than the span only at the file's end
  std::vector<Hash256> proof;   // uncle hashes from the span's root upwards to below the file root
};

// The largest span (a power of two, at most limits::kMaxHashesPerMessage) that runs of this file
// are cut in: min(next power of two of chunk_count, kMaxHashesPerMessage). Runs start at multiples
// of it.
uint32_t SpanOf(uint32_t chunk_count);

// The run that starts at `first`, from all chunk hashes of a file. InvalidArgument when `first` is
// no multiple of the span or beyond the end.
absl::StatusOr<HashRange> MakeHashRange(absl::Span<const Hash256> chunk_hashes, uint32_t first);

// All runs of a file in order, as MakeHashRange gives each of them, for the price of one.
std::vector<HashRange> MakeHashRanges(absl::Span<const Hash256> chunk_hashes);

// OK when `range` has exactly the hashes and proof length that a file of `chunk_count` chunks has
// there, they lead to `file_root`, and an uncle that stands over no chunk of the file is padding;
// InvalidArgument otherwise.
absl::Status VerifyHashRange(const HashRange& range, uint32_t chunk_count,
                             const Hash256& file_root);

}  // namespace p2p::content

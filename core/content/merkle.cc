#include "core/content/merkle.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/content/sha256.h"

namespace p2p::content {
namespace {

constexpr int kLeafLayers = 5;
static_assert(1 << kLeafLayers == limits::kLeavesPerChunk, "layers below a chunk's hash");
// Chunk counts fit 31 bits and a bit, so a tree of chunk hashes has at most 33 layers.
constexpr int kMaxChunkLayers = 33;
static_assert(kMaxPaddingLayers + 1 == kLeafLayers + kMaxChunkLayers, "padding for all of them");

// Smallest k with 2^k >= n, for n of at least 1.
int LayersAbove(uint32_t n) { return n == 1 ? 0 : 32 - __builtin_clz(n - 1); }

// The root of a tree of 2^`height` chunks that are not there.
const Hash256& ChunkPadding(int height) { return PaddingRoot(kLeafLayers + height); }

// Replaces `layer`, whose nodes stand over 2^`height` chunks, by the layer above it.
void Climb(std::vector<Hash256>* layer, int height) {
  if (layer->size() % 2 != 0) layer->push_back(ChunkPadding(height));
  HashPairs(layer->data(), layer->size() / 2, layer->data());
  layer->resize(layer->size() / 2);
}

// The node `layers` above `nodes` (at most 2^layers of them), each of which stands over 2^height
// chunks.
Hash256 RootOf(std::vector<Hash256> nodes, int height, int layers) {
  for (int i = 0; i < layers; ++i) Climb(&nodes, height + i);
  return nodes.front();
}

// The layers from the roots of a file's runs up to just below the file root.
struct RunLayers {
  uint32_t span;
  int height;                                // of the lowest layer: 2^height is the span
  std::vector<std::vector<Hash256>> layers;  // without padding
};

RunLayers MakeRunLayers(absl::Span<const Hash256> chunk_hashes) {
  const uint32_t count = static_cast<uint32_t>(chunk_hashes.size());
  RunLayers result;
  result.span = SpanOf(count);
  result.height = LayersAbove(result.span);
  std::vector<Hash256> layer;
  for (size_t first = 0; first < count; first += result.span) {
    const absl::Span<const Hash256> run = chunk_hashes.subspan(first, result.span);
    layer.push_back(RootOf({run.begin(), run.end()}, 0, result.height));
  }
  for (int height = result.height; height < LayersAbove(count); ++height) {
    result.layers.push_back(layer);
    Climb(&layer, height);
  }
  return result;
}

HashRange RunAt(const RunLayers& tree, absl::Span<const Hash256> chunk_hashes, uint32_t first) {
  HashRange range;
  range.first = first;
  const absl::Span<const Hash256> run = chunk_hashes.subspan(first, tree.span);
  range.hashes.assign(run.begin(), run.end());
  size_t index = first / tree.span;
  for (size_t i = 0; i < tree.layers.size(); ++i, index /= 2) {
    const std::vector<Hash256>& layer = tree.layers[i];
    const size_t uncle = index ^ 1;
    range.proof.push_back(uncle < layer.size() ? layer[uncle]
                                               : ChunkPadding(tree.height + static_cast<int>(i)));
  }
  return range;
}

size_t LeafCountOf(absl::Span<const uint8_t> chunk) {
  return (chunk.size() + limits::kLeafBytes - 1) / limits::kLeafBytes;
}

// See ChunkHash.
Hash256 RootOfLeaves(absl::Span<const Hash256> leaves, ByteCount file_bytes) {
  if (leaves.empty()) return Hash256();
  // Hashes of missing leaves are zero (BEP 52), as the array begins.
  std::array<Hash256, limits::kLeavesPerChunk> nodes;
  std::copy(leaves.begin(), leaves.end(), nodes.begin());
  size_t width = TreeWidth(static_cast<uint32_t>(leaves.size()), file_bytes);
  for (; width > 1; width /= 2) HashPairs(nodes.data(), width / 2, nodes.data());
  return nodes.front();
}

}  // namespace

const Hash256& PaddingRoot(int layers) {
  static const std::array<Hash256, kMaxPaddingLayers + 1>* const kRoots = [] {
    auto* roots = new std::array<Hash256, kMaxPaddingLayers + 1>;
    for (size_t i = 1; i < roots->size(); ++i) {
      const Hash256 pair[2] = {(*roots)[i - 1], (*roots)[i - 1]};
      HashPairs(pair, 1, &(*roots)[i]);
    }
    return roots;
  }();
  return (*kRoots)[static_cast<size_t>(layers)];
}

uint32_t TreeWidth(uint32_t leaf_count, ByteCount file_bytes) {
  if (file_bytes.value() > limits::kChunkBytes) return limits::kLeavesPerChunk;
  return uint32_t{1} << LayersAbove(std::max(leaf_count, uint32_t{1}));
}

Hash256 ChunkHash(absl::Span<const uint8_t> chunk, ByteCount file_bytes) {
  std::array<Hash256, limits::kLeavesPerChunk> leaves;
  HashLeaves(chunk, leaves.data());
  return RootOfLeaves(absl::MakeConstSpan(leaves).first(LeafCountOf(chunk)), file_bytes);
}

std::vector<Hash256> HashOfEach(absl::Span<const ChunkToHash> chunks) {
  std::vector<absl::Span<const uint8_t>> pieces;
  size_t leaf_count = 0;
  for (const ChunkToHash& chunk : chunks) {
    pieces.push_back(chunk.bytes);
    leaf_count += LeafCountOf(chunk.bytes);
  }
  std::vector<Hash256> leaves(leaf_count);
  HashLeaves(pieces, leaves.data());
  std::vector<Hash256> hashes;
  absl::Span<const Hash256> rest = leaves;
  for (const ChunkToHash& chunk : chunks) {
    const size_t own = LeafCountOf(chunk.bytes);
    hashes.push_back(RootOfLeaves(rest.first(own), chunk.file_bytes));
    rest.remove_prefix(own);
  }
  return hashes;
}

Hash256 FileRoot(absl::Span<const Hash256> chunk_hashes) {
  return RootOf({chunk_hashes.begin(), chunk_hashes.end()}, 0,
                LayersAbove(static_cast<uint32_t>(chunk_hashes.size())));
}

uint32_t SpanOf(uint32_t chunk_count) {
  if (chunk_count >= limits::kMaxHashesPerMessage) return limits::kMaxHashesPerMessage;
  return uint32_t{1} << LayersAbove(std::max(chunk_count, uint32_t{1}));
}

absl::StatusOr<HashRange> MakeHashRange(absl::Span<const Hash256> chunk_hashes, uint32_t first) {
  if (first >= chunk_hashes.size()) {
    return absl::InvalidArgumentError("the run of chunk hashes begins beyond the end of the file");
  }
  const uint32_t span = SpanOf(static_cast<uint32_t>(chunk_hashes.size()));
  if (first % span != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("a run of chunk hashes of this file begins at a multiple of ", span));
  }
  return RunAt(MakeRunLayers(chunk_hashes), chunk_hashes, first);
}

std::vector<HashRange> MakeHashRanges(absl::Span<const Hash256> chunk_hashes) {
  const RunLayers tree = MakeRunLayers(chunk_hashes);
  std::vector<HashRange> runs;
  for (size_t first = 0; first < chunk_hashes.size(); first += tree.span) {
    runs.push_back(RunAt(tree, chunk_hashes, static_cast<uint32_t>(first)));
  }
  return runs;
}

absl::Status VerifyHashRange(const HashRange& range, uint32_t chunk_count,
                             const Hash256& file_root) {
  const uint32_t span = SpanOf(chunk_count);
  if (range.first >= chunk_count || range.first % span != 0) {
    return absl::InvalidArgumentError("the run of chunk hashes begins at a wrong chunk");
  }
  if (range.hashes.size() != std::min(span, chunk_count - range.first)) {
    return absl::InvalidArgumentError("the run of chunk hashes has a wrong length");
  }
  const int height = LayersAbove(span);
  if (range.proof.size() != static_cast<size_t>(LayersAbove(chunk_count) - height)) {
    return absl::InvalidArgumentError("the proof of the chunk hashes has a wrong length");
  }
  Hash256 node = RootOf(range.hashes, 0, height);
  uint32_t index = range.first / span;
  for (size_t i = 0; i < range.proof.size(); ++i) {
    const Hash256& uncle = range.proof[i];
    const int uncle_height = height + static_cast<int>(i);
    if ((uint64_t{index ^ 1} << uncle_height) >= chunk_count &&
        uncle != ChunkPadding(uncle_height)) {
      return absl::InvalidArgumentError("the proof of the chunk hashes has wrong padding");
    }
    Hash256 pair[2] = {node, uncle};
    if (index % 2 != 0) std::swap(pair[0], pair[1]);
    HashPairs(pair, 1, &node);
    index /= 2;
  }
  if (node != file_root) {
    return absl::InvalidArgumentError("the chunk hashes do not lead to the file's root");
  }
  return absl::OkStatus();
}

}  // namespace p2p::content

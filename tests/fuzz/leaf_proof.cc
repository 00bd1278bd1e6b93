// Leaves of a chunk with their proof: true ones with changes that the input asks for, taken in by
// one tree. Each is accepted exactly when nothing was changed, and whatever the tree proves to
// others is true.
#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/base/limits.h"
#include "core/content/chunk_tree.h"
#include "core/content/merkle.h"
#include "tests/fuzz/fuzz.h"

namespace p2p::content {
namespace {

using Range = std::pair<uint32_t, uint32_t>;  // first leaf, leaves

// A chunk of `length` bytes, with the node above each range of its leaves.
struct Chunk {
  Chunk(uint32_t chunk_length, uint64_t file_length)
      : length(chunk_length), file_bytes(file_length) {
    std::string bytes(length, '\0');
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i % 251);
    const auto* raw = reinterpret_cast<const uint8_t*>(bytes.data());
    hash = ChunkHash({raw, length}, file_bytes);
    const ChunkTree shape(hash, length, file_bytes);
    width = shape.width();
    leaf_count = shape.leaf_count();
    for (uint32_t leaves = 1; leaves <= width; leaves *= 2) {
      for (uint32_t first = 0; first < width; first += leaves) {
        const uint64_t from = std::min<uint64_t>(uint64_t{first} * limits::kLeafBytes, length);
        const uint64_t end =
            std::min<uint64_t>(from + uint64_t{leaves} * limits::kLeafBytes, length);
        nodes[{first, leaves}] = ChunkTree::RangeRoot({raw + from, end - from}, leaves);
      }
    }
  }

  std::vector<Hash256> Proof(uint32_t first, uint32_t leaves) const {
    std::vector<Hash256> proof;
    for (; leaves < width; leaves *= 2) {
      proof.push_back(nodes.at({(first / leaves ^ 1) * leaves, leaves}));
      first -= first % (2 * leaves);
    }
    return proof;
  }

  uint32_t length;
  ByteCount file_bytes;
  uint32_t width = 0;
  uint32_t leaf_count = 0;
  Hash256 hash;
  std::map<Range, Hash256> nodes;
};

const Chunk& ChunkOf(uint32_t number) {
  static const std::vector<Chunk>* const kChunks = new std::vector<Chunk>{
      Chunk(1, 1),
      Chunk(40'000, 40'000),
      Chunk(limits::kChunkBytes, limits::kChunkBytes),
      Chunk(200'000, limits::kChunkBytes + 200'000),
  };
  return (*kChunks)[number % kChunks->size()];
}

// "FIRST LEAVES [CHANGE AT]..."
void Take(const Chunk& chunk, absl::string_view line, ChunkTree* tree) {
  uint32_t first = fuzz::TakeNumber(&line) % 40;
  uint32_t leaves = fuzz::TakeNumber(&line) % 40;
  const auto truth = chunk.nodes.find({first, leaves});
  const bool there = truth != chunk.nodes.end();
  Hash256 root = there ? truth->second : chunk.hash;
  std::vector<Hash256> proof = there ? chunk.Proof(first, leaves) : std::vector<Hash256>();
  while (!line.empty()) {
    const absl::string_view what = fuzz::TakeWord(&line);
    const uint32_t at = fuzz::TakeNumber(&line);
    if (what == "root") {
      root.bytes[at / 8 % 32] ^= static_cast<uint8_t>(1 << (at % 8));
    } else if (what == "first") {
      first = at;
    } else if (what == "leaves") {
      leaves = at;
    } else if (what == "add" && proof.size() < 8) {
      proof.push_back(root);
    } else if (proof.empty()) {
      continue;
    } else if (what == "flip") {
      proof[at % proof.size()].bytes[at % 32] ^= 0x10;
    } else if (what == "drop") {
      proof.pop_back();
    }
  }
  const auto node = chunk.nodes.find({first, leaves});
  const bool provable =
      node != chunk.nodes.end() && leaves < chunk.width && first < chunk.leaf_count;
  const bool good = provable && root == node->second && proof == chunk.Proof(first, leaves);
  P2P_FUZZ_CHECK(tree->Add(first, leaves, root, proof).ok() == good);
}

void CheckProofs(const Chunk& chunk, const ChunkTree& tree) {
  for (const auto& [range, node] : chunk.nodes) {
    const absl::StatusOr<std::vector<Hash256>> proof = tree.Proof(range.first, range.second);
    if (proof.ok()) P2P_FUZZ_CHECK(*proof == chunk.Proof(range.first, range.second));
  }
}

}  // namespace
}  // namespace p2p::content

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  absl::string_view rest = p2p::fuzz::AsText(data, size);
  absl::string_view head = p2p::fuzz::TakeLine(&rest);
  const p2p::content::Chunk& chunk = p2p::content::ChunkOf(p2p::fuzz::TakeNumber(&head));
  p2p::content::ChunkTree tree(chunk.hash, chunk.length, chunk.file_bytes);
  for (int messages = 0; messages < 32 && !rest.empty(); ++messages) {
    p2p::content::Take(chunk, p2p::fuzz::TakeLine(&rest), &tree);
  }
  p2p::content::CheckProofs(chunk, tree);
  return 0;
}

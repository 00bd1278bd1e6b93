// Chunk hashes with their proof: a true run with changes that the input asks for. It is accepted
// exactly when nothing was changed.
#include <algorithm>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/content/manifest.h"
#include "core/content/sha256.h"
#include "tests/fuzz/fuzz.h"

namespace p2p::content {
namespace {

// A file of `chunk_count` chunks with made-up hashes.
struct File {
  explicit File(uint32_t chunk_count) {
    for (uint32_t i = 0; i < chunk_count; ++i) hashes.push_back(Sha256(absl::StrCat("chunk ", i)));
    root = FileRoot(hashes);
    // The last run: the shortest, and the one that padding is beside.
    true_range = MakeHashRanges(hashes).back();
    LayoutFile file;
    file.path = "f";
    file.length = ByteCount(uint64_t{chunk_count} * limits::kChunkBytes);
    manifest = std::make_shared<const Manifest>(
        *Manifest::Make(*Layout::Make("f", false, {file}), {root}));
  }
  std::vector<Hash256> hashes;
  Hash256 root;
  HashRange true_range;
  std::shared_ptr<const Manifest> manifest;
};

const File& FileOf(uint32_t number) {
  // Of more than 8,192 chunks there are several runs, and proofs.
  static const std::vector<File>* const kFiles =
      new std::vector<File>{File(1), File(2), File(3), File(7), File(8'195), File(16'389)};
  return (*kFiles)[number % kFiles->size()];
}

void Change(absl::string_view line, HashRange* range) {
  const absl::string_view what = fuzz::TakeWord(&line);
  std::vector<Hash256>& list = fuzz::TakeWord(&line) == "proof" ? range->proof : range->hashes;
  const uint32_t at = fuzz::TakeNumber(&line);
  if (what == "first") {
    range->first = at;
  } else if (what == "zero") {
    list.emplace_back();
  } else if (list.empty()) {
    return;
  } else if (what == "flip") {
    const uint32_t bit = fuzz::TakeNumber(&line);
    list[at % list.size()].bytes[bit / 8 % 32] ^= static_cast<uint8_t>(1 << (bit % 8));
  } else if (what == "drop") {
    list.erase(list.begin() + at % list.size());
  } else if (what == "copy") {
    list.push_back(list[at % list.size()]);
  } else if (what == "swap") {
    std::swap(list[at % list.size()], list.back());
  }
}

void Check(const File& file, const HashRange& range) {
  const HashRange& truth = file.true_range;
  const bool same =
      range.first == truth.first && range.hashes == truth.hashes && range.proof == truth.proof;
  const uint32_t count = static_cast<uint32_t>(file.hashes.size());
  P2P_FUZZ_CHECK(VerifyHashRange(range, count, file.root).ok() == same);
  ChunkHashes hashes(file.manifest);
  const ChunkIndex first(truth.first);
  P2P_FUZZ_CHECK(hashes.Add(FileIndex(0), range).ok() == same);
  P2P_FUZZ_CHECK(!hashes.Add(FileIndex(1), range).ok());
  // The hash of a single chunk stands in the manifest itself.
  P2P_FUZZ_CHECK(hashes.Knows(first) == (same || count == 1));
  if (hashes.Knows(first)) P2P_FUZZ_CHECK(hashes.Get(first) == file.hashes[truth.first]);

  std::string bytes;
  for (const Hash256& hash : range.hashes) absl::StrAppend(&bytes, hash.AsView());
  if (count > 8) return;
  const bool decodes = count == 1 ? bytes.empty() : range.hashes == truth.hashes;
  P2P_FUZZ_CHECK(ChunkHashes::Decode(file.manifest, bytes).ok() == decodes);
}

}  // namespace
}  // namespace p2p::content

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  absl::string_view rest = p2p::fuzz::AsText(data, size);
  absl::string_view head = p2p::fuzz::TakeLine(&rest);
  const p2p::content::File& file = p2p::content::FileOf(p2p::fuzz::TakeNumber(&head));
  p2p::content::HashRange range = file.true_range;
  // A longer list is refused before it is hashed; there is no need for many changes.
  for (int changes = 0; changes < 64 && !rest.empty(); ++changes) {
    p2p::content::Change(p2p::fuzz::TakeLine(&rest), &range);
  }
  p2p::content::Check(file, range);
  return 0;
}

// A manifest as a peer sends it: what is accepted has a sound shape and legal paths, costs a small
// multiple of its bytes, and reads the same once it was made anew.
#include "core/content/manifest.h"

#include <algorithm>
#include <memory>

#include "core/base/limits.h"
#include "core/base/names.h"
#include "core/content/sha256.h"
#include "tests/fuzz/fuzz.h"

namespace p2p::content {
namespace {

void CheckChunk(const Layout& layout, ChunkIndex chunk) {
  const ChunkPlace place = layout.Locate(chunk);
  P2P_FUZZ_CHECK(place.file.value() < layout.files().size());
  const LayoutFile& file = layout.file(place.file);
  P2P_FUZZ_CHECK(place.length >= 1 && place.length <= limits::kChunkBytes);
  P2P_FUZZ_CHECK(place.offset + ByteCount(place.length) <= file.length);
  P2P_FUZZ_CHECK(file.first_chunk <= chunk &&
                 chunk < file.first_chunk + ChunkIndex(file.chunk_count));
  for (uint32_t leaf = 0; leaf < limits::kLeavesPerChunk; leaf += 8) {
    P2P_FUZZ_CHECK(layout.PartLength({chunk, leaf, 8}) <= 8 * limits::kLeafBytes);
  }
}

void CheckLayout(const Layout& layout) {
  P2P_FUZZ_CHECK(CheckName(layout.name()).ok());
  uint64_t chunks = 0;
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < layout.files().size(); ++i) {
    const LayoutFile& file = layout.file(FileIndex(i));
    P2P_FUZZ_CHECK(CheckName(file.path).ok());
    P2P_FUZZ_CHECK(file.first_chunk.value() == chunks);
    P2P_FUZZ_CHECK(layout.Find(file.path) == absl::optional<FileIndex>(FileIndex(i)));
    chunks += file.chunk_count;
    bytes += file.length.value();
  }
  P2P_FUZZ_CHECK(chunks == layout.chunk_count() && bytes == layout.total_bytes().value());
  P2P_FUZZ_CHECK(bytes <= limits::kMaxFileBytes);
  if (chunks == 0) return;
  for (uint64_t chunk : {uint64_t{0}, chunks / 2, chunks - 1}) {
    CheckChunk(layout, ChunkIndex(static_cast<uint32_t>(chunk)));
  }
}

bool SameFiles(const Layout& a, const Layout& b) {
  return a.name() == b.name() && a.is_directory() == b.is_directory() &&
         std::equal(a.files().begin(), a.files().end(), b.files().begin(), b.files().end(),
                    [](const LayoutFile& x, const LayoutFile& y) {
                      return x.path == y.path && x.length == y.length &&
                             x.executable == y.executable;
                    });
}

// Without keys that this version does not know, there is one manifest of a layout and its roots.
void CheckMadeAnew(const Manifest& manifest) {
  std::vector<Hash256> roots;
  for (uint32_t i = 0; i < manifest.layout().files().size(); ++i) {
    roots.push_back(manifest.root(FileIndex(i)));
  }
  const absl::StatusOr<Manifest> made = Manifest::Make(manifest.layout(), roots);
  P2P_FUZZ_CHECK(made.ok());
  const absl::StatusOr<Manifest> again = Manifest::Parse(made->info());
  P2P_FUZZ_CHECK(again.ok() && again->content_id() == made->content_id());
  P2P_FUZZ_CHECK(SameFiles(again->layout(), manifest.layout()));
  for (uint32_t i = 0; i < roots.size(); ++i) {
    P2P_FUZZ_CHECK(again->root(FileIndex(i)) == roots[i]);
  }
}

void CheckHashes(std::shared_ptr<const Manifest> manifest) {
  const size_t before = fuzz::AllocatedBytes();
  const ChunkHashes hashes(manifest);
  P2P_FUZZ_CHECK(hashes.Missing(4).size() <= 4);
  P2P_FUZZ_CHECK(hashes.Complete() == hashes.Missing(1).empty());
  (void)hashes.Knows(ChunkIndex(0));
  P2P_FUZZ_CHECK(!hashes.Knows(ChunkIndex(manifest->layout().chunk_count())));
  P2P_FUZZ_CHECK(fuzz::AllocatedBytes() - before <= 4'096);
}

}  // namespace
}  // namespace p2p::content

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace content = p2p::content;
  std::string info(p2p::fuzz::AsText(data, size));
  const size_t before = p2p::fuzz::AllocatedBytes();
  absl::StatusOr<content::Manifest> manifest = content::Manifest::Parse(std::move(info));
  // Files that lie deep repeat the names of their directories.
  P2P_FUZZ_CHECK(p2p::fuzz::AllocatedBytes() - before <= 256 * size + 16'384);
  if (!manifest.ok()) {
    P2P_FUZZ_CHECK(p2p::fuzz::IsShowable(manifest.status().message()));
    return 0;
  }
  P2P_FUZZ_CHECK(manifest->info() == p2p::fuzz::AsText(data, size));
  P2P_FUZZ_CHECK(manifest->content_id().hash == content::Sha256(manifest->info()));
  content::CheckLayout(manifest->layout());
  content::CheckMadeAnew(*manifest);
  content::CheckHashes(std::make_shared<const content::Manifest>(*std::move(manifest)));
  return 0;
}

// Chunk hashes while they come are the engine's alone.
#include <type_traits>

#include "core/content/merkle.h"
#include "daemon/engine/content_state.h"
#include "gtest/gtest.h"

namespace p2p::engine {
namespace {

// No job can be given a copy of what still changes.
static_assert(!std::is_copy_constructible_v<KnownHashes>);
static_assert(!std::is_copy_assignable_v<KnownHashes>);

TEST(KnownHashes, E03_WorkersGetThemOnceTheyAreComplete) {
  content::LayoutFile file;
  file.path = "x";
  file.length = ByteCount(uint64_t{3} * limits::kChunkBytes);
  auto layout = content::Layout::Make("x", false, {file});
  ASSERT_TRUE(layout.ok()) << layout.status();
  std::vector<Hash256> hashes(3);
  for (size_t i = 0; i < hashes.size(); ++i) hashes[i].bytes.fill(static_cast<uint8_t>(i + 1));
  auto manifest = content::Manifest::Make(*layout, {content::FileRoot(hashes)});
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  KnownHashes known(
      content::ChunkHashes(std::make_shared<const content::Manifest>(*std::move(manifest))));
  EXPECT_EQ(known.WhenComplete(), nullptr);
  EXPECT_EQ(KnownHashes().WhenComplete(), nullptr);
  ASSERT_TRUE(known.Add(FileIndex(0), {0, hashes, {}}).ok());
  const auto shared = known.WhenComplete();
  ASSERT_NE(shared, nullptr);
  EXPECT_EQ(shared->Get(ChunkIndex(2)), hashes[2]);
  // Nothing that comes later touches what workers read.
  EXPECT_TRUE(known.Add(FileIndex(0), {0, {hashes[0]}, {}}).ok());
}

}  // namespace
}  // namespace p2p::engine

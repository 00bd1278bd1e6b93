#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/content/manifest.h"
#include "core/content/merkle.h"
#include "gtest/gtest.h"
#include "tests/unit/content/content_fixtures.h"

namespace p2p::content {
namespace {

constexpr uint32_t kManyChunks = 8'192 + 8'192 + 3;  // three runs

// A share of an empty file, one of one chunk, one of three, and one of three runs.
class ChunkHashesTest : public testing::Test {
 protected:
  static constexpr FileIndex kEmpty{0}, kOne{1}, kThree{2}, kMany{3};

  std::shared_ptr<const Manifest> MakeManifest() const {
    const uint64_t chunk = limits::kChunkBytes;
    absl::StatusOr<Layout> layout = Layout::Make(
        "dir", true,
        {File("a", 0), File("b", chunk), File("c", 2 * chunk + 1), File("d", kManyChunks * chunk)});
    absl::StatusOr<Manifest> manifest =
        Manifest::Make(*std::move(layout), {Hash256(), one_, FileRoot(three_), FileRoot(many_)});
    return std::make_shared<const Manifest>(*std::move(manifest));
  }

  ChunkHashes Full() const {
    ChunkHashes hashes(manifest_);
    for (const HashRange& run : MakeHashRanges(three_)) EXPECT_TRUE(hashes.Add(kThree, run).ok());
    for (const HashRange& run : MakeHashRanges(many_)) EXPECT_TRUE(hashes.Add(kMany, run).ok());
    return hashes;
  }

  const Hash256 one_ = DistinctHashes(1, 9)[0];
  const std::vector<Hash256> three_ = DistinctHashes(3, 2);
  const std::vector<Hash256> many_ = DistinctHashes(kManyChunks, 3);
  const std::shared_ptr<const Manifest> manifest_ = MakeManifest();
};

using Runs = std::vector<std::pair<uint32_t, uint32_t>>;
Runs MissingRuns(const ChunkHashes& hashes, size_t most) {
  Runs runs;
  for (const ChunkHashes::Wanted& wanted : hashes.Missing(most))
    runs.emplace_back(wanted.file.value(), wanted.first);
  return runs;
}

TEST_F(ChunkHashesTest, KnowFilesOfOneChunkFromTheManifest) {
  const ChunkHashes hashes(manifest_);
  EXPECT_TRUE(hashes.Knows(ChunkIndex(0)));
  EXPECT_EQ(hashes.Get(ChunkIndex(0)), one_);
  EXPECT_FALSE(hashes.Knows(ChunkIndex(1)));
  EXPECT_FALSE(hashes.Knows(ChunkIndex(4 + kManyChunks)));
  EXPECT_FALSE(hashes.Complete());
}

TEST_F(ChunkHashesTest, AreCompleteAtOnceWhenEveryFileHasOneChunk) {
  absl::StatusOr<Layout> layout = Layout::Make("f", false, {File("f", 1)});
  const ChunkHashes hashes(std::make_shared<const Manifest>(*Manifest::Make(*layout, {one_})));
  EXPECT_TRUE(hashes.Complete());
  EXPECT_TRUE(hashes.Missing(10).empty());
  EXPECT_EQ(hashes.Encode(), "");
}

TEST_F(ChunkHashesTest, GrowRunByRunInAnyOrder) {
  ChunkHashes hashes(manifest_);
  EXPECT_EQ(MissingRuns(hashes, 10), (Runs{{2, 0}, {3, 0}, {3, 8'192}, {3, 16'384}}));
  EXPECT_EQ(MissingRuns(hashes, 2), (Runs{{2, 0}, {3, 0}}));
  EXPECT_EQ(MissingRuns(hashes, 0), Runs{});

  ASSERT_TRUE(hashes.Add(kMany, *MakeHashRange(many_, 8'192)).ok());
  EXPECT_EQ(MissingRuns(hashes, 10), (Runs{{2, 0}, {3, 0}, {3, 16'384}}));
  EXPECT_TRUE(hashes.Knows(ChunkIndex(4 + 8'192)));
  EXPECT_EQ(hashes.Get(ChunkIndex(4 + 8'192)), many_[8'192]);
  EXPECT_EQ(hashes.Get(ChunkIndex(4 + 16'383)), many_[16'383]);
  EXPECT_FALSE(hashes.Knows(ChunkIndex(4 + 8'191)));
  EXPECT_FALSE(hashes.Knows(ChunkIndex(4 + 16'384)));

  ASSERT_TRUE(hashes.Add(kThree, *MakeHashRange(three_, 0)).ok());
  ASSERT_TRUE(hashes.Add(kMany, *MakeHashRange(many_, 16'384)).ok());
  EXPECT_EQ(MissingRuns(hashes, 10), (Runs{{3, 0}}));
  EXPECT_FALSE(hashes.Complete());
  ASSERT_TRUE(hashes.Add(kMany, *MakeHashRange(many_, 0)).ok());
  EXPECT_TRUE(hashes.Complete());
  for (uint32_t i = 0; i < 3; ++i) EXPECT_EQ(hashes.Get(ChunkIndex(1 + i)), three_[i]);
  for (uint32_t i = 0; i < kManyChunks; ++i) ASSERT_EQ(hashes.Get(ChunkIndex(4 + i)), many_[i]);
}

TEST_F(ChunkHashesTest, TellWhatTheyKnowAsRuns) {
  using Known = std::vector<std::pair<ChunkIndex, uint32_t>>;
  ChunkHashes hashes(manifest_);
  EXPECT_EQ(hashes.KnownRuns(), (Known{{ChunkIndex(0), 1}}));
  ASSERT_TRUE(hashes.Add(kMany, *MakeHashRange(many_, 8'192)).ok());
  EXPECT_EQ(hashes.KnownRuns(), (Known{{ChunkIndex(0), 1}, {ChunkIndex(4 + 8'192), 8'192}}));
  EXPECT_EQ(Full().KnownRuns(), (Known{{ChunkIndex(0), 4 + kManyChunks}}));
  EXPECT_TRUE(ChunkHashes().KnownRuns().empty());
}

TEST_F(ChunkHashesTest, TakeTheSameRunTwice) {
  ChunkHashes hashes = Full();
  EXPECT_TRUE(hashes.Add(kThree, *MakeHashRange(three_, 0)).ok());
  EXPECT_TRUE(hashes.Complete());
}

TEST_F(ChunkHashesTest, C14_RefuseWhatDoesNotProve) {
  ChunkHashes hashes(manifest_);
  HashRange run = *MakeHashRange(many_, 0);
  EXPECT_FALSE(hashes.Add(kThree, run).ok()) << "of another file";
  EXPECT_FALSE(hashes.Add(kEmpty, run).ok());
  EXPECT_FALSE(hashes.Add(FileIndex(4), run).ok()) << "there is no such file";
  EXPECT_FALSE(hashes.Add(FileIndex(0xffff'ffff), run).ok());
  run.hashes[100].bytes[0] ^= 1;
  EXPECT_EQ(hashes.Add(kMany, run).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(hashes.Knows(ChunkIndex(4)));
  EXPECT_EQ(hashes.Missing(10).size(), 4u);
}

TEST_F(ChunkHashesTest, ServeEachRunThatTheyKnow) {
  ChunkHashes hashes(manifest_);
  EXPECT_EQ(hashes.Range(kMany, 8'192).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(hashes.Add(kMany, *MakeHashRange(many_, 8'192)).ok());
  const absl::StatusOr<HashRange> run = hashes.Range(kMany, 8'192);
  ASSERT_TRUE(run.ok()) << "others need not be known";
  EXPECT_TRUE(VerifyHashRange(*run, kManyChunks, manifest_->root(kMany)).ok());

  const absl::StatusOr<HashRange> one = hashes.Range(kOne, 0);
  ASSERT_TRUE(one.ok());
  EXPECT_TRUE(VerifyHashRange(*one, 1, one_).ok());

  const std::pair<FileIndex, uint32_t> wrong[] = {
      {kMany, 1}, {kMany, 24'576}, {kMany, 0xffff'e000}, {kEmpty, 0}, {kOne, 1}, {FileIndex(4), 0}};
  for (const auto& [file, first] : wrong) {
    EXPECT_EQ(hashes.Range(file, first).status().code(), absl::StatusCode::kInvalidArgument)
        << file << " " << first;
  }
}

TEST_F(ChunkHashesTest, SurviveTheCatalog) {
  const std::string bytes = Full().Encode();
  EXPECT_EQ(bytes.size(), (3 + kManyChunks) * 32u);
  const absl::StatusOr<ChunkHashes> decoded = ChunkHashes::Decode(manifest_, bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_TRUE(decoded->Complete());
  EXPECT_EQ(decoded->Encode(), bytes);
  for (uint32_t first = 0; first < kManyChunks; first += 8'192) {
    EXPECT_TRUE(
        VerifyHashRange(*decoded->Range(kMany, first), kManyChunks, manifest_->root(kMany)).ok());
  }
}

TEST_F(ChunkHashesTest, C14_AreNotDecodedFromWrongBytes) {
  const std::string bytes = Full().Encode();
  EXPECT_FALSE(ChunkHashes::Decode(manifest_, "").ok());
  EXPECT_FALSE(ChunkHashes::Decode(manifest_, absl::string_view(bytes).substr(1)).ok());
  EXPECT_FALSE(ChunkHashes::Decode(manifest_, bytes + "x").ok());
  for (size_t at : {size_t{0}, bytes.size() / 2, bytes.size() - 1}) {
    std::string flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    EXPECT_FALSE(ChunkHashes::Decode(manifest_, flipped).ok()) << "byte " << at;
  }
}

TEST(ChunkHashesWithoutManifest, KnowNothing) {
  const ChunkHashes hashes;
  EXPECT_FALSE(hashes.Knows(ChunkIndex(0)));
  EXPECT_TRUE(hashes.Missing(5).empty());
  EXPECT_FALSE(hashes.Range(FileIndex(0), 0).ok());
}

}  // namespace
}  // namespace p2p::content

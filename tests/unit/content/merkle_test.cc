#include "core/content/merkle.h"

#include <vector>

#include "core/base/limits.h"
#include "core/content/sha256.h"
#include "gtest/gtest.h"
#include "tests/unit/content/content_fixtures.h"

namespace p2p::content {
namespace {

Hash256 HashOfPair(const Hash256& left, const Hash256& right) {
  std::string both(left.AsView());
  both.append(right.AsView().data(), right.AsView().size());
  return Sha256(both);
}

// The root over `nodes`, padded with `padding` to `width`, in the plainest way there is.
Hash256 PlainRoot(std::vector<Hash256> nodes, size_t width, Hash256 padding) {
  nodes.resize(width, padding);
  while (nodes.size() > 1) {
    std::vector<Hash256> above;
    for (size_t i = 0; i < nodes.size(); i += 2)
      above.push_back(HashOfPair(nodes[i], nodes[i + 1]));
    nodes = above;
  }
  return nodes.front();
}

size_t NextPowerOfTwo(size_t n) {
  size_t width = 1;
  while (width < n) width *= 2;
  return width;
}

Hash256 ZeroChunk() { return PlainRoot({}, limits::kLeavesPerChunk, Hash256()); }

// BEP 52's pieces root straight from a file's leaves, without any chunks.
Hash256 PlainFileRoot(absl::Span<const uint8_t> file) {
  std::vector<Hash256> leaves;
  for (size_t at = 0; at < file.size(); at += limits::kLeafBytes) {
    leaves.push_back(Sha256(file.subspan(at, limits::kLeafBytes)));
  }
  return PlainRoot(leaves, NextPowerOfTwo(leaves.size()), Hash256());
}

TEST(Merkle, RootOfChunkHashesIsTheRootOfTheLeaves) {
  constexpr size_t kLeaf = limits::kLeafBytes;
  constexpr size_t kChunk = limits::kChunkBytes;
  const std::vector<uint8_t> data = PatternBytes(6 * kChunk);
  for (size_t size :
       {size_t{1}, kLeaf - 1, kLeaf, kLeaf + 1, 3 * kLeaf, 5 * kLeaf + 1, kChunk - 1, kChunk,
        kChunk + 1, kChunk + kLeaf, 2 * kChunk, 2 * kChunk + 1, 3 * kChunk, 5 * kChunk + 77}) {
    const absl::Span<const uint8_t> file(data.data(), size);
    EXPECT_EQ(FileRoot(ChunkHashesOf(file)), PlainFileRoot(file)) << size << " bytes";
  }
}

TEST(Merkle, HashOfAFileOfOneChunkIsItsRoot) {
  const std::vector<uint8_t> file = PatternBytes(5 * limits::kLeafBytes);
  const Hash256 hash = ChunkHash(file, ByteCount(file.size()));
  EXPECT_EQ(hash, FileRoot({&hash, 1}));
  EXPECT_NE(hash, ChunkHash(file, ByteCount(limits::kChunkBytes + file.size())))
      << "as the last of two chunks it is padded to 32 leaves";
}

TEST(Merkle, HashOfEachIsTheHashOfEveryChunkAlone) {
  constexpr size_t kLeaf = limits::kLeafBytes;
  const std::vector<uint8_t> data = PatternBytes(limits::kChunkBytes);
  std::vector<ChunkToHash> chunks;
  std::vector<Hash256> expected;
  for (size_t size : {kLeaf, size_t{0}, size_t{1}, 5 * kLeaf, data.size(), kLeaf + 1, kLeaf}) {
    for (size_t file_bytes : {size, size + limits::kChunkBytes}) {
      chunks.push_back({absl::MakeConstSpan(data).first(size), ByteCount(file_bytes)});
      expected.push_back(ChunkHash(chunks.back().bytes, ByteCount(file_bytes)));
    }
  }
  EXPECT_EQ(HashOfEach(chunks), expected);
  EXPECT_TRUE(HashOfEach({}).empty());
}

TEST(Merkle, SpanIsAPowerOfTwoOfAtMostOneMessage) {
  EXPECT_EQ(SpanOf(0), 1u);
  EXPECT_EQ(SpanOf(1), 1u);
  EXPECT_EQ(SpanOf(2), 2u);
  EXPECT_EQ(SpanOf(3), 4u);
  EXPECT_EQ(SpanOf(8'191), 8'192u);
  EXPECT_EQ(SpanOf(8'192), 8'192u);
  EXPECT_EQ(SpanOf(8'193), 8'192u);
  EXPECT_EQ(SpanOf(uint32_t{1} << 31), 8'192u);
}

TEST(HashRange, EveryRunProvesForEveryCountAroundPowersOfTwo) {
  for (uint32_t count :
       {1, 2, 3, 4, 5, 7, 8, 9, 8'191, 8'192, 8'193, 16'384, 16'385, 24'577, 40'000}) {
    const std::vector<Hash256> hashes = DistinctHashes(count);
    const Hash256 root = PlainRoot(hashes, NextPowerOfTwo(count), ZeroChunk());
    ASSERT_EQ(FileRoot(hashes), root) << count << " chunks";
    const std::vector<HashRange> runs = MakeHashRanges(hashes);
    ASSERT_EQ(runs.size(), (count + SpanOf(count) - 1) / SpanOf(count));
    for (const HashRange& run : runs) {
      ASSERT_TRUE(VerifyHashRange(run, count, root).ok())
          << count << " chunks, run at " << run.first;
      const absl::StatusOr<HashRange> same = MakeHashRange(hashes, run.first);
      ASSERT_TRUE(same.ok());
      EXPECT_EQ(same->hashes, run.hashes);
      EXPECT_EQ(same->proof, run.proof);
    }
  }
}

TEST(HashRange, IsNotMadeAtAWrongStart) {
  const std::vector<Hash256> hashes = DistinctHashes(8'193);
  EXPECT_TRUE(MakeHashRange(hashes, 8'192).ok());
  EXPECT_EQ(MakeHashRange(hashes, 1).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MakeHashRange(hashes, 8'193).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MakeHashRange(hashes, 16'384).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MakeHashRange({}, 0).status().code(), absl::StatusCode::kInvalidArgument);
}

class ForgedRange : public testing::Test {
 protected:
  static constexpr uint32_t kCount = 20'000;
  const std::vector<Hash256> hashes_ = DistinctHashes(kCount);
  const Hash256 root_ = FileRoot(hashes_);
  HashRange range_ = *MakeHashRange(hashes_, 16'384);

  bool Proves(uint32_t count = kCount) const { return VerifyHashRange(range_, count, root_).ok(); }
};

TEST_F(ForgedRange, C14_IsRefusedWithAnotherHashOrProof) {
  ASSERT_TRUE(Proves());
  for (size_t i : {size_t{0}, size_t{1}, range_.hashes.size() - 1}) {
    range_.hashes[i].bytes[31] ^= 1;
    EXPECT_FALSE(Proves()) << "hash " << i;
    range_.hashes[i].bytes[31] ^= 1;
  }
  for (Hash256& uncle : range_.proof) {
    uncle.bytes[0] ^= 0x80;
    EXPECT_FALSE(Proves());
    uncle.bytes[0] ^= 0x80;
  }
  std::swap(range_.hashes[3], range_.hashes[4]);
  EXPECT_FALSE(Proves()) << "hashes in another order";
}

TEST_F(ForgedRange, V10_IsRefusedWithPaddingThatIsNone) {
  for (const uint32_t count : {8'193u, 16'385u, 20'000u, 40'000u}) {
    const std::vector<Hash256> hashes = DistinctHashes(count);
    HashRange last = MakeHashRanges(hashes).back();
    ASSERT_TRUE(VerifyHashRange(last, count, FileRoot(hashes)).ok());
    // The root that a file would have whose first padding node is something else.
    const auto padding = [](uint32_t chunks) {
      return PlainRoot(std::vector<Hash256>(chunks, ZeroChunk()), chunks, ZeroChunk());
    };
    uint32_t index = last.first / 8'192;
    bool forged = false;
    Hash256 node = PlainRoot(last.hashes, 8'192, ZeroChunk());
    for (size_t i = 0; i < last.proof.size(); ++i, index /= 2) {
      if (!forged && last.proof[i] == padding(8'192u << i)) {
        last.proof[i].bytes[7] ^= 4;
        forged = true;
      }
      Hash256 pair[2] = {node, last.proof[i]};
      if (index % 2 != 0) std::swap(pair[0], pair[1]);
      HashPairs(pair, 1, &node);
    }
    if (count == 8'193) {
      ASSERT_FALSE(forged) << "two runs, no padding above them";
      continue;
    }
    ASSERT_TRUE(forged) << count << " chunks";
    EXPECT_FALSE(VerifyHashRange(last, count, node).ok()) << count << " chunks";
  }
}

TEST_F(ForgedRange, C14_IsRefusedAtAnotherPlace) {
  for (uint32_t first : {0u, 1u, 8'192u, 16'385u, 24'576u, 0xffff'ffffu, 0xffff'e000u}) {
    range_.first = first;
    EXPECT_FALSE(Proves()) << first;
  }
}

TEST_F(ForgedRange, C14_IsRefusedWithAWrongNumberOfHashesOrUncles) {
  const HashRange good = range_;
  range_.hashes.pop_back();
  EXPECT_FALSE(Proves()) << "truncated";
  range_ = good;
  range_.hashes.push_back(ZeroChunk());
  EXPECT_FALSE(Proves()) << "padding sent along";
  range_ = good;
  range_.hashes.clear();
  EXPECT_FALSE(Proves()) << "empty";
  range_ = good;
  range_.proof.pop_back();
  EXPECT_FALSE(Proves()) << "proof too short";
  range_ = good;
  range_.proof.push_back(Hash256());
  EXPECT_FALSE(Proves()) << "proof too long";
  range_ = good;
  for (uint32_t count : {0u, 1u, kCount - 1, kCount + 1, 1u << 31, 0xffff'ffffu}) {
    EXPECT_FALSE(Proves(count)) << "a file of " << count << " chunks";
  }
}

}  // namespace
}  // namespace p2p::content

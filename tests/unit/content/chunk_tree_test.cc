#include "core/content/chunk_tree.h"

#include <vector>

#include "core/content/sha256.h"
#include "gtest/gtest.h"
#include "tests/unit/content/content_fixtures.h"

namespace p2p::content {
namespace {

constexpr uint32_t kLeaf = limits::kLeafBytes;
constexpr uint32_t kChunk = limits::kChunkBytes;

struct Range {
  uint32_t first;
  uint32_t count;
};

// A chunk with its hash from ChunkHash, and what two sides would know of it.
struct Sample {
  Sample(uint32_t length, uint64_t bytes_of_file)
      : bytes(PatternBytes(length)),
        file_bytes(bytes_of_file),
        hash(ChunkHash(bytes, ByteCount(file_bytes))),
        whole(Empty()) {
    EXPECT_TRUE(whole.AddAll(bytes).ok()) << length << " of " << file_bytes << " bytes";
  }

  ChunkTree Empty() const {
    return ChunkTree(hash, static_cast<uint32_t>(bytes.size()), ByteCount(file_bytes));
  }
  absl::Span<const uint8_t> Slice(Range range) const {
    return absl::MakeConstSpan(bytes).subspan(range.first * kLeaf, range.count * kLeaf);
  }
  Hash256 Root(Range range) const { return ChunkTree::RangeRoot(Slice(range), range.count); }
  std::vector<Hash256> Proof(Range range) const {
    auto proof = whole.Proof(range.first, range.count);
    EXPECT_TRUE(proof.ok()) << range.first << "+" << range.count << ": " << proof.status();
    return proof.ok() ? *proof : std::vector<Hash256>();
  }
  absl::Status AddTo(ChunkTree* tree, Range range) const {
    return tree->Add(range.first, range.count, Root(range), Proof(range));
  }
  // Every range that exists and is provable, of at least `least` leaves.
  std::vector<Range> Ranges(uint32_t least = ChunkTree::kGranularityLeaves) const {
    std::vector<Range> ranges;
    for (uint32_t count = least; count < whole.width(); count *= 2) {
      for (uint32_t first = 0; first < whole.leaf_count(); first += count) {
        ranges.push_back({first, count});
      }
    }
    return ranges;
  }

  std::vector<uint8_t> bytes;
  uint64_t file_bytes;
  Hash256 hash;
  ChunkTree whole;
};

// Full chunks, short last ones and files of one chunk, with lengths around the borders of leaves.
std::vector<Sample> Samples() {
  std::vector<Sample> samples;
  for (uint32_t leaves : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32}) {
    for (uint32_t length : {leaves * kLeaf - 1, leaves * kLeaf, leaves * kLeaf + 1}) {
      if (length > kChunk) continue;
      samples.emplace_back(length, length);
      samples.emplace_back(length, uint64_t{kChunk} + length);
    }
  }
  return samples;
}

// The proof of any range, also of less than a tree remembers, in the plainest way there is.
std::vector<Hash256> PlainProof(const Sample& sample, Range range) {
  std::vector<Hash256> proof;
  for (; range.count < sample.whole.width();
       range = {range.first & ~range.count, range.count * 2}) {
    const Range sibling{range.first ^ range.count, range.count};
    const bool exists = sibling.first * kLeaf < sample.bytes.size();
    proof.push_back(exists ? sample.Root(sibling) : ChunkTree::RangeRoot({}, range.count));
  }
  return proof;
}

TEST(ChunkTree, IsAsWideAsTheTreeThatTheChunkHashStandsOver) {
  for (const auto& [length, width, leaves] :
       std::vector<std::array<uint32_t, 3>>{{1, 1, 1},
                                            {kLeaf, 1, 1},
                                            {kLeaf + 1, 2, 2},
                                            {5 * kLeaf, 8, 5},
                                            {16 * kLeaf, 16, 16},
                                            {kChunk - kLeaf, 32, 31},
                                            {kChunk, 32, 32}}) {
    const ChunkTree alone(Hash256(), length, ByteCount(length));
    EXPECT_EQ(alone.width(), width) << length;
    EXPECT_EQ(alone.leaf_count(), leaves) << length;
    const ChunkTree last(Hash256(), length, ByteCount(uint64_t{kChunk} + length));
    EXPECT_EQ(last.width(), 32u) << length;
    EXPECT_EQ(last.leaf_count(), leaves) << length;
  }
}

TEST(ChunkTree, RootOfAWholeWidthIsTheChunkHash) {
  for (const Sample& sample : Samples()) {
    EXPECT_EQ(ChunkTree::RangeRoot(sample.bytes, sample.whole.width()), sample.hash)
        << sample.bytes.size() << " of " << sample.file_bytes << " bytes";
  }
  EXPECT_EQ(ChunkTree::RangeRoot({}, 1), Hash256()) << "a missing leaf is zero";
}

TEST(ChunkTree, OfAKnownChunkProvesEveryRangeToATreeThatKnowsNothing) {
  for (const Sample& sample : Samples()) {
    for (const Range& range : sample.Ranges()) {
      SCOPED_TRACE(testing::Message() << range.first << "+" << range.count << " of "
                                      << sample.bytes.size() << " of " << sample.file_bytes);
      EXPECT_EQ(sample.Proof(range), PlainProof(sample, range));
      ChunkTree other = sample.Empty();
      EXPECT_TRUE(sample.AddTo(&other, range).ok());
    }
  }
}

TEST(ChunkTree, VerifiesRangesThatAreTooSmallToBeRemembered) {
  for (const Sample& sample : Samples()) {
    for (const Range& range : sample.Ranges(1)) {
      ChunkTree tree = sample.Empty();
      const std::vector<Hash256> proof = PlainProof(sample, range);
      EXPECT_TRUE(tree.Add(range.first, range.count, sample.Root(range), proof).ok())
          << range.first << "+" << range.count << " of " << sample.bytes.size();
      if (range.count >= ChunkTree::kGranularityLeaves) continue;
      EXPECT_TRUE(absl::IsNotFound(tree.Proof(range.first, range.count).status()));
      EXPECT_TRUE(absl::IsNotFound(sample.whole.Proof(range.first, range.count).status()));
    }
  }
}

TEST(ChunkTree, ProvesRangesThatAreTooSmallToBeRememberedWithTheBytesAroundThem) {
  for (const Sample& sample : Samples()) {
    for (const Range range : sample.Ranges(/*least=*/1)) {
      const ChunkTree::Leaves group = sample.whole.GroupOf(range.first);
      if (range.count >= group.count) continue;
      const auto bytes = sample.Slice({group.first, group.count});
      const auto proof = sample.whole.ProofWithin(range.first, range.count, bytes);
      ASSERT_TRUE(proof.ok()) << proof.status();
      EXPECT_EQ(*proof, PlainProof(sample, range));
      std::vector<uint8_t> wrong(bytes.begin(), bytes.end());
      wrong.back() ^= 1;
      EXPECT_TRUE(absl::IsFailedPrecondition(
          sample.whole.ProofWithin(range.first, range.count, wrong).status()));
      if (group.count == sample.whole.width()) continue;
      EXPECT_FALSE(sample.Empty().Knows(group));
      EXPECT_TRUE(
          absl::IsNotFound(sample.Empty().ProofWithin(range.first, range.count, bytes).status()));
    }
  }
}

TEST(ChunkTree, LearnsFromAProofExactlyThatRangeAndItsSiblings) {
  const Sample sample(kChunk, 10 * kChunk);
  ChunkTree tree = sample.Empty();
  for (const Range& range : sample.Ranges()) {
    EXPECT_TRUE(absl::IsNotFound(tree.Proof(range.first, range.count).status()));
  }
  ASSERT_TRUE(sample.AddTo(&tree, {8, 4}).ok());
  for (const Range& range : sample.Ranges()) {
    bool known = false;
    for (const auto& [first, count] : std::vector<std::pair<uint32_t, uint32_t>>{
             {8, 4}, {12, 4}, {8, 8}, {0, 8}, {0, 16}, {16, 16}}) {
      known = known || (range.first == first && range.count == count);
    }
    const auto proof = tree.Proof(range.first, range.count);
    EXPECT_EQ(proof.ok(), known) << range.first << "+" << range.count;
    if (known) {
      EXPECT_EQ(*proof, sample.Proof(range));
    }
  }
  ASSERT_TRUE(sample.AddTo(&tree, {16, 8}).ok());
  EXPECT_EQ(*tree.Proof(24, 8), sample.Proof({24, 8}));
  EXPECT_TRUE(absl::IsNotFound(tree.Proof(24, 4).status()));
}

TEST(ChunkTree, KnowsAllWhenItsLowestRangesCame) {
  const Sample sample(kChunk - 5, kChunk - 5);
  ChunkTree tree = sample.Empty();
  for (uint32_t first = 0; first < 32; first += 8) {
    ASSERT_TRUE(sample.AddTo(&tree, {first, 4}).ok());
  }
  for (const Range& range : sample.Ranges()) {
    EXPECT_EQ(*tree.Proof(range.first, range.count), sample.Proof(range));
  }
}

TEST(ChunkTree, C14_RefusesAnotherRootOrProof) {
  for (const Sample& sample : {Sample(kChunk, 3 * kChunk), Sample(9 * kLeaf + 1, 9 * kLeaf + 1)}) {
    for (const Range& range : sample.Ranges()) {
      ChunkTree tree = sample.Empty();
      std::vector<Hash256> proof = sample.Proof(range);
      Hash256 root = sample.Root(range);
      for (size_t i = 0; i <= proof.size(); ++i) {
        Hash256& hash = i < proof.size() ? proof[i] : root;
        for (int bit : {0, 100, 255}) {
          hash.bytes[bit / 8] ^= 1 << bit % 8;
          EXPECT_TRUE(absl::IsInvalidArgument(tree.Add(range.first, range.count, root, proof)));
          hash.bytes[bit / 8] ^= 1 << bit % 8;
        }
      }
      EXPECT_TRUE(absl::IsNotFound(tree.Proof(range.first, range.count).status()))
          << "remembered what was not proven";
      EXPECT_TRUE(tree.Add(range.first, range.count, root, proof).ok());
    }
  }
}

TEST(ChunkTree, C14_RefusesProofsOfAnyOtherLength) {
  const Sample sample(kChunk, 3 * kChunk);
  for (const Range& range : sample.Ranges()) {
    ChunkTree tree = sample.Empty();
    const std::vector<Hash256> good = sample.Proof(range);
    for (size_t length : {0, 1, 2, 3, 4, 5, 6, 7, 31, 32, 33, 64, 100}) {
      std::vector<Hash256> proof = good;
      proof.resize(length, Hash256());
      EXPECT_EQ(tree.Add(range.first, range.count, sample.Root(range), proof).ok(),
                length == good.size())
          << length << " hashes for " << range.count << " leaves";
    }
  }
  ChunkTree tree = sample.Empty();
  EXPECT_FALSE(tree.Add(0, 4, sample.hash, {}).ok()) << "the chunk hash in the place of a range";
}

TEST(ChunkTree, C14_RefusesARangeAtAnotherPlace) {
  const Sample sample(kChunk, 3 * kChunk);
  for (const Range& range : sample.Ranges()) {
    for (uint32_t first = 0; first < 40; ++first) {
      ChunkTree tree = sample.Empty();
      EXPECT_EQ(tree.Add(first, range.count, sample.Root(range), sample.Proof(range)).ok(),
                first == range.first)
          << range.first << "+" << range.count << " at " << first;
    }
  }
}

TEST(ChunkTree, C14_RefusesRangesThatAreNone) {
  const Sample sample(5 * kLeaf + 1, 2 * kChunk + 5 * kLeaf + 1);
  ChunkTree tree = sample.Empty();
  for (const Range& range : std::vector<Range>{{0, 0},
                                               {0, 3},
                                               {2, 4},
                                               {0, 32},
                                               {0, 64},
                                               {32, 4},
                                               {8, 8},  // padding alone
                                               {0xffff'fffc, 4},
                                               {0, 0x8000'0000},
                                               {0x8000'0000, 0x8000'0000}}) {
    for (size_t length = 0; length <= 6; ++length) {
      const std::vector<Hash256> proof(length);
      EXPECT_TRUE(absl::IsInvalidArgument(tree.Add(range.first, range.count, sample.hash, proof)));
    }
    EXPECT_TRUE(absl::IsInvalidArgument(sample.whole.Proof(range.first, range.count).status()))
        << range.first << "+" << range.count;
  }
}

TEST(ChunkTree, C14_RefusesAChunkOfAnotherHashOrLength) {
  for (const Sample& sample : Samples()) {
    ChunkTree tree = sample.Empty();
    std::vector<uint8_t> bytes = sample.bytes;
    bytes.back() ^= 1;
    EXPECT_TRUE(absl::IsInvalidArgument(tree.AddAll(bytes)));
    bytes.back() ^= 1;
    bytes.push_back(0);
    EXPECT_TRUE(absl::IsInvalidArgument(tree.AddAll(bytes)));
    bytes.resize(sample.bytes.size() - 1);
    EXPECT_TRUE(absl::IsInvalidArgument(tree.AddAll(bytes)));
    for (const Range& range : sample.Ranges()) {
      EXPECT_EQ(tree.Proof(range.first, range.count).ok(),
                sample.Empty().Proof(range.first, range.count).ok())
          << "remembered what was not proven";
    }
  }
}

// A tree of chunk leaves whose missing ones have another hash than BEP 52 gives them.
struct ForgedPadding {
  ForgedPadding(const Sample& sample) {
    std::vector<Hash256> row(sample.whole.width());
    for (uint32_t i = 0; i < row.size(); ++i) {
      if (i < sample.whole.leaf_count()) {
        const uint32_t from = i * kLeaf;
        const auto bytes = absl::MakeConstSpan(sample.bytes);
        row[i] = ChunkTree::RangeRoot(bytes.subspan(from, kLeaf), 1);
      } else {
        row[i].bytes.fill(0xee);
      }
    }
    rows.push_back(row);
    for (; row.size() > 1; rows.push_back(row)) {
      std::vector<Hash256> above(row.size() / 2);
      HashPairs(row.data(), above.size(), above.data());
      row = above;
    }
  }
  const Hash256& Root(Range range) const {
    return rows[__builtin_ctz(range.count)][range.first / range.count];
  }
  std::vector<Hash256> Proof(Range range) const {
    std::vector<Hash256> proof;
    size_t index = range.first / range.count;
    for (size_t i = __builtin_ctz(range.count); i + 1 < rows.size(); ++i, index /= 2) {
      proof.push_back(rows[i][index ^ 1]);
    }
    return proof;
  }
  std::vector<std::vector<Hash256>> rows;
};

TEST(ChunkTree, V10_PaddingIsNeverTakenFromAProof) {
  for (const Sample& sample : Samples()) {
    if (sample.whole.leaf_count() == sample.whole.width()) continue;
    const ForgedPadding forged(sample);
    for (uint32_t unit = 1; unit < sample.whole.width(); unit *= 2) {
      ChunkTree tree(forged.rows.back().front(), static_cast<uint32_t>(sample.bytes.size()),
                     ByteCount(sample.file_bytes));
      bool all = true;
      for (uint32_t first = 0; first < sample.whole.leaf_count(); first += unit) {
        const Range range{first, unit};
        // What the receiver computes from the bytes, padded as BEP 52 says.
        all = all && tree.Add(first, unit, sample.Root(range), forged.Proof(range)).ok();
      }
      EXPECT_FALSE(all) << "units of " << unit << " of " << sample.bytes.size() << " bytes of "
                        << sample.file_bytes << " make a chunk that does not have its hash";
    }
  }
}

TEST(ChunkTree, V10_WhatStandsOverNothingIsKnownWithoutAProof) {
  const Sample half(kChunk / 2, 3 * kChunk + kChunk / 2);
  const absl::StatusOr<std::vector<Hash256>> proof = half.Empty().Proof(0, 16);
  ASSERT_TRUE(proof.ok());
  EXPECT_EQ(*proof, half.Proof({0, 16}));
  const Sample alone(9 * kLeaf, 9 * kLeaf);
  ChunkTree tree = alone.Empty();
  ASSERT_TRUE(alone.AddTo(&tree, {8, 8}).ok());
  EXPECT_EQ(*tree.Proof(8, 4), alone.Proof({8, 4})) << "its sibling is padding";
}

TEST(ChunkTree, ProvesOnlyRangesBelowOneNode) {
  for (uint32_t width : {1, 2, 4, 8, 16, 32}) {
    for (uint32_t first = 0; first <= 70; ++first) {
      for (uint32_t count = 0; count <= 70; ++count) {
        bool expected = false;
        for (uint32_t power = 1; power < width; power *= 2) {
          expected = expected || (count == power && first % power == 0 && first + power <= width);
        }
        EXPECT_EQ(IsProvableRange(first, count, width), expected)
            << first << "+" << count << " of " << width;
      }
    }
    EXPECT_FALSE(IsProvableRange(0xffff'ffff, 1, width));
    EXPECT_FALSE(IsProvableRange(0x8000'0000, 0x8000'0000, width));
  }
}

TEST(ChunkTree, TakesHalfAKibibyte) { EXPECT_LE(sizeof(ChunkTree), 512u); }

}  // namespace
}  // namespace p2p::content

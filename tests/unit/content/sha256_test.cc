#include "core/content/sha256.h"

#include <vector>

#include "absl/strings/string_view.h"
#include "core/base/limits.h"
#include "gtest/gtest.h"
#include "tests/unit/content/content_fixtures.h"

namespace p2p::content {
namespace {

TEST(Sha256, GivesThePublishedAnswers) {
  EXPECT_EQ(Sha256(absl::string_view("")).Hex(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256(absl::string_view("abc")).Hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(
      Sha256(absl::string_view("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")).Hex(),
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

// Compares one call with the one-shot of each message, and looks that nothing behind the output is
// written.
void CompareWithOneShot(const HashImplementation& implementation, absl::Span<const uint8_t> data,
                        size_t length, size_t stride, size_t count) {
  Hash256 guard;
  guard.bytes.fill(0xa5);
  std::vector<Hash256> out(count + 1, guard);
  std::vector<const uint8_t*> messages;
  for (size_t i = 0; i < count; ++i) messages.push_back(data.data() + i * stride);
  implementation.hash_many(messages.data(), length, count, out.data());
  for (size_t i = 0; i < count; ++i) {
    ASSERT_EQ(out[i], Sha256(data.subspan(i * stride, length)))
        << implementation.name << ": message " << i << " of " << count << ", length " << length
        << ", stride " << stride;
  }
  ASSERT_EQ(out[count], guard) << implementation.name << ": " << count << " of length " << length;
}

TEST(HashImplementations, AllAgreeWithTheLibraryAtEveryBlockBorder) {
  const std::vector<uint8_t> data = PatternBytes(64 << 10);
  for (const HashImplementation& implementation : HashImplementations()) {
    for (size_t length :
         {0, 1, 31, 32, 54, 55, 56, 57, 63, 64, 65, 118, 119, 120, 121, 127, 128, 129, 1000}) {
      for (size_t count = 0; count <= 40; ++count) {
        for (size_t gap : {0, 1, 13}) {
          CompareWithOneShot(implementation, data, length, length + gap, count);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST(HashImplementations, AllAgreeWithTheLibraryAtLeafBorders) {
  const std::vector<uint8_t> data = PatternBytes(41 * (limits::kLeafBytes + 1));
  for (const HashImplementation& implementation : HashImplementations()) {
    for (size_t length : {limits::kLeafBytes - 1, limits::kLeafBytes, limits::kLeafBytes + 1}) {
      for (size_t count : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40}) {
        CompareWithOneShot(implementation, data, length, length, count);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(HashImplementations, HashTheSameMessageManyTimes) {
  const std::vector<uint8_t> data = PatternBytes(100);
  for (const HashImplementation& implementation : HashImplementations()) {
    CompareWithOneShot(implementation, data, data.size(), 0, 21);
  }
}

TEST(HashImplementations, BeginWithTheLibraryAndHoldTheBest) {
  ASSERT_FALSE(HashImplementations().empty());
  EXPECT_STREQ(HashImplementations().front().name, "library");
  bool found = false;
  for (const HashImplementation& i : HashImplementations()) {
    found = found || i.hash_many == BestHashImplementation().hash_many;
  }
  EXPECT_TRUE(found);
}

TEST(HashLeaves, HashesAShortLastLeafAsItIs) {
  const std::vector<uint8_t> data = PatternBytes(35 * limits::kLeafBytes);
  constexpr size_t kLeaf = limits::kLeafBytes;
  for (size_t size : {size_t{0}, size_t{1}, kLeaf - 1, kLeaf, kLeaf + 1, 3 * kLeaf + 17,
                      31 * kLeaf + 64, 32 * kLeaf, 35 * kLeaf - 1}) {
    const absl::Span<const uint8_t> part(data.data(), size);
    std::vector<Hash256> leaves((size + kLeaf - 1) / kLeaf);
    HashLeaves(part, leaves.data());
    for (size_t i = 0; i < leaves.size(); ++i) {
      ASSERT_EQ(leaves[i], Sha256(part.subspan(i * kLeaf, kLeaf))) << size << " bytes, leaf " << i;
    }
  }
}

TEST(HashLeaves, HashesManyPiecesAsOneAfterTheOther) {
  constexpr size_t kLeaf = limits::kLeafBytes;
  const std::vector<uint8_t> data = PatternBytes(40 * kLeaf);
  std::vector<absl::Span<const uint8_t>> pieces;
  std::vector<Hash256> expected;
  size_t at = 0;
  for (size_t size : {kLeaf, size_t{0}, kLeaf - 1, 3 * kLeaf, 2 * kLeaf + 5, size_t{1}, 30 * kLeaf,
                      kLeaf, kLeaf + 64}) {
    pieces.push_back(absl::MakeConstSpan(data).subspan(at, size));
    std::vector<Hash256> own((size + kLeaf - 1) / kLeaf);
    HashLeaves(pieces.back(), own.data());
    expected.insert(expected.end(), own.begin(), own.end());
    at += size;
  }
  std::vector<Hash256> leaves(expected.size());
  HashLeaves(pieces, leaves.data());
  EXPECT_EQ(leaves, expected);
}

TEST(HashPairs, MayWriteOverItsInput) {
  for (size_t pairs : {0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 40, 63, 64, 65, 128, 200}) {
    std::vector<Hash256> nodes = DistinctHashes(static_cast<uint32_t>(2 * pairs + 1));
    std::vector<Hash256> expected;
    for (size_t i = 0; i < pairs; ++i) {
      expected.push_back(Sha256(absl::Span<const uint8_t>(nodes[2 * i].bytes.data(), 64)));
    }
    HashPairs(nodes.data(), pairs, nodes.data());
    nodes.resize(pairs);
    ASSERT_EQ(nodes, expected) << pairs << " pairs";
  }
}

}  // namespace
}  // namespace p2p::content

#include "core/base/ids.h"

#include <cctype>
#include <sstream>
#include <string>
#include <type_traits>

#include "absl/container/flat_hash_set.h"
#include "core/base/chunk_part.h"
#include "gtest/gtest.h"

namespace p2p {
namespace {

const std::string kHex = "00ff112233445566778899aabbccddeeff00112233445566778899aabbccddee";

TEST(Hash256, ReadsAndWritesHexadecimalOfEitherCase) {
  const absl::StatusOr<Hash256> hash = Hash256::FromHex(kHex);
  ASSERT_TRUE(hash.ok());
  EXPECT_EQ(hash->bytes[0], 0x00);
  EXPECT_EQ(hash->bytes[1], 0xff);
  EXPECT_EQ(hash->bytes[31], 0xee);
  EXPECT_EQ(hash->Hex(), kHex);
  std::string upper = kHex;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_EQ(*Hash256::FromHex(upper), *hash);
}

TEST(Hash256, RefusesEverythingElse) {
  for (const std::string& bad :
       {std::string(), kHex.substr(1), kHex + "0", "g" + kHex.substr(1), " " + kHex.substr(1),
        "0x" + kHex.substr(2), std::string(64, '\0')}) {
    EXPECT_EQ(Hash256::FromHex(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_FALSE(ContentIdFromHex(bad).ok()) << bad;
  }
  EXPECT_EQ(ContentIdFromHex(kHex)->Hex(), kHex);
}

TEST(Hash256, ComparesBytewise) {
  Hash256 a, b;
  EXPECT_EQ(a, b);
  b.bytes[31] = 1;
  EXPECT_NE(a, b);
  EXPECT_LT(a, b);
  a.bytes[0] = 0x80;
  EXPECT_LT(b, a);
  EXPECT_EQ(Hash256::FromBytes(a.bytes), a);
  EXPECT_EQ(a.AsView().size(), 32u);
}

TEST(StrongInt, CountsWithinOneMeaning) {
  ByteCount bytes(5);
  bytes += ByteCount(3);
  ++bytes;
  bytes -= ByteCount(1);
  EXPECT_EQ(bytes, ByteCount(8));
  EXPECT_EQ(bytes - ByteCount(2) + ByteCount(1), ByteCount(7));
  EXPECT_LT(ByteCount(1), ByteCount(2));
  EXPECT_GE(ByteCount(2), ByteCount(2));
  EXPECT_EQ(ChunkIndex().value(), 0u);
}

TEST(StrongInt, MeaningsDoNotMix) {
  EXPECT_FALSE((std::is_convertible<uint32_t, ChunkIndex>::value));
  EXPECT_FALSE((std::is_convertible<ChunkIndex, uint32_t>::value));
  EXPECT_FALSE((std::is_constructible<ChunkIndex, FileIndex>::value));
  EXPECT_FALSE((std::is_constructible<PeerId, ContentId>::value));
}

TEST(StrongInt, IsAKeyOfHashTables) {
  absl::flat_hash_set<ChunkIndex> chunks = {ChunkIndex(1), ChunkIndex(2), ChunkIndex(1)};
  EXPECT_EQ(chunks.size(), 2u);
  absl::flat_hash_set<ContentId> ids = {ContentId{}, ContentId{*Hash256::FromHex(kHex)}};
  EXPECT_EQ(ids.size(), 2u);
}

TEST(ChunkPart, IsAWholeChunkOrLeavesOfOne) {
  const ChunkPart whole = ChunkIndex(7);
  const ChunkPart leaves(ChunkIndex(7), 0, 4);
  EXPECT_TRUE(whole.whole());
  EXPECT_FALSE(leaves.whole());
  EXPECT_NE(whole, leaves);
  EXPECT_EQ(whole, ChunkPart(ChunkIndex(7), 0, 0));
  std::ostringstream text;
  text << whole << ' ' << leaves;
  EXPECT_EQ(text.str(), "7 7[0+4]");
}

TEST(ChunkPart, IsAKeyInTheOrderOfTheFile) {
  const ChunkPart ordered[] = {ChunkIndex(1),
                               {ChunkIndex(1), 0, 4},
                               {ChunkIndex(1), 0, 8},
                               {ChunkIndex(1), 4, 4},
                               ChunkIndex(2)};
  for (const ChunkPart& a : ordered) {
    for (const ChunkPart& b : ordered) {
      EXPECT_EQ(a < b, &a < &b) << a << " and " << b;
      EXPECT_EQ(a == b, &a == &b) << a << " and " << b;
    }
  }
  EXPECT_EQ(absl::flat_hash_set<ChunkPart>(std::begin(ordered), std::end(ordered)).size(), 5u);
}

}  // namespace
}  // namespace p2p

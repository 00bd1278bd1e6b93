// That nothing is allocated because of a number that a manifest states. A program of its own,
// because it counts every byte that operator new hands out.
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/content/bencode.h"
#include "core/content/manifest.h"
#include "gtest/gtest.h"
#include "tests/support/allocated_bytes.h"
#include "tests/unit/content/content_fixtures.h"

namespace p2p::content {
namespace {

using testing_support::BytesAllocatedBy;

TEST(Memory, TheCounterCounts) {
  EXPECT_GE(BytesAllocatedBy([] { EXPECT_EQ(std::string(100'000, 'x').back(), 'x'); }), 100'000u);
}

TEST(Memory, C14_T12_APebibyteOfTwoBillionChunksCostsNothing) {
  const std::string info = Info(absl::StrCat("d1:f", FileEntry(limits::kMaxFileBytes), "e"), "f");
  EXPECT_LT(
      BytesAllocatedBy([&] {
        absl::StatusOr<Manifest> manifest = Manifest::Parse(info);
        ASSERT_TRUE(manifest.ok()) << manifest.status();
        ASSERT_EQ(manifest->layout().chunk_count(), uint32_t{1} << 31);
        ChunkHashes hashes(std::make_shared<const Manifest>(*std::move(manifest)));
        EXPECT_FALSE(hashes.Complete());
        EXPECT_EQ(hashes.Missing(8).size(), 8u);
        EXPECT_FALSE(hashes.Add(FileIndex(0), HashRange()).ok());
        EXPECT_FALSE(
            ChunkHashes::Decode(std::make_shared<const Manifest>(*Manifest::Parse(info)), "").ok());
      }),
      32'768u);
}

TEST(Memory, C14_AStatedStringLengthCostsNothing) {
  for (absl::string_view length : {"2147483648", "4294967295", "9223372036854775807"}) {
    EXPECT_LT(BytesAllocatedBy([&] {
                EXPECT_FALSE(Manifest::Parse(absl::StrCat("d9:file tree", length, ":x")).ok());
              }),
              4'096u);
  }
}

TEST(Memory, C14_SkippedValuesCostNothing) {
  std::string lists = "1:zl";
  for (int i = 0; i < 1'000'000; ++i) lists += "le";
  const std::string info = Info(absl::StrCat("d1:f", FileEntry(1), "e"), "f", lists + "e");
  BencodeReader reader(info);
  EXPECT_LT(BytesAllocatedBy([&] { EXPECT_TRUE(reader.Skip().ok()); }), 4'096u);
}

// Short entries below a long directory are the worst case: the tree shares the prefix, a Layout
// does not.
TEST(Memory, C14_SharedPrefixesAreBounded) {
  std::string files;
  constexpr uint32_t kFiles = 200'000;
  for (uint32_t i = 0; i < kFiles; ++i) absl::StrAppend(&files, "6:", 100'000 + i, FileEntry(0));
  std::string tree = absl::StrCat("d", files, "e");
  for (int i = 0; i < 3; ++i) tree = absl::StrCat("d255:", std::string(255, 'x'), tree, "e");
  const std::string info = Info(tree, "dir");
  EXPECT_LT(BytesAllocatedBy([&] {
              const absl::Status status = Manifest::Parse(info).status();
              EXPECT_EQ(status.message(), "manifest: the paths of the files are too long");
            }),
            2 * limits::kMaxPathBytes);
}

}  // namespace
}  // namespace p2p::content

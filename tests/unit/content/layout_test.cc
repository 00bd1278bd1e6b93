#include "core/content/layout.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/content/manifest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/content/content_fixtures.h"

namespace p2p::content {
namespace {

using testing::HasSubstr;

constexpr uint64_t kChunk = limits::kChunkBytes;

absl::Status Directory(std::vector<LayoutFile> files) {
  return Layout::Make("share", true, std::move(files)).status();
}

TEST(Layout, P05_LastChunkIsWhatIsLeft) {
  struct Row {
    uint64_t bytes;
    uint32_t chunks;
    uint32_t last;
  };
  for (const Row& row :
       {Row{1, 1, 1}, Row{kChunk - 1, 1, kChunk - 1}, Row{kChunk, 1, kChunk}, Row{kChunk + 1, 2, 1},
        Row{3 * kChunk, 3, kChunk}, Row{3 * kChunk - 5, 3, kChunk - 5}}) {
    const absl::StatusOr<Layout> layout = Layout::Make("f", false, {File("f", row.bytes)});
    ASSERT_TRUE(layout.ok()) << layout.status();
    EXPECT_EQ(layout->chunk_count(), row.chunks);
    for (uint32_t i = 0; i + 1 < row.chunks; ++i)
      EXPECT_EQ(layout->ChunkLength(ChunkIndex(i)), kChunk);
    EXPECT_EQ(layout->ChunkLength(ChunkIndex(row.chunks - 1)), row.last) << row.bytes << " bytes";
  }
}

TEST(Layout, P05_AnEmptyFileHasNoChunk) {
  const absl::StatusOr<Layout> layout = Layout::Make("f", false, {File("f", 0)});
  ASSERT_TRUE(layout.ok());
  EXPECT_EQ(layout->chunk_count(), 0u);
  EXPECT_EQ(layout->total_bytes(), ByteCount(0));
  EXPECT_EQ(layout->file(FileIndex(0)).chunk_count, 0u);
}

// Property: going through all chunks visits every byte of every file once, in order.
TEST(Layout, P05_ChunksCoverEveryFileExactlyOnce) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<LayoutFile> files;
    for (int i = 0; i < 20; ++i) {
      const uint64_t sizes[] = {0, 1, kChunk - 1, kChunk, kChunk + 1, random() % (5 * kChunk)};
      files.push_back(File(absl::StrCat("f", 100 + i), sizes[random() % 6]));
    }
    const absl::StatusOr<Layout> layout = Layout::Make("share", true, files);
    ASSERT_TRUE(layout.ok());
    uint32_t file = 0;
    uint64_t at = 0;
    for (uint32_t chunk = 0; chunk < layout->chunk_count(); ++chunk) {
      while (at == files[file].length.value()) {
        ++file;
        at = 0;
      }
      const ChunkPlace place = layout->Locate(ChunkIndex(chunk));
      ASSERT_EQ(place.file, FileIndex(file));
      ASSERT_EQ(place.offset, ByteCount(at));
      ASSERT_GT(place.length, 0u);
      ASSERT_LE(at + place.length, files[file].length.value());
      at += place.length;
    }
    while (file < files.size() && at == files[file].length.value()) {
      ++file;
      at = 0;
    }
    EXPECT_EQ(file, files.size());
  }
}

TEST(Layout, P04_OffsetsOfTheLargestFileDoNotOverflow) {
  const absl::StatusOr<Layout> layout =
      Layout::Make("f", false, {File("f", limits::kMaxFileBytes)});
  ASSERT_TRUE(layout.ok());
  ASSERT_EQ(layout->chunk_count(), uint32_t{1} << 31);
  const ChunkPlace last = layout->Locate(ChunkIndex(layout->chunk_count() - 1));
  EXPECT_EQ(last.offset, ByteCount(limits::kMaxFileBytes - kChunk));
  EXPECT_EQ(last.length, kChunk);
}

TEST(Layout, T09_SizesEndAt2To50) {
  constexpr uint64_t kMost = limits::kMaxFileBytes;
  EXPECT_TRUE(Layout::Make("f", false, {File("f", kMost - 1)}).ok());
  EXPECT_TRUE(Layout::Make("f", false, {File("f", kMost)}).ok());
  for (uint64_t size : {kMost + 1, uint64_t{1} << 63, ~uint64_t{0}}) {
    EXPECT_FALSE(Layout::Make("f", false, {File("f", size)}).ok()) << size;
  }
  EXPECT_TRUE(Directory({File("a", kMost - 1), File("b", 1)}).ok());
  EXPECT_FALSE(Directory({File("a", kMost), File("b", 1)}).ok()) << "the total counts too";
  EXPECT_FALSE(Directory({File("a", kMost), File("b", ~uint64_t{0})}).ok()) << "sums do not wrap";
}

TEST(Layout, T08_ThePathWithTheNameOfTheShareHasAtMost1024Bytes) {
  const std::string deep = absl::StrCat(std::string(255, 'a'), "/", std::string(255, 'b'), "/",
                                        std::string(255, 'c'), "/");  // 768 bytes
  const auto with = [&](size_t bytes) {
    return Directory({File(deep + std::string(bytes, 'd'), 1)});
  };
  // "share/" has 6.
  EXPECT_TRUE(with(1'024 - 768 - 6 - 1).ok());
  EXPECT_TRUE(with(1'024 - 768 - 6).ok());
  EXPECT_FALSE(with(1'024 - 768 - 6 + 1).ok());
}

TEST(Layout, T08_AComponentHasAtMost255Bytes) {
  for (size_t bytes : {254, 255, 256}) {
    const std::string name(bytes, 'x');
    EXPECT_EQ(Layout::Make(name, false, {File(name, 1)}).ok(), bytes <= 255) << bytes;
    EXPECT_EQ(Directory({File("d/" + name, 1)}).ok(), bytes <= 255) << bytes;
  }
}

TEST(Layout, T08_DepthIsBounded) {
  const auto nested = [](int components) {
    std::string path = "x";
    for (int i = 1; i < components; ++i) path += "/x";
    return Directory({File(path, 1)});
  };
  EXPECT_TRUE(nested(limits::kMaxPathDepth - 1).ok());
  EXPECT_TRUE(nested(limits::kMaxPathDepth).ok());
  EXPECT_THAT(std::string(nested(limits::kMaxPathDepth + 1).message()), HasSubstr("components"));
  EXPECT_FALSE(nested(10'000).ok());
}

TEST(Layout, T05_RefusesPathsThatLeaveTheShare) {
  for (absl::string_view path :
       {"../x", "/etc/x", "a//b", ".", "..", "a/../b", "a/.", "a/", "./a", ""}) {
    EXPECT_EQ(Directory({File(std::string(path), 1)}).code(), absl::StatusCode::kInvalidArgument)
        << path;
  }
  for (absl::string_view name : {"", ".", "..", "a/b", "/"}) {
    EXPECT_FALSE(Layout::Make(std::string(name), true, {File("x", 1)}).ok()) << name;
  }
}

TEST(Layout, T07_NamesTheOffendingFileWithoutItsControlCharacters) {
  const std::string message(Directory({File("ok", 1), File("red\x1b[31m", 1)}).message());
  EXPECT_THAT(message, HasSubstr("red\\x1b[31m"));
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
}

TEST(Layout, RefusesFilesThatAreDoubleUnsortedOrAlsoDirectories) {
  EXPECT_TRUE(Directory({File("a", 1), File("b", 1)}).ok());
  EXPECT_THAT(std::string(Directory({File("a", 1), File("a", 1)}).message()), HasSubstr("twice"));
  EXPECT_THAT(std::string(Directory({File("b", 1), File("a", 1)}).message()), HasSubstr("sorted"));
  EXPECT_THAT(std::string(Directory({File("a", 1), File("a/b", 1)}).message()), HasSubstr("both"));
  EXPECT_TRUE(Directory({File("a", 1), File("a.b", 1), File("ab", 1)}).ok());
}

TEST(Layout, ASingleFileHasTheNameOfTheShare) {
  EXPECT_TRUE(Layout::Make("f", false, {File("f", 1)}).ok());
  EXPECT_FALSE(Layout::Make("f", false, {File("g", 1)}).ok());
  EXPECT_FALSE(Layout::Make("f", false, {File("f", 1), File("g", 1)}).ok());
  EXPECT_FALSE(Layout::Make("f", true, {}).ok()) << "nothing to share";
}

TEST(Layout, ADirectoryThatLooksLikeAFileIsRefusedWithAdvice) {
  const absl::Status status = Layout::Make("a", true, {File("a", 1)}).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("share the file itself"));
  EXPECT_TRUE(Layout::Make("a", true, {File("a/a", 1)}).ok());
  EXPECT_TRUE(Layout::Make("a", true, {File("a", 1), File("b", 1)}).ok());
  EXPECT_TRUE(Layout::Make("a", true, {File("b", 1)}).ok());
}

TEST(Layout, FindsFilesByPath) {
  std::vector<LayoutFile> files = {File("a.b", 1), File("a/z", 1), File("A", 0), File("a/b/c", 1)};
  SortFiles(&files);
  const absl::StatusOr<Layout> layout = Layout::Make("share", true, files);
  ASSERT_TRUE(layout.ok()) << layout.status();
  for (uint32_t i = 0; i < files.size(); ++i) EXPECT_EQ(layout->Find(files[i].path), FileIndex(i));
  for (absl::string_view path : {"", "a", "a/", "a/b", "z", "a.b/", "A/a", "share"}) {
    EXPECT_EQ(layout->Find(path), absl::nullopt) << path;
  }
}

TEST(PathOrder, GoesByComponentsAsAFileTreeDoes) {
  std::vector<LayoutFile> files;
  for (absl::string_view path :
       {"b", "a.b", "ab", "a/z", "a/A", "a b", "\xc3\xbc", "a/b/c", "a!"}) {
    files.push_back(File(std::string(path), 1));
  }
  SortFiles(&files);
  std::vector<std::string> paths;
  for (const LayoutFile& file : files) paths.push_back(file.path);
  EXPECT_THAT(paths, testing::ElementsAre("a/A", "a/b/c", "a/z", "a b", "a!", "a.b", "ab", "b",
                                          "\xc3\xbc"));
}

TEST(Layout, BytesOfARunAreThoseOfItsChunks) {
  const auto layout = Layout::Make(
      "d", true, {File("a", 3 * kChunk + 5), File("b", 0), File("c", 1), File("e", 2 * kChunk)});
  ASSERT_TRUE(layout.ok());
  for (uint32_t first = 0; first < layout->chunk_count(); ++first) {
    uint64_t bytes = 0;
    for (uint32_t count = 0; first + count < layout->chunk_count(); ++count) {
      EXPECT_EQ(layout->RunBytes(ChunkIndex(first), count), ByteCount(bytes));
      bytes += layout->ChunkLength(ChunkIndex(first + count));
    }
    EXPECT_EQ(layout->RunBytes(ChunkIndex(first), layout->chunk_count() - first), ByteCount(bytes));
  }
}

}  // namespace
}  // namespace p2p::content

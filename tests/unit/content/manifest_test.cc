#include "core/content/manifest.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/content/content_fixtures.h"

namespace p2p::content {
namespace {

// The manifest of files that hold PatternBytes of their length.
absl::StatusOr<Manifest> OfPattern(const std::string& name, bool is_directory,
                                   std::vector<LayoutFile> files) {
  SortFiles(&files);
  std::vector<Hash256> roots;
  for (const LayoutFile& file : files) {
    const std::vector<uint8_t> bytes = PatternBytes(file.length.value());
    roots.push_back(bytes.empty() ? Hash256() : FileRoot(ChunkHashesOf(bytes)));
  }
  absl::StatusOr<Layout> layout = Layout::Make(name, is_directory, std::move(files));
  if (!layout.ok()) return layout.status();
  return Manifest::Make(*std::move(layout), std::move(roots));
}

std::string IdOf(absl::StatusOr<Manifest> manifest) {
  return manifest.ok() ? manifest->content_id().Hex() : std::string(manifest.status().message());
}

// The content ids in this file were computed by libtorrent 2.0.8 (create_torrent with v2_only and a
// piece size of 524,288) from files of the same bytes.
TEST(Manifest, ContentIdOfAFileIsThatOfLibtorrent) {
  const std::pair<uint64_t, const char*> known[] = {
      {1, "92e2b8d4c0df65008b7ea729ab0e2a2f473a1c1a604f10a19f5effad66fb45c7"},
      {16383, "561c51b2b4911ec62a50ab3929ae19b6b629faa16cf344b168e0683073090f68"},
      {16384, "b9d8b1f264e9a9d69e2303dfd989caddba5c891aff7df99b1197678c0c5276f4"},
      {16385, "6441644fdc5d24c86d082db89e9b46237d8d52c8093c897c61ec9c4b4639c600"},
      {32768, "8427a0c218cb03ad797796033fc3e4ed0464498109fd5acb8f8ad274d48cce5d"},
      {49153, "de1859ea75b32f0f1ae4b2ee7fa2484dd4e48e27455019320fd471674bad0468"},
      {524287, "4b4f7eaeed0f8f60ea24f3cae46402de7b5d722070e1f6a8503449207ab21018"},
      {524288, "5f2bf7cfeaeab8eb2230689bdee42dfa47d0f7a2e97b18c12e22aca06b5e68a7"},
      {524289, "068122546bf8c6c9dcf7eee1b3ed534117615af8dc780c75847a2f0f5c57b1b9"},
      {1048576, "d220a73153d5739cda445689fc41ebe3d5684df3ee29c17c0b25de07ae5cd387"},
      {1048577, "fcfa2699d92496251d46cb6a4ea47a411a2410ca7263fe5ba0787fab90ace5dc"},
      {1572964, "564b915394d5c1ffcbf0c12f735849f725743b117264874fe50e55ef39133732"},
      {2637825, "51ab98aa206eb1ba341ce3f237295a41f7363b740d955436532c2e5d59de5469"},
      {4194304, "bb11c1d7a50fe742954b68bc5c669d444d9d2e27450828d449633b6d857f0ad7"},
      {4718591, "c070e6287db7e5a930861b9546b7aa02b3d8d6778454eaab2cbebf576b6eb0b7"},
  };
  for (const auto& [bytes, id] : known) {
    EXPECT_EQ(IdOf(OfPattern("file.bin", false, {File("file.bin", bytes)})), id)
        << bytes << " bytes";
  }
}

TEST(Manifest, ContentIdOfAnExecutableIsThatOfLibtorrent) {
  EXPECT_EQ(IdOf(OfPattern("run.sh", false, {File("run.sh", 5, /*executable=*/true)})),
            "fa923dbbcb9969550487f944e4abf8f9cc9ac0c591b2a864c5c4c94600ac5d08");
}

TEST(Manifest, ContentIdOfANameInUtf8IsThatOfLibtorrent) {
  const std::string name = "hello \xc3\xa9\xe4\xb8\xad.txt";
  EXPECT_EQ(IdOf(OfPattern(name, false, {File(name, 1)})),
            "c19dfe772967ee6099e968c1e74fc778849ae1ca2924b9d92ccd388fad87d557");
}

TEST(Manifest, ContentIdOfADirectoryIsThatOfLibtorrent) {
  EXPECT_EQ(IdOf(OfPattern(
                "dir", true,
                {File("sub/deep/x", 7, true), File("empty", 0), File("b.txt", 10), File("a.b", 3),
                 File("a/z", 600000), File("A", 1), File("\xc3\xbcml aut", 20000)})),
            "b515332d4ad28172607ff4160e2cf72e5798f58cab520fdf349abac1602e1706");
  EXPECT_EQ(IdOf(OfPattern("one", true, {File("x", 9)})),
            "beccb0c5da5aaedfe25a1095d46aa789daed0c6fae5db5ed0be30950311dffdf");
  EXPECT_EQ(IdOf(OfPattern("nest", true, {File("nest/nest", 9)})),
            "3106b21101dd50d0253ed91562f15fe3a62ca48918625066f2fd8bfd92b177a8");
}

// libtorrent makes no torrent without any byte, so this is BEP 52 by its letter: no "pieces root".
TEST(Manifest, P05_AnEmptyFileHasNoRoot) {
  const absl::StatusOr<Manifest> manifest = OfPattern("f", false, {File("f", 0)});
  ASSERT_TRUE(manifest.ok());
  EXPECT_EQ(manifest->info(), Info("d1:fd0:d6:lengthi0eeee", "f"));
  EXPECT_EQ(manifest->root(FileIndex(0)), Hash256());
}

TEST(Manifest, ParsesWhatItMade) {
  const absl::StatusOr<Manifest> made =
      OfPattern("dir", true,
                {File("a/b/c", 1), File("a/b/d", 0), File("a/e", 600000, true), File("f", 16385)});
  ASSERT_TRUE(made.ok()) << made.status();
  const absl::StatusOr<Manifest> parsed = Manifest::Parse(made->info());
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->content_id(), made->content_id());
  EXPECT_EQ(parsed->info(), made->info());
  EXPECT_EQ(parsed->layout().name(), "dir");
  EXPECT_TRUE(parsed->layout().is_directory());
  ASSERT_EQ(parsed->layout().files().size(), 4u);
  for (uint32_t i = 0; i < 4; ++i) {
    const LayoutFile& a = made->layout().file(FileIndex(i));
    const LayoutFile& b = parsed->layout().file(FileIndex(i));
    EXPECT_EQ(a.path, b.path);
    EXPECT_EQ(a.length, b.length);
    EXPECT_EQ(a.executable, b.executable);
    EXPECT_EQ(a.first_chunk, b.first_chunk);
    EXPECT_EQ(a.chunk_count, b.chunk_count);
    EXPECT_EQ(made->root(FileIndex(i)), parsed->root(FileIndex(i)));
  }
}

TEST(Manifest, ANewNameMakesANewContentId) {
  EXPECT_NE(IdOf(OfPattern("a", false, {File("a", 5)})),
            IdOf(OfPattern("b", false, {File("b", 5)})));
}

TEST(Manifest, NeedsARootForEachFile) {
  absl::StatusOr<Layout> layout = Layout::Make("f", false, {File("f", 1)});
  EXPECT_FALSE(Manifest::Make(*layout, {}).ok());
  EXPECT_FALSE(Manifest::Make(*layout, std::vector<Hash256>(2)).ok());
}

}  // namespace
}  // namespace p2p::content

#include "daemon/store/share_path.h"

#include "core/base/limits.h"
#include "core/base/names.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace p2p::store {
namespace {

TEST(SharePath, SplitsBeforeTheLastComponent) {
  const auto split = SplitUserPath("/a/b c/d");
  ASSERT_TRUE(split.ok());
  EXPECT_EQ(split->parent, "/a/b c");
  EXPECT_EQ(split->name, "d");
}

TEST(SharePath, IgnoresSlashesAtTheEndAndKnowsTheTop) {
  const auto split = SplitUserPath("/top//");
  ASSERT_TRUE(split.ok());
  EXPECT_EQ(split->parent, "/");
  EXPECT_EQ(split->name, "top");
}

TEST(SharePath, RefusesPathsWithoutANameAtTheEnd) {
  for (const char* path : {"", "a/b", "/", "//", "/a/..", "/a/.", "/.."}) {
    EXPECT_TRUE(absl::IsInvalidArgument(SplitUserPath(path).status())) << path;
  }
}

TEST(SharePath, S17_APartNameFitsTheFileSystemForEveryLegalName) {
  EXPECT_EQ(PartName("a"), "a.part");
  EXPECT_EQ(PartName(std::string(250, 'x')), std::string(250, 'x') + ".part");
  for (const size_t size : {size_t{251}, limits::kMaxComponentBytes}) {
    const std::string part = PartName(std::string(size, 'x'));
    EXPECT_EQ(part.size(), limits::kMaxComponentBytes) << size;
  }
  EXPECT_NE(PartName(std::string(254, 'x') + "a"), PartName(std::string(254, 'x') + "b"));
}

TEST(SharePath, S17_AShortenedPartNameIsStillUtf8) {
  for (int shift = 0; shift < 4; ++shift) {
    std::string name(static_cast<size_t>(shift), 'x');
    while (name.size() + 4 <= limits::kMaxComponentBytes) name += "\xf0\x9f\x8c\x8d";
    const std::string part = PartName(name);
    EXPECT_TRUE(IsValidUtf8(part)) << shift;
    EXPECT_LE(part.size(), limits::kMaxComponentBytes);
  }
}

TEST(SharePath, ListsTheDeepestDirectoriesFirst) {
  std::vector<content::LayoutFile> files(3);
  files[0].path = "a/b/c/one";
  files[1].path = "a/two";
  files[2].path = "z/three";
  const auto layout = content::Layout::Make("share", true, files);
  ASSERT_TRUE(layout.ok()) << layout.status();
  EXPECT_THAT(DiskDirectories("base", *layout),
              testing::ElementsAre("base/z", "base/a/b/c", "base/a/b", "base/a", "base"));
}

}  // namespace
}  // namespace p2p::store

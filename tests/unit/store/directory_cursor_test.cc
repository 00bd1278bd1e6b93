#include "daemon/store/directory_cursor.h"

#include <sys/stat.h>
#include <unistd.h>

#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"

namespace p2p::store {
namespace {

using testing_support::IsThere;
using testing_support::TempDir;
using testing_support::WriteFile;

class DirectoryCursorTest : public testing::Test {
 protected:
  DirectoryCursorTest() {
    for (const char* name : {"/d", "/d/e", "/f"}) ::mkdir((dir_.path() + name).c_str(), 0755);
    WriteFile(dir_.path() + "/top", "1");
    WriteFile(dir_.path() + "/d/a", "22");
    WriteFile(dir_.path() + "/d/b", "333");
    WriteFile(dir_.path() + "/d/e/c", "4444");
    WriteFile(dir_.path() + "/f/a", "55555");
    auto opened = SystemFiles()->OpenRoot(dir_.path());
    EXPECT_TRUE(opened.ok()) << opened.status();
    root_ = *std::move(opened);
  }

  TempDir dir_;
  std::unique_ptr<Directory> root_;
};

TEST_F(DirectoryCursorTest, FindsEveryFileInAnyOrder) {
  DirectoryCursor cursor(root_.get());
  uint64_t sizes = 0;
  for (const char* name : {"d/a", "d/b", "d/e/c", "d/a", "top", "f/a", "d/b"}) {
    const auto info = cursor.Info(name);
    ASSERT_TRUE(info.ok()) << info.status();
    EXPECT_EQ(info->identity, root_->Info(name)->identity) << name;
    const auto file = cursor.OpenRead(name);
    ASSERT_TRUE(file.ok()) << file.status();
    sizes = 10 * sizes + (*file)->Info()->identity.size;
  }
  EXPECT_EQ(sizes, 2342153u);
}

TEST_F(DirectoryCursorTest, SaysWhatIsNotThereAndGoesOn) {
  DirectoryCursor cursor(root_.get());
  EXPECT_TRUE(absl::IsNotFound(cursor.Info("d/none").status()));
  EXPECT_TRUE(absl::IsNotFound(cursor.Info("none/a").status()));
  EXPECT_TRUE(absl::IsNotFound(cursor.Info("none/a").status()));
  EXPECT_TRUE(absl::IsNotFound(cursor.OpenRead("d/e/none").status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(cursor.Info("top/a").status()));
  EXPECT_TRUE(cursor.Info("d/a").ok());
}

TEST_F(DirectoryCursorTest, S20_S21_StaysBeneathAndFollowsNoLink) {
  ASSERT_EQ(::symlink("/", (dir_.path() + "/out").c_str()), 0);
  ASSERT_EQ(::symlink("d", (dir_.path() + "/inside").c_str()), 0);
  DirectoryCursor cursor(root_.get());
  for (const char* name : {"out/etc", "inside/a", "d/../top", "../x", "/etc/hostname", "d//a"}) {
    EXPECT_FALSE(cursor.Info(name).ok()) << name;
    EXPECT_FALSE(cursor.OpenRead(name).ok()) << name;
    EXPECT_FALSE(cursor.RemoveFile(name).ok()) << name;
  }
  EXPECT_TRUE(IsThere(dir_.path() + "/d/a"));
}

TEST_F(DirectoryCursorTest, RemovesFiles) {
  DirectoryCursor cursor(root_.get());
  EXPECT_TRUE(cursor.RemoveFile("d/a").ok());
  EXPECT_TRUE(cursor.RemoveFile("d/b").ok());
  EXPECT_TRUE(cursor.RemoveFile("top").ok());
  EXPECT_FALSE(IsThere(dir_.path() + "/d/a"));
  EXPECT_FALSE(IsThere(dir_.path() + "/d/b"));
  EXPECT_FALSE(IsThere(dir_.path() + "/top"));
  EXPECT_TRUE(IsThere(dir_.path() + "/f/a"));
}

}  // namespace
}  // namespace p2p::store

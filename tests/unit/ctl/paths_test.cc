#include "ctl/paths.h"

#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <filesystem>

#include "core/base/socket_path.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"

namespace p2p::ctl {
namespace {

class PathsTest : public ::testing::Test {
 protected:
  PathsTest() {
    before_ = std::filesystem::current_path();
    here_ = std::filesystem::canonical(directory_.path());
    std::filesystem::create_directories(here_ + "/real/sub");
    std::filesystem::create_directory_symlink("real", here_ + "/link");
    std::filesystem::current_path(here_);
  }
  ~PathsTest() override { std::filesystem::current_path(before_); }

  testing_support::TempDir directory_;
  std::string before_;
  std::string here_;
};

TEST_F(PathsTest, ARelativePathIsSeenFromHere) {
  EXPECT_EQ(*AbsolutePath("file"), here_ + "/file");
  EXPECT_EQ(*AbsolutePath("./real/../file"), here_ + "/file");
  EXPECT_EQ(*AbsolutePath("/"), "/");
  EXPECT_EQ(*AbsolutePath("/etc"), "/etc");
}

TEST_F(PathsTest, ALinkIsFollowedInAllButTheLastComponent) {
  EXPECT_EQ(*AbsolutePath("link"), here_ + "/link");
  EXPECT_EQ(*AbsolutePath("link/sub"), here_ + "/real/sub");
  EXPECT_EQ(*AbsolutePath("link/../x"), here_ + "/x");
}

TEST_F(PathsTest, DotAndDotDotAreReplacedByWhatTheyMean) {
  EXPECT_EQ(*AbsolutePath("."), here_);
  EXPECT_EQ(*AbsolutePath("real/sub/.."), here_ + "/real");
  EXPECT_EQ(*AbsolutePath("real/."), here_ + "/real");
}

TEST_F(PathsTest, TrailingSlashesGoFromASourceAndOneStaysOnATarget) {
  EXPECT_EQ(*AbsolutePath("real///"), here_ + "/real");
  EXPECT_EQ(*AbsoluteOutputPath("real///"), here_ + "/real/");
  EXPECT_EQ(*AbsoluteOutputPath("real"), here_ + "/real");
  EXPECT_EQ(*AbsoluteOutputPath("/"), "/");
  EXPECT_EQ(*AbsoluteOutputPath("new/"), here_ + "/new/");
}

TEST_F(PathsTest, AParentThatDoesNotExistStaysAsItWasTyped) {
  EXPECT_EQ(*AbsolutePath("nowhere/file"), here_ + "/nowhere/file");
}

TEST_F(PathsTest, AnyBytesAreKept) { EXPECT_EQ(*AbsolutePath("a\xff\nb"), here_ + "/a\xff\nb"); }

TEST(SocketPath, IsTheFirstThatIsThere) {
  SocketSurroundings surroundings;
  surroundings.user_id = 500;
  EXPECT_EQ(ChooseSocketPath(surroundings), "/tmp/p2pd-500/p2pd.sock");
  surroundings.xdg_runtime_dir = "/run/user/500";
  EXPECT_EQ(ChooseSocketPath(surroundings), "/run/user/500/p2pd.sock");
  surroundings.system_socket_exists = true;
  EXPECT_EQ(ChooseSocketPath(surroundings), "/run/p2pd/p2pd.sock");
  surroundings.p2p_socket = "/x";
  EXPECT_EQ(ChooseSocketPath(surroundings), "/x");
}

TEST(SocketPath, OfLastResortIsTheUsersOwnDirectoryInTmp) {
  EXPECT_TRUE(IsLastResortSocketPath("/tmp/p2pd-500/p2pd.sock", 500));
  EXPECT_FALSE(IsLastResortSocketPath("/tmp/p2pd-5001/p2pd.sock", 500));
  EXPECT_FALSE(IsLastResortSocketPath("/run/user/500/p2pd.sock", 500));
}

}  // namespace
}  // namespace p2p::ctl

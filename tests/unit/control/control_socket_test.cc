#include "daemon/control/control_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>

#include "core/base/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"

namespace p2p::control {
namespace {

using ::testing::HasSubstr;
using testing_support::TempDir;

class ControlSocketTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<ControlSocket>> Claim() {
    return ControlSocket::Claim({path_, ""});
  }
  // Binds `path_` as another program would.
  int BindOther(bool listening) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    if (listening) {
      EXPECT_EQ(listen(fd, 1), 0);
    }
    return fd;
  }
  mode_t Mode(const std::string& path) {
    struct stat info {};
    return lstat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
  }
  bool Exists(const std::string& path) {
    struct stat info {};
    return lstat(path.c_str(), &info) == 0;
  }

  TempDir directory_;
  std::string path_ = directory_.path() + "/p2pd.sock";
};

TEST_F(ControlSocketTest, IsOpenToItsOwnerOnlyAndGoesWithItsClaim) {
  auto claim = Claim();
  ASSERT_TRUE(claim.ok()) << claim.status();
  EXPECT_EQ(Mode(path_), 0600u);
  claim->reset();
  EXPECT_FALSE(Exists(path_));
}

TEST_F(ControlSocketTest, G02_ReplacesAStaleSocket) {
  close(BindOther(/*listening=*/true));
  ASSERT_TRUE(Exists(path_));
  EXPECT_TRUE(Claim().ok());
}

TEST_F(ControlSocketTest, G02_RefusesWhileAnotherDaemonHasIt) {
  const auto first = Claim();
  ASSERT_TRUE(first.ok());
  const auto second = Claim();
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("already running"));
  EXPECT_TRUE(Exists(path_));
}

TEST_F(ControlSocketTest, G02_RefusesALiveSocketOfAProgramThatTakesNoLock) {
  const int other = BindOther(/*listening=*/true);
  const auto claim = Claim();
  EXPECT_TRUE(absl::IsFailedPrecondition(claim.status())) << claim.status();
  EXPECT_THAT(std::string(claim.status().message()), HasSubstr("already running"));
  EXPECT_TRUE(Exists(path_));
  close(other);
}

TEST_F(ControlSocketTest, G02_RefusesAFileAndLeavesItAlone) {
  std::ofstream(path_) << "precious";
  const auto claim = Claim();
  EXPECT_TRUE(absl::IsFailedPrecondition(claim.status()));
  EXPECT_THAT(std::string(claim.status().message()), HasSubstr("not a socket"));
  std::string content;
  std::ifstream(path_) >> content;
  EXPECT_EQ(content, "precious");
}

TEST_F(ControlSocketTest, G02_RefusesASymbolicLinkAndLeavesItAndItsTargetAlone) {
  const std::string target = directory_.path() + "/target";
  std::ofstream(target) << "precious";
  ASSERT_EQ(symlink(target.c_str(), path_.c_str()), 0);
  const auto claim = Claim();
  EXPECT_TRUE(absl::IsFailedPrecondition(claim.status()));
  EXPECT_THAT(std::string(claim.status().message()), HasSubstr("symbolic link"));
  EXPECT_TRUE(Exists(path_));
  EXPECT_TRUE(Exists(target));
}

TEST_F(ControlSocketTest, G02_RefusesADanglingSymbolicLink) {
  ASSERT_EQ(symlink("nowhere", path_.c_str()), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(Claim().status()));
  EXPECT_TRUE(Exists(path_));
}

TEST_F(ControlSocketTest, LeavesASocketThatIsNotItsOwnAnyMore) {
  auto claim = Claim();
  ASSERT_TRUE(claim.ok());
  ASSERT_EQ(unlink(path_.c_str()), 0);
  const int other = BindOther(/*listening=*/true);
  claim->reset();
  EXPECT_TRUE(Exists(path_));
  close(other);
}

TEST_F(ControlSocketTest, G02_MakesARemovedSocketAnewAndLeavesAnotherAlone) {
  auto claim = Claim();
  ASSERT_TRUE(claim.ok());
  const int listener = (*claim)->listener();
  EXPECT_FALSE(*(*claim)->Restore());
  ASSERT_EQ(unlink(path_.c_str()), 0);
  EXPECT_TRUE(*(*claim)->Restore());
  EXPECT_EQ((*claim)->listener(), listener);
  EXPECT_EQ(Mode(path_), 0600u);
  ASSERT_EQ(unlink(path_.c_str()), 0);
  std::ofstream(path_) << "precious";
  EXPECT_FALSE(*(*claim)->Restore());
  claim->reset();
  EXPECT_TRUE(Exists(path_));
}

TEST_F(ControlSocketTest, MayBeClaimedAgainAfterItWasGivenUp) {
  { ASSERT_TRUE(Claim().ok()); }
  EXPECT_TRUE(Claim().ok());
}

TEST_F(ControlSocketTest, G03_TakesAPathOf107BytesAndNamesTheLimitAt108) {
  const std::string base = directory_.path() + "/";
  for (const size_t length : {limits::kMaxSocketPathBytes - 1, limits::kMaxSocketPathBytes}) {
    path_ = base + std::string(length - base.size(), 'x');
    EXPECT_TRUE(Claim().ok()) << length;
  }
  path_ = base + std::string(limits::kMaxSocketPathBytes + 1 - base.size(), 'x');
  const auto claim = Claim();
  EXPECT_TRUE(absl::IsInvalidArgument(claim.status()));
  EXPECT_THAT(std::string(claim.status().message()), HasSubstr("107"));
  EXPECT_FALSE(Exists(path_));
}

TEST_F(ControlSocketTest, MakesItsDirectoryForItsOwnerOnly) {
  path_ = directory_.path() + "/new/p2pd.sock";
  ASSERT_TRUE(Claim().ok());
  EXPECT_EQ(Mode(directory_.path() + "/new"), 0700u);
}

TEST_F(ControlSocketTest, SaysWhichDirectoryCannotBeMade) {
  path_ = directory_.path() + "/a/b/p2pd.sock";
  EXPECT_THAT(std::string(Claim().status().message()), HasSubstr("/a/b"));
}

TEST_F(ControlSocketTest, RefusesTheDirectoryOfAnotherUser) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give a directory away";
  ASSERT_EQ(chmod(directory_.path().c_str(), 0755), 0);
  const std::string other = directory_.path() + "/other";
  path_ = other + "/p2pd.sock";
  ASSERT_EQ(mkdir(other.c_str(), 0755), 0);
  ASSERT_EQ(chown(other.c_str(), 65534, 65534), 0);
  ASSERT_EQ(seteuid(12345), 0);
  const auto claim = Claim();
  ASSERT_EQ(seteuid(0), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(claim.status())) << claim.status();
  EXPECT_THAT(std::string(claim.status().message()), HasSubstr("another user"));
}

TEST_F(ControlSocketTest, AGroupGetsTheSocketAndADirectoryItCanEnter) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give a file to any group";
  path_ = directory_.path() + "/new/p2pd.sock";
  const auto claim = ControlSocket::Claim({path_, "users"});
  if (absl::IsInvalidArgument(claim.status())) GTEST_SKIP() << "no group \"users\" here";
  ASSERT_TRUE(claim.ok()) << claim.status();
  EXPECT_EQ(Mode(path_), 0660u);
  EXPECT_EQ(Mode(directory_.path() + "/new"), 0755u);
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_gid, *(*claim)->group());
}

TEST_F(ControlSocketTest, AnUnknownGroupIsAnErrorBeforeAnythingIsMade) {
  EXPECT_TRUE(absl::IsInvalidArgument(ControlSocket::Claim({path_, "no such group"}).status()));
  EXPECT_FALSE(Exists(path_));
}

}  // namespace
}  // namespace p2p::control

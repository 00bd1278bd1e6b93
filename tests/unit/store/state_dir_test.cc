#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "daemon/store/catalog.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"

namespace p2p::store {
namespace {

using testing::HasSubstr;
using testing_support::IsThere;
using testing_support::ReadFile;
using testing_support::TempDir;
using testing_support::WriteFile;

mode_t ModeOf(const std::string& path) {
  struct stat status = {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777;
}

TEST(StateDirLock, MakesTheDirectoryForItsOwnerOnly) {
  TempDir dir;
  const auto lock = StateDirLock::Acquire(dir / "a/b/state");
  ASSERT_TRUE(lock.ok()) << lock.status();
  EXPECT_EQ(ModeOf(dir / "a/b/state"), 0700u);
  EXPECT_EQ(ModeOf(dir / "a/b/state/lock"), 0600u);
}

TEST(StateDirLock, S14_ASecondHolderIsRefusedWithTheFirstsProcess) {
  TempDir dir;
  auto lock = StateDirLock::Acquire(dir.path());
  ASSERT_TRUE(lock.ok());
  const auto second = StateDirLock::Acquire(dir.path());
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr(absl::StrCat("is in use by another p2pd (process ", ::getpid(), ")")));
  lock->reset();
  EXPECT_TRUE(StateDirLock::Acquire(dir.path()).ok());
}

TEST(StateDirLock, S14_TheLockOfADeadProcessIsFree) {
  TempDir dir;
  const pid_t child = ::fork();
  if (child == 0) {
    const auto lock = StateDirLock::Acquire(dir.path());
    ::_exit(lock.ok() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_TRUE(IsThere(dir / "lock"));
  EXPECT_TRUE(StateDirLock::Acquire(dir.path()).ok());
}

TEST(StateDirLock, TellsWhatIsWrongWithTheDirectory) {
  TempDir dir;
  WriteFile(dir / "file", "x");
  const absl::Status file = StateDirLock::Acquire(dir / "file").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(file)) << file;
  EXPECT_THAT(std::string(file.message()), HasSubstr("file is not a directory"));
  const absl::Status below = StateDirLock::Acquire(dir / "file/state").status();
  EXPECT_FALSE(below.ok());
  EXPECT_THAT(std::string(below.message()), HasSubstr("cannot make the directory"));
}

TEST(StateDirLock, ALinkToNothingIsCalledSo) {
  TempDir dir;
  std::filesystem::create_symlink("nowhere", dir / "link");
  for (const std::string& path : {dir / "link", dir / "link/state"}) {
    const absl::Status status = StateDirLock::Acquire(path).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("link is a symbolic link to something that is not there"));
  }
  EXPECT_FALSE(IsThere(dir / "nowhere"));
}

TEST(StateDirLock, X14_ADirectoryThatMayNotBeWrittenIsToldClearly) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs another user";
  TempDir dir;
  ASSERT_EQ(::chmod(dir.path().c_str(), 0755), 0);
  ASSERT_EQ(::seteuid(65534), 0);
  const absl::Status status = StateDirLock::Acquire(dir / "state").status();
  ASSERT_EQ(::seteuid(0), 0);
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("cannot make the directory"));
}

TEST(StateDirLock, ALinkIsNoLockFile) {
  TempDir dir;
  WriteFile(dir / "precious", "content");
  std::filesystem::create_symlink("precious", dir / "lock");
  EXPECT_FALSE(StateDirLock::Acquire(dir.path()).ok());
  EXPECT_EQ(ReadFile(dir / "precious"), "content");
}

TEST(PeerId, IsMadeOnceAndKeptPrivate) {
  TempDir dir;
  const auto first = LoadOrMakePeerId(dir.path());
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = LoadOrMakePeerId(dir.path());
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(*first, *second);
  EXPECT_EQ(ModeOf(dir / "peer_id"), 0600u);
  EXPECT_EQ(ReadFile(dir / "peer_id").size(), 32u);
  EXPECT_FALSE(IsThere(dir / "peer_id.new"));
  TempDir other;
  EXPECT_FALSE(*first == *LoadOrMakePeerId(other.path()));
}

TEST(PeerId, R04_AnEmptyOrZeroFileCountsAsAbsent) {
  TempDir dir;
  for (const std::string& damaged : {std::string(), std::string(32, '\0'), std::string(31, 'x')}) {
    WriteFile(dir / "peer_id", damaged);
    const auto made = LoadOrMakePeerId(dir.path());
    ASSERT_TRUE(made.ok()) << made.status();
    EXPECT_NE(ReadFile(dir / "peer_id"), damaged);
    EXPECT_EQ(*made, *LoadOrMakePeerId(dir.path()));
  }
}

}  // namespace
}  // namespace p2p::store

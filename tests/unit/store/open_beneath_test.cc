#include "daemon/store/open_beneath.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"

namespace p2p::store {
namespace {

using testing_support::IsThere;
using testing_support::ReadFile;
using testing_support::TempDir;
using testing_support::WriteFile;

using OpenFunction = int (*)(int, absl::string_view, int, mode_t, Descriptor*);

// Every test runs for the system's own call and for the walk by components.
class OpenBeneathTest : public testing::TestWithParam<OpenFunction> {
 protected:
  OpenBeneathTest() {
    ::mkdir((dir_ / "root").c_str(), 0755);
    ::mkdir((dir_ / "root/sub").c_str(), 0755);
    ::mkdir((dir_ / "outside").c_str(), 0755);
    WriteFile(dir_ / "root/sub/file", "inside");
    WriteFile(dir_ / "outside/canary", "canary");
    root_ = Descriptor(::open((dir_ / "root").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }

  int Open(absl::string_view name, int flags = O_RDONLY) {
    Descriptor fd;
    return GetParam()(root_.get(), name, flags, 0600, &fd);
  }

  TempDir dir_;
  Descriptor root_;
};

TEST_P(OpenBeneathTest, OpensWhatIsBeneath) {
  EXPECT_EQ(Open("sub/file"), 0);
  EXPECT_EQ(Open("sub", O_RDONLY | O_DIRECTORY), 0);
  EXPECT_EQ(Open("nothing"), ENOENT);
  EXPECT_EQ(Open("sub/file/x"), ENOTDIR);
}

TEST_P(OpenBeneathTest, TheDescriptorIsClosedOnExec) {
  Descriptor fd;
  ASSERT_EQ(GetParam()(root_.get(), "sub/file", O_RDONLY, 0, &fd), 0);
  EXPECT_NE(::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_P(OpenBeneathTest, S20_NamesThatWouldLeaveTheRootAreImpossible) {
  const std::string absolute = dir_ / "outside/canary";
  const std::string with_nul("sub\0/../..", 10);
  for (const std::string& name :
       {std::string("../outside/canary"), std::string("sub/../../outside/canary"), absolute,
        std::string(".."), std::string("."), std::string(""), std::string("sub/"),
        std::string("sub//file"), std::string("/"), std::string("sub/./file"),
        std::string("sub/../sub/file"), with_nul}) {
    EXPECT_EQ(Open(name), EXDEV) << name;
    EXPECT_EQ(Open(name, O_RDWR | O_CREAT), EXDEV) << name;
  }
  EXPECT_EQ(ReadFile(dir_ / "outside/canary"), "canary");
}

TEST_P(OpenBeneathTest, S21_PlantedLinksAreNotFollowed) {
  ASSERT_EQ(::symlink((dir_ / "outside/canary").c_str(), (dir_ / "root/file_link").c_str()), 0);
  ASSERT_EQ(::symlink("../outside", (dir_ / "root/directory_link").c_str()), 0);
  ASSERT_EQ(::symlink("sub", (dir_ / "root/inner_link").c_str()), 0);
  EXPECT_EQ(Open("file_link"), ELOOP);
  EXPECT_EQ(Open("file_link", O_RDWR | O_CREAT), ELOOP);
  for (const char* name : {"directory_link/canary", "inner_link/file"}) {
    const int error = Open(name);
    EXPECT_TRUE(error == ELOOP || error == ENOTDIR) << name << ": " << error;
  }
  EXPECT_EQ(ReadFile(dir_ / "outside/canary"), "canary");
}

// A directory on the way is exchanged for a link to the outside and back while files are made
// beneath it.
TEST_P(OpenBeneathTest, S22_AParentThatFlipsToALinkNeverLetsAWriteOut) {
  ASSERT_EQ(::symlink("../outside", (dir_ / "root/link").c_str()), 0);
  // P2P_FLIPS=1000000 takes a minute or two.
  const char* const wanted = std::getenv("P2P_FLIPS");
  const int most_flips = wanted != nullptr ? std::atoi(wanted) : 50'000;
  std::atomic<bool> stop{false};
  std::atomic<int> flips{0};
  std::thread racer([&] {
    const std::string sub = dir_ / "root/sub";
    const std::string link = dir_ / "root/link";
    const std::string aside = dir_ / "root/aside";
    while (!stop) {
      ::rename(sub.c_str(), aside.c_str());
      ::rename(link.c_str(), sub.c_str());
      ::rename(sub.c_str(), link.c_str());
      ::rename(aside.c_str(), sub.c_str());
      flips += 2;
    }
  });
  int opened = 0;
  // On a busy machine the racer may stand still with the link in place: at least one call must get
  // in.
  while (flips < most_flips || opened == 0) {
    Descriptor fd;
    if (GetParam()(root_.get(), "sub/canary", O_RDWR | O_CREAT, 0600, &fd) != 0) continue;
    ++opened;
    EXPECT_EQ(::ftruncate(fd.get(), 0), 0);
    EXPECT_EQ(::pwrite(fd.get(), "evil", 4, 0), 4);
  }
  stop = true;
  racer.join();
  EXPECT_GT(opened, 0);
  EXPECT_EQ(ReadFile(dir_ / "outside/canary"), "canary");
}

INSTANTIATE_TEST_SUITE_P(Ways, OpenBeneathTest,
                         testing::Values(&OpenBeneath, &OpenBeneathByComponents));

using RenameFunction = int (*)(int, const char*, int, const char*);

class RenameTest : public testing::TestWithParam<RenameFunction> {
 protected:
  RenameTest() {
    root_ = Descriptor(::open(dir_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  int Rename(const char* from, const char* to) {
    return GetParam()(root_.get(), from, root_.get(), to);
  }

  TempDir dir_;
  Descriptor root_;
};

TEST_P(RenameTest, GivesAFileItsName) {
  WriteFile(dir_ / "a.part", "content");
  EXPECT_EQ(Rename("a.part", "a"), 0);
  EXPECT_EQ(ReadFile(dir_ / "a"), "content");
  EXPECT_FALSE(IsThere(dir_ / "a.part"));
}

TEST_P(RenameTest, GivesADirectoryItsName) {
  ::mkdir((dir_ / "d.part").c_str(), 0755);
  WriteFile(dir_ / "d.part/x", "content");
  EXPECT_EQ(Rename("d.part", "d"), 0);
  EXPECT_EQ(ReadFile(dir_ / "d/x"), "content");
}

TEST_P(RenameTest, S18_NeverReplacesAFileOrADirectoryOrALink) {
  WriteFile(dir_ / "a.part", "new");
  WriteFile(dir_ / "a", "old");
  EXPECT_EQ(Rename("a.part", "a"), EEXIST);
  EXPECT_EQ(ReadFile(dir_ / "a"), "old");
  EXPECT_EQ(ReadFile(dir_ / "a.part"), "new");
  ::mkdir((dir_ / "d.part").c_str(), 0755);
  ::mkdir((dir_ / "d").c_str(), 0755);
  EXPECT_EQ(Rename("d.part", "d"), EEXIST);
  ASSERT_EQ(::symlink("nowhere", (dir_ / "l").c_str()), 0);
  EXPECT_EQ(Rename("a.part", "l"), EEXIST);
}

TEST_P(RenameTest, TellsThatTheSourceIsNotThere) { EXPECT_EQ(Rename("a.part", "a"), ENOENT); }

INSTANTIATE_TEST_SUITE_P(Ways, RenameTest, testing::Values(&RenameWithoutReplacing, &RenameByLink));

}  // namespace
}  // namespace p2p::store

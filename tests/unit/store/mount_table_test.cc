#include "daemon/store/mount_table.h"

#include <fstream>

#include "core/base/clock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"

namespace p2p::store {
namespace {

using testing_support::TempDir;

constexpr char kListing[] =
    "21 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw\n"
    "22 21 0:20 / /proc rw - proc proc rw\n"
    "23 21 0:31 / /mnt/share rw shared:3 - nfs4 server:/x rw\n"
    "24 21 0:32 / /mnt/my\\040disk rw - fuse.sshfs host: rw\n"
    "25 21 0:33 / /over rw - tmpfs tmpfs rw\n"
    "26 25 0:34 / /over rw - tmpfs tmpfs rw\n"
    "nonsense\n";

class MountTableTest : public ::testing::Test {
 protected:
  MountTableTest() {
    std::ofstream(listing_) << kListing;
    root_ = table_.DiskAt("/", now_);
    if (root_ == DiskId::kUnknown) {
      skip_ = true;  // this system does not tell
    }
  }

  TempDir directory_;
  const std::string listing_ = directory_ / "mountinfo";
  MountTable table_{listing_};
  absl::Time now_ = absl::UnixEpoch();
  DiskId root_;
  bool skip_ = false;
};

TEST_F(MountTableTest, TheNearestMountPointOfAPathTellsItsDisk) {
  if (skip_) GTEST_SKIP() << "only Linux lists what is mounted";
  EXPECT_EQ(table_.DiskAt("/srv/a/b", now_), root_);
  EXPECT_EQ(table_.DiskAt("/mnt/shared/x", now_), root_);
  const DiskId share = table_.DiskAt("/mnt/share", now_);
  EXPECT_NE(share, root_);
  EXPECT_EQ(table_.DiskAt("/mnt/share/", now_), share);
  EXPECT_EQ(table_.DiskAt("/mnt/share/deep/er", now_), share);
  EXPECT_NE(table_.DiskAt("/mnt/my disk/x", now_), root_);
  EXPECT_NE(table_.DiskAt("/mnt/my disk/x", now_), share);
}

TEST_F(MountTableTest, WhatIsMountedLastAtAPlaceHidesTheRest) {
  if (skip_) GTEST_SKIP() << "only Linux lists what is mounted";
  const DiskId hidden = table_.DiskAt("/over/x", now_);
  std::ofstream(listing_) << "25 21 0:33 / /over rw - tmpfs tmpfs rw\n";
  now_ += absl::Seconds(2);
  EXPECT_NE(table_.DiskAt("/over/x", now_), hidden);
}

TEST_F(MountTableTest, WithoutAListingAllPathsAreOfTheSameDisk) {
  MountTable none(directory_ / "missing");
  EXPECT_EQ(none.DiskAt("/a", now_), DiskId::kUnknown);
  EXPECT_EQ(none.DiskAt("/", now_), DiskId::kUnknown);
}

#if defined(__linux__) && !defined(P2P_PORTABLE)
TEST(MountTable, TheSystemTellsOfItsOwnFileSystems) {
  MountTable table;
  EXPECT_NE(table.DiskAt("/proc/self", MonotonicNow()), table.DiskAt("/", MonotonicNow()));
}
#endif

}  // namespace
}  // namespace p2p::store

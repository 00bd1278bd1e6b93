#include "daemon/store/device_type.h"

#include <filesystem>

#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"

#if defined(__linux__) && !defined(P2P_PORTABLE)
#include <sys/sysmacros.h>

namespace p2p::store {
namespace {

using testing_support::TempDir;
using testing_support::WriteFile;

namespace fs = std::filesystem;

// A tree such as the system's: devices below "devices", and links by number to them.
class DeviceTypeTest : public testing::Test {
 protected:
  DeviceTypeTest() { fs::create_directories(dir_ / "dev/block"); }

  void AddDisk(const std::string& name, const std::string& number, const std::string& rotational) {
    AddNumber(name, number);
    fs::create_directories(dir_ / ("devices/" + name + "/queue"));
    fs::create_directories(dir_ / ("devices/" + name + "/slaves"));
    WriteFile(dir_ / ("devices/" + name + "/queue/rotational"), rotational + "\n");
  }
  void AddNumber(const std::string& name, const std::string& number) {
    fs::create_directories(dir_ / ("devices/" + name));
    WriteFile(dir_ / ("devices/" + name + "/dev"), number + "\n");
    fs::create_directory_symlink("../../devices/" + name, dir_ / ("dev/block/" + number));
  }
  void BuildOn(const std::string& upper, const std::string& lower) {
    const std::string last = fs::path(lower).filename().string();
    fs::create_directory_symlink(dir_ / ("devices/" + lower),
                                 dir_ / ("devices/" + upper + "/slaves/" + last));
  }
  void SetDriver(const std::string& name, const std::string& driver) {
    fs::create_directories(dir_ / ("devices/" + name + "/device"));
    fs::create_directory_symlink("../../../bus/drivers/" + driver,
                                 dir_ / ("devices/" + name + "/device/driver"));
  }
  Disk Look(unsigned high, unsigned low) { return DiskOf(makedev(high, low), dir_.path()); }

  TempDir dir_;
};

TEST_F(DeviceTypeTest, TheQueueTellsWhetherADiskTurns) {
  AddDisk("sda", "8:0", "1");
  AddDisk("nvme0n1", "259:0", "0");
  EXPECT_EQ(Look(8, 0).type, DeviceType::kRotational);
  EXPECT_EQ(Look(259, 0).type, DeviceType::kSolidState);
}

TEST_F(DeviceTypeTest, PartitionsAreOfTheirDisk) {
  AddDisk("sda", "8:0", "1");
  AddNumber("sda/sda1", "8:1");
  AddNumber("sda/sda2", "8:2");
  EXPECT_EQ(Look(8, 1).type, DeviceType::kRotational);
  EXPECT_EQ(Look(8, 1).device, makedev(8, 0));
  EXPECT_EQ(Look(8, 2).device, makedev(8, 0));
}

TEST_F(DeviceTypeTest, VolumesAreOfTheDiskBelow) {
  AddDisk("sda", "8:0", "1");
  AddNumber("sda/sda1", "8:1");
  AddDisk("dm-0", "252:0", "1");
  AddDisk("dm-1", "252:1", "1");
  BuildOn("dm-0", "sda/sda1");
  BuildOn("dm-1", "dm-0");
  EXPECT_EQ(Look(252, 1).type, DeviceType::kRotational);
  EXPECT_EQ(Look(252, 1).device, makedev(8, 0));
}

TEST_F(DeviceTypeTest, OneTurningDiskMakesAnArrayTurn) {
  AddDisk("sda", "8:0", "0");
  AddDisk("sdb", "8:16", "1");
  AddDisk("md0", "9:0", "0");
  BuildOn("md0", "sda");
  BuildOn("md0", "sdb");
  EXPECT_EQ(Look(9, 0).type, DeviceType::kRotational);
}

TEST_F(DeviceTypeTest, AVirtualDiskThatClaimsToTurnIsNotBelieved) {
  AddDisk("vda", "254:0", "1");
  SetDriver("vda", "virtio_blk");
  AddDisk("vdb", "254:16", "0");
  SetDriver("vdb", "virtio_blk");
  AddDisk("sda", "8:0", "1");
  SetDriver("sda", "sd");
  EXPECT_EQ(Look(254, 0).type, DeviceType::kUnknown);
  EXPECT_EQ(Look(254, 16).type, DeviceType::kSolidState);
  EXPECT_EQ(Look(8, 0).type, DeviceType::kRotational);
}

TEST_F(DeviceTypeTest, WhatIsBuiltOnItselfEnds) {
  AddDisk("dm-0", "252:0", "1");
  BuildOn("dm-0", "dm-0");
  EXPECT_EQ(Look(252, 0).type, DeviceType::kRotational);
}

TEST_F(DeviceTypeTest, ANumberThatIsNotThereIsUnknown) {
  EXPECT_EQ(Look(8, 0).type, DeviceType::kUnknown);
  EXPECT_EQ(DiskOf(makedev(8, 0), "/nonexistent").type, DeviceType::kUnknown);
  EXPECT_EQ(DeviceTypeOf("/nonexistent"), DeviceType::kUnknown);
}

}  // namespace
}  // namespace p2p::store
#endif

namespace p2p::store {
namespace {

TEST(DeviceTypeName, IsOneOfFiveWords) {
  EXPECT_STREQ(DeviceTypeName(DeviceType::kUnknown), "unknown");
  EXPECT_STREQ(DeviceTypeName(DeviceType::kMemory), "memory");
  EXPECT_STREQ(DeviceTypeName(DeviceType::kSolidState), "solid state");
  EXPECT_STREQ(DeviceTypeName(DeviceType::kRotational), "rotational");
  EXPECT_STREQ(DeviceTypeName(DeviceType::kNetwork), "network");
}

}  // namespace
}  // namespace p2p::store

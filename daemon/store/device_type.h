// What kind of device files lie on, which tells how many readers it bears at once. Blocks like any
// look at a file system. Any thread.
#pragma once

#include <cstdint>
#include <string>

namespace p2p::store {

// kUnknown: not told (a file system over several devices, a virtual disk that does not know what is
// behind it, another system than Linux).
enum class DeviceType { kUnknown, kMemory, kSolidState, kRotational, kNetwork };

// What tells a disk from others for those who may wait for it: the device number of a file system
// that is mounted (FileIdentity::device).
enum class DiskId : uint64_t { kUnknown = 0 };

// "unknown", "memory", "solid state", "rotational", "network": as promised to scripts.
const char* DeviceTypeName(DeviceType type);

struct Disk {
  DeviceType type = DeviceType::kUnknown;
  uint64_t device = 0;  // its number: one for all its partitions and volumes
};

// The disk behind a device number (FileIdentity::device). Below several disks (RAID) the first, and
// rotational when one of them is. `sysfs` is where the system tells.
Disk DiskOf(uint64_t device, const std::string& sysfs = "/sys");

// The device of a directory that is there, which may also be memory or elsewhere.
DeviceType DeviceTypeOf(const std::string& directory);

}  // namespace p2p::store

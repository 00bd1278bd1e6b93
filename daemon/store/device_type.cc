#include "daemon/store/device_type.h"

#if defined(__linux__) && !defined(P2P_PORTABLE)
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "daemon/store/posix_io.h"
#endif

namespace p2p::store {

const char* DeviceTypeName(DeviceType type) {
  switch (type) {
    case DeviceType::kUnknown:
      return "unknown";
    case DeviceType::kMemory:
      return "memory";
    case DeviceType::kSolidState:
      return "solid state";
    case DeviceType::kRotational:
      return "rotational";
    case DeviceType::kNetwork:
      return "network";
  }
  return "unknown";
}

#if defined(__linux__) && !defined(P2P_PORTABLE)
namespace {

// Encryption over volumes over RAID over partitions; what is deeper is not told.
constexpr int kMaxStackedDevices = 8;
// Not in every system's magic.h.
constexpr uint32_t kCifsMagic = 0xff534d42;
constexpr uint32_t kSmb2Magic = 0xfe534d42;
constexpr uint32_t kCephMagic = 0x00c36400;
constexpr size_t kAttributeBytes = 64;

// What a sysfs file says, "" when it is not there.
std::string Attribute(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return "";
  const std::string text = ReadUpTo(fd.get(), kAttributeBytes);
  return std::string(absl::StripSuffix(text, "\n"));
}

// Sorted; empty when there is no such directory.
std::vector<std::string> Entries(const std::string& path) {
  std::vector<std::string> names;
  DIR* const list = ::opendir(path.c_str());
  if (list == nullptr) return names;
  while (const struct dirent* entry = ::readdir(list)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  ::closedir(list);
  std::sort(names.begin(), names.end());
  return names;
}

// These say "rotational" because nobody told them otherwise.
bool IsVirtual(const std::string& disk) {
  char target[PATH_MAX];
  const ssize_t length =
      ::readlink(absl::StrCat(disk, "/device/driver").c_str(), target, sizeof target);
  const absl::string_view driver(target, length > 0 ? static_cast<size_t>(length) : 0);
  return absl::EndsWith(driver, "/virtio_blk") || absl::EndsWith(driver, "/vbd");
}

uint64_t DeviceNumber(absl::string_view attribute) {
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(attribute, ':');
  unsigned high = 0;
  unsigned low = 0;
  if (!absl::SimpleAtoi(parts.first, &high) || !absl::SimpleAtoi(parts.second, &low)) return 0;
  return static_cast<uint64_t>(makedev(high, low));
}

// `path` is the sysfs directory of a disk, a partition or a device made of others.
Disk DiskAt(const std::string& path, int depth) {
  const std::vector<std::string> parts = Entries(path + "/slaves");
  if (!parts.empty() && depth < kMaxStackedDevices) {
    Disk result = DiskAt(absl::StrCat(path, "/slaves/", parts[0]), depth + 1);
    for (size_t i = 1; i < parts.size(); ++i) {
      const DeviceType other = DiskAt(absl::StrCat(path, "/slaves/", parts[i]), depth + 1).type;
      if (other == result.type || result.type == DeviceType::kRotational) continue;
      result.type = other == DeviceType::kRotational ? other : DeviceType::kUnknown;
    }
    return result;
  }
  // A partition lies in its disk's directory.
  std::string whole = path;
  std::string rotational = Attribute(whole + "/queue/rotational");
  if (rotational.empty()) {
    whole += "/..";
    rotational = Attribute(whole + "/queue/rotational");
  }
  Disk disk;
  disk.device = DeviceNumber(Attribute(whole + "/dev"));
  if (rotational == "0") disk.type = DeviceType::kSolidState;
  if (rotational == "1" && !IsVirtual(whole)) disk.type = DeviceType::kRotational;
  return disk;
}

}  // namespace

Disk DiskOf(uint64_t device, const std::string& sysfs) {
  const auto number = static_cast<dev_t>(device);
  return DiskAt(absl::StrCat(sysfs, "/dev/block/", major(number), ":", minor(number)), 0);
}

DeviceType DeviceTypeOf(const std::string& directory) {
  struct statfs mounted;
  struct stat status;
  if (::statfs(directory.c_str(), &mounted) != 0 || ::stat(directory.c_str(), &status) != 0) {
    return DeviceType::kUnknown;
  }
  switch (static_cast<uint32_t>(mounted.f_type)) {
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
      return DeviceType::kMemory;
    case NFS_SUPER_MAGIC:
    case SMB_SUPER_MAGIC:
    case kCifsMagic:
    case kSmb2Magic:
    case kCephMagic:
    case AFS_SUPER_MAGIC:
    case V9FS_MAGIC:
      return DeviceType::kNetwork;
    default:
      return DiskOf(static_cast<uint64_t>(status.st_dev)).type;
  }
}

#else

Disk DiskOf(uint64_t, const std::string&) { return {}; }
DeviceType DeviceTypeOf(const std::string&) { return DeviceType::kUnknown; }

#endif

}  // namespace p2p::store

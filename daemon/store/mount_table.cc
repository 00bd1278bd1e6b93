#include "daemon/store/mount_table.h"

#if defined(__linux__) && !defined(P2P_PORTABLE)
#include <sys/sysmacros.h>
#endif

#include <fstream>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace p2p::store {
namespace {

constexpr absl::Duration kMaxAge = absl::Seconds(1);
// Fields of a line.
constexpr size_t kDevice = 2;
constexpr size_t kMountPoint = 4;

// Spaces and the like are written as a backslash and three octal digits.
std::string Unescape(absl::string_view text) {
  constexpr size_t kDigits = 3;
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + kDigits >= text.size()) {
      plain.push_back(text[i]);
      continue;
    }
    int value = 0;
    for (size_t digit = 1; digit <= kDigits; ++digit) value = value * 8 + (text[i + digit] - '0');
    plain.push_back(static_cast<char>(value));
    i += kDigits;
  }
  return plain;
}

#if defined(__linux__) && !defined(P2P_PORTABLE)
DiskId DiskOfNumbers(unsigned high, unsigned low) {
  return DiskId(static_cast<uint64_t>(makedev(high, low)));
}
#else
DiskId DiskOfNumbers(unsigned, unsigned) { return DiskId::kUnknown; }
#endif

}  // namespace

MountTable::MountTable(std::string listing) : listing_(std::move(listing)) {}

DiskId MountTable::DiskAt(absl::string_view path, absl::Time now) {
  if (now - read_at_ > kMaxAge) {
    Read();
    read_at_ = now;
  }
  while (!path.empty()) {
    const auto mount = mounts_.find(path);
    if (mount != mounts_.end()) return mount->second;
    path = path.substr(0, path.rfind('/'));
  }
  const auto root = mounts_.find("/");
  return root != mounts_.end() ? root->second : DiskId::kUnknown;
}

void MountTable::Read() {
  mounts_.clear();
  std::ifstream lines(listing_);
  for (std::string line; std::getline(lines, line);) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
    if (fields.size() <= kMountPoint) continue;
    const std::pair<absl::string_view, absl::string_view> numbers =
        absl::StrSplit(fields[kDevice], ':');
    unsigned high = 0;
    unsigned low = 0;
    if (!absl::SimpleAtoi(numbers.first, &high) || !absl::SimpleAtoi(numbers.second, &low)) {
      continue;
    }
    mounts_[Unescape(fields[kMountPoint])] = DiskOfNumbers(high, low);
  }
}

}  // namespace p2p::store

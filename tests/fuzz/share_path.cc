// Names from a manifest on their way to the disk: whatever a peer calls its files, they stay
// beneath the directory that a download has, each in a place of its own.
#include "daemon/store/share_path.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/limits.h"
#include "core/base/names.h"
#include "core/content/layout.h"
#include "daemon/store/open_beneath.h"
#include "tests/fuzz/fuzz.h"

namespace p2p::store {
namespace {

// Where a path leads, followed word by word as a file system does; false when it ever leaves, or
// is not there at all.
bool LeadsBeneath(absl::string_view path) {
  if (path.empty() || path.front() == '/' || absl::StrContains(path, absl::string_view("\0", 1))) {
    return false;
  }
  int depth = 0;
  for (absl::string_view word : absl::StrSplit(path, '/')) {
    if (word == "..") --depth;
    if (word != ".." && word != "." && !word.empty()) ++depth;
    if (depth < 0) return false;
  }
  return depth > 0;
}

void CheckName(absl::string_view name) {
  const bool stays = StaysBeneath(name);
  if (stays) P2P_FUZZ_CHECK(LeadsBeneath(name));
  if (!p2p::CheckName(name).ok()) return;
  P2P_FUZZ_CHECK(stays);
  if (absl::StrContains(name, '/')) return;
  const std::string part = PartName(name);
  P2P_FUZZ_CHECK(p2p::CheckNameComponent(part).ok() && absl::EndsWith(part, ".part"));
}

void CheckLayout(absl::string_view base, const content::Layout& layout) {
  std::set<std::string> places;
  for (uint32_t i = 0; i < layout.files().size(); ++i) {
    const std::string place = DiskName(base, layout, FileIndex(i));
    P2P_FUZZ_CHECK(StaysBeneath(place) && LeadsBeneath(place));
    P2P_FUZZ_CHECK(place == base || absl::StartsWith(place, absl::StrCat(base, "/")));
    P2P_FUZZ_CHECK(places.insert(place).second);
  }
  for (const std::string& directory : DiskDirectories(base, layout)) {
    P2P_FUZZ_CHECK(StaysBeneath(directory) && LeadsBeneath(directory));
    // No path is both.
    P2P_FUZZ_CHECK(places.insert(directory).second);
  }
}

void CheckUserPath(absl::string_view path) {
  const absl::StatusOr<SplitPath> split = SplitUserPath(path);
  if (!split.ok()) return P2P_FUZZ_CHECK(fuzz::IsShowable(split.status().message()));
  P2P_FUZZ_CHECK(split->parent.front() == '/');
  P2P_FUZZ_CHECK(StaysBeneath(split->name) && !absl::StrContains(split->name, '/'));
}

}  // namespace
}  // namespace p2p::store

// The first line names the share, the others are the paths of its files.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  absl::string_view rest = p2p::fuzz::AsText(data, size);
  const absl::string_view name = p2p::fuzz::TakeLine(&rest);
  std::vector<p2p::content::LayoutFile> files;
  while (!rest.empty()) {
    const absl::string_view path = p2p::fuzz::TakeLine(&rest);
    p2p::store::CheckName(path);
    p2p::store::CheckUserPath(path);
    files.emplace_back();
    files.back().path = std::string(path);
  }
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return p2p::content::PathLess(a.path, b.path); });
  const bool is_directory = files.size() != 1 || files.front().path != name;
  const auto layout = p2p::content::Layout::Make(std::string(name), is_directory, std::move(files));
  if (layout.ok()) p2p::store::CheckLayout(name, *layout);
  return 0;
}

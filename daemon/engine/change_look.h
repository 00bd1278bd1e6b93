// Which files of a transfer are to be looked at for changes, and when: one look at a time, each at
// some files, and not one after the other without a pause. Pure; belongs to the engine loop.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "core/base/ids.h"
#include "core/base/limits.h"

namespace p2p::engine {

class ChangeLook {
 public:
  template <typename Files>
  void Want(const Files& files) {
    wanted_.insert(files.begin(), files.end());
  }
  // When the next look may begin: InfiniteFuture() while one is under way or none is wanted.
  absl::Time due() const {
    return under_way_ || wanted_.empty() ? absl::InfiniteFuture() : not_before_;
  }
  // What the look that begins now is at; OnEnd() has to follow.
  std::vector<FileIndex> Begin(absl::Time now) {
    under_way_ = true;
    not_before_ = now + limits::kLookInterval;
    std::vector<FileIndex> files;
    files.reserve(std::min(wanted_.size(), limits::kMaxFilesPerLook));
    while (!wanted_.empty() && files.size() < limits::kMaxFilesPerLook) {
      files.push_back(*wanted_.begin());
      wanted_.erase(wanted_.begin());
    }
    std::sort(files.begin(), files.end());
    return files;
  }
  void OnEnd() { under_way_ = false; }

 private:
  absl::flat_hash_set<FileIndex> wanted_;
  bool under_way_ = false;
  absl::Time not_before_ = absl::InfinitePast();
};

}  // namespace p2p::engine

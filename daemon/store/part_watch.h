// What each file of an unfinished download was when this daemon last changed it: whatever somebody
// else does to it between two of its own changes is seen. Thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/optional.h"
#include "core/base/ids.h"
#include "daemon/store/file_system.h"

namespace p2p::store {

class PartWatch {
 public:
  explicit PartWatch(size_t files) : files_(files) {}

  // It was made or found just now.
  void Found(FileIndex file, const FileIdentity& now);
  // Around each change of this daemon's. Looks at the file, once after each sync. Not to be ended
  // when it fails.
  absl::Status BeginChange(FileIndex file, File* handle);
  void EndChange(FileIndex file);
  // Around a look at it, after a sync. EndLook says whether it is one that this daemon left so.
  absl::optional<uint32_t> BeginLook(FileIndex file) const;
  bool EndLook(FileIndex file, absl::optional<uint32_t> began, const FileIdentity& now);
  // Another one has its name.
  void Replaced(FileIndex file);

  // Whether it never was another one, and is now what it was after the last sync.
  bool IsAsLeft(FileIndex file, const FileIdentity& now) const;
  // Of one that was never seen all is 0.
  FileIdentity left(FileIndex file) const;

 private:
  struct Watched {
    FileIdentity left;
    uint32_t round = 0;  // goes on with each change
    uint16_t changing = 0;
    bool touched = false;  // by this daemon, since it was looked at
    bool changed = false;  // by somebody else
  };

  mutable absl::Mutex mutex_;
  std::vector<Watched> files_ ABSL_GUARDED_BY(mutex_);
};

// Whatever was done to it meanwhile.
inline bool IsSameFile(const FileIdentity& a, const FileIdentity& b) {
  return a.device == b.device && a.inode == b.inode;
}

}  // namespace p2p::store

// Keeps a tracker's registrations in a file: reads it at the start, writes it every minute and at
// the stop. Owned by main; figures() is thread-safe, all else belongs to main's thread.
#pragma once

#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/wire/tracker_messages.h"
#include "tracker/registry.h"

namespace p2p::tracker {

class SnapshotKeeper {
 public:
  explicit SnapshotKeeper(std::string path) : path_(std::move(path)) {}
  ~SnapshotKeeper();

  // Before all else: two trackers would overwrite each other's snapshot. FailedPrecondition while
  // another one keeps its registrations in this file.
  absl::Status Claim();

  // Without a snapshot, or with one that cannot be read, the tracker starts empty and says so in
  // the log; a damaged one is kept aside as "<path>.damaged".
  void Load(Registry* registry);
  // A failure is logged, and the former snapshot stays. Whether all is written.
  bool Save(const Registry& registry);
  // How long to wait before the next Save: a minute, or ten times what the last one took.
  absl::Duration interval() const;

  // snapshot (none, loaded, saved or failed), its age and how many registrations it has.
  wire::Figures figures() const;

 private:
  void SetState(const char* state, size_t registrations);

  const std::string path_;
  int lock_ = -1;
  absl::Duration last_took_;
  mutable absl::Mutex mutex_;
  const char* state_ ABSL_GUARDED_BY(mutex_) = "none";
  size_t registrations_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time since_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace p2p::tracker

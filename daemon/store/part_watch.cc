#include "daemon/store/part_watch.h"

#include "core/base/status.h"

namespace p2p::store {

void PartWatch::Found(FileIndex file, const FileIdentity& now) {
  absl::MutexLock lock(&mutex_);
  Watched& watched = files_[file.value()];
  watched.left = now;
  ++watched.round;
}

absl::Status PartWatch::BeginChange(FileIndex file, File* handle) {
  while (true) {
    uint32_t round = 0;
    {
      absl::MutexLock lock(&mutex_);
      Watched& watched = files_[file.value()];
      if (watched.touched) {
        ++watched.changing;
        ++watched.round;
        return absl::OkStatus();
      }
      round = watched.round;
    }
    P2P_ASSIGN_OR_RETURN(const FileInfo now, handle->Info());
    absl::MutexLock lock(&mutex_);
    Watched& watched = files_[file.value()];
    // Another worker began meanwhile: what was seen may be its work.
    if (watched.round != round) continue;
    if (watched.left.inode != 0 && !(watched.left == now.identity)) watched.changed = true;
    watched.touched = true;
    ++watched.changing;
    ++watched.round;
    return absl::OkStatus();
  }
}

void PartWatch::EndChange(FileIndex file) {
  absl::MutexLock lock(&mutex_);
  --files_[file.value()].changing;
}

absl::optional<uint32_t> PartWatch::BeginLook(FileIndex file) const {
  absl::MutexLock lock(&mutex_);
  const Watched& watched = files_[file.value()];
  if (watched.changing > 0) return absl::nullopt;
  return watched.round;
}

bool PartWatch::EndLook(FileIndex file, absl::optional<uint32_t> began, const FileIdentity& now) {
  absl::MutexLock lock(&mutex_);
  Watched& watched = files_[file.value()];
  if (watched.left.inode != 0 && !IsSameFile(watched.left, now)) watched.changed = true;
  // Who changes it meanwhile has it looked at again by the next sync.
  if (began != watched.round) return !watched.changed;
  if (!watched.touched && watched.left.inode != 0 && !(watched.left == now)) watched.changed = true;
  watched.left = now;
  watched.touched = false;
  return !watched.changed;
}

void PartWatch::Replaced(FileIndex file) {
  absl::MutexLock lock(&mutex_);
  files_[file.value()].changed = true;
}

bool PartWatch::IsAsLeft(FileIndex file, const FileIdentity& now) const {
  absl::MutexLock lock(&mutex_);
  const Watched& watched = files_[file.value()];
  return !watched.changed && !watched.touched && watched.left == now;
}

FileIdentity PartWatch::left(FileIndex file) const {
  absl::MutexLock lock(&mutex_);
  return files_[file.value()].left;
}

}  // namespace p2p::store

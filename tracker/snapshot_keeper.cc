#include "tracker/snapshot_keeper.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "spdlog/spdlog.h"
#include "tracker/snapshot.h"

namespace p2p::tracker {
namespace {

constexpr absl::Duration kInterval = absl::Minutes(1);

}  // namespace

SnapshotKeeper::~SnapshotKeeper() {
  if (lock_ >= 0) close(lock_);
}

absl::Status SnapshotKeeper::Claim() {
  // The snapshot itself is another file after each save. The lock file stays for ever: removing it
  // would let two trackers lock two files of one name.
  const std::string name = path_ + ".lock";
  lock_ = open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  if (lock_ < 0) return ErrnoStatus(errno, absl::StrCat("cannot open ", name));
  if (flock(lock_, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  if (errno != EWOULDBLOCK) return ErrnoStatus(errno, absl::StrCat("cannot lock ", name));
  return absl::FailedPreconditionError(
      absl::StrCat("--state ", path_,
                   " is in use by another p2p-tracker; stop that one, or give each a file of its "
                   "own"));
}

void SnapshotKeeper::Load(Registry* registry) {
  const auto loaded = LoadSnapshot(path_, {MonotonicNow(), absl::Now()}, registry);
  if (loaded.ok()) {
    spdlog::info("{} registrations are back from {}", *loaded, path_);
    return SetState("loaded", *loaded);
  }
  if (absl::IsNotFound(loaded.status())) return;
  const std::string reason(loaded.status().message());
  if (!absl::IsDataLoss(loaded.status())) {
    return spdlog::warn("starting without registrations: {}", reason);
  }
  const std::string aside = path_ + ".damaged";
  const bool kept = std::rename(path_.c_str(), aside.c_str()) == 0;
  spdlog::warn("starting without registrations, which come with the next renewals: {}{}", reason,
               kept ? absl::StrCat("; it is kept as ", aside) : "");
}

bool SnapshotKeeper::Save(const Registry& registry) {
  const absl::Time began = MonotonicNow();
  const auto saved = SaveSnapshot(path_, {began, absl::Now()}, registry);
  last_took_ = MonotonicNow() - began;
  if (saved.ok()) {
    SetState("saved", *saved);
    return true;
  }
  spdlog::error("{}", std::string(saved.status().message()));
  absl::MutexLock lock(&mutex_);
  state_ = "failed";
  return false;
}

absl::Duration SnapshotKeeper::interval() const { return std::max(kInterval, 10 * last_took_); }

wire::Figures SnapshotKeeper::figures() const {
  absl::MutexLock lock(&mutex_);
  wire::Figures figures = {{"snapshot", state_}};
  if (since_ == absl::InfinitePast()) return figures;
  figures.emplace_back("snapshot_registrations", absl::StrCat(registrations_));
  figures.emplace_back("snapshot_age_seconds",
                       absl::StrCat(absl::ToInt64Seconds(MonotonicNow() - since_)));
  return figures;
}

void SnapshotKeeper::SetState(const char* state, size_t registrations) {
  absl::MutexLock lock(&mutex_);
  state_ = state;
  registrations_ = registrations;
  since_ = MonotonicNow();
}

}  // namespace p2p::tracker

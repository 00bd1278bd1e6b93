#include "tracker/snapshot_keeper.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "spdlog/spdlog.h"
#include "tracker/snapshot.h"

namespace p2p::tracker {
namespace {

constexpr absl::Duration kInterval = absl::Minutes(1);

}  // namespace

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

void SnapshotKeeper::Save(const Registry& registry) {
  const absl::Time began = MonotonicNow();
  const auto saved = SaveSnapshot(path_, {began, absl::Now()}, registry);
  last_took_ = MonotonicNow() - began;
  if (saved.ok()) return SetState("saved", *saved);
  spdlog::error("{}", std::string(saved.status().message()));
  absl::MutexLock lock(&mutex_);
  state_ = "failed";
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

#include "daemon/control/watch_hub.h"

#include <algorithm>
#include <utility>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/status.h"

namespace p2p::control {
namespace {

// Changes that come together are told together. Whoever waits for the end of a transfer waits for
// this, too.
constexpr absl::Duration kLeastPause = absl::Milliseconds(4);
// Pictures of very many transfers take at most this share of a core: the pause after one is so many
// times its cost.
constexpr int kPauseFactor = 4;
// How often watched transfers that seem idle are looked at: rates begin without a change of state.
constexpr absl::Duration kIdleInterval = absl::Milliseconds(500);

absl::Status StoppingStatus() {
  return absl::UnavailableError("the daemon is stopping; try again when it runs again");
}

}  // namespace

WatchHub::WatchHub(TransferService* transfers)
    : transfers_(transfers), thread_([this] { Run(); }) {}

WatchHub::~WatchHub() { Stop(); }

absl::Status WatchHub::Add(std::shared_ptr<Watcher> watcher) {
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return StoppingStatus();
    if (watchers_.size() >= static_cast<size_t>(limits::kMaxControlWatchers)) {
      return absl::ResourceExhaustedError("too many watches are open; close some");
    }
    watchers_.push_back(watcher);
  }
  // Added first, so that no change falls between this picture and the hub's next one.
  const absl::StatusOr<std::shared_ptr<const Picture>> picture = TakePicture({watcher});
  if (!picture.ok()) {
    Remove(watcher.get());
    return picture.status();
  }
  watcher->Offer(*picture);
  return absl::OkStatus();
}

void WatchHub::Remove(Watcher* watcher) {
  std::shared_ptr<Watcher> removed;  // may be the last owner: destroyed without the lock
  absl::MutexLock lock(&mutex_);
  const auto found =
      std::find_if(watchers_.begin(), watchers_.end(),
                   [watcher](const std::shared_ptr<Watcher>& w) { return w.get() == watcher; });
  if (found == watchers_.end()) return;
  removed = std::move(*found);
  watchers_.erase(found);
}

void WatchHub::Stop() {
  Watchers ending;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.SignalAll();
    ending.swap(watchers_);
  }
  for (const std::shared_ptr<Watcher>& watcher : ending) watcher->End(StoppingStatus());
  if (thread_.joinable()) thread_.join();
}

WatchHub::Watchers WatchHub::AwaitWatchers() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](WatchHub* hub) ABSL_EXCLUSIVE_LOCKS_REQUIRED(hub->mutex_) {
        return hub->stopping_ || !hub->watchers_.empty();
      },
      this));
  return watchers_;
}

bool WatchHub::Sleep(absl::Duration duration) {
  absl::MutexLock lock(&mutex_);
  return !changed_.WaitFor(&mutex_, duration,
                           [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return stopping_; });
}

void WatchHub::Run() {
  for (;;) {
    const Watchers watchers = AwaitWatchers();
    if (watchers.empty()) return;
    const absl::Time begun = MonotonicNow();
    const uint64_t seen = transfers_->Revision();
    // Without one nothing is known to be other than it was told last.
    const absl::StatusOr<std::shared_ptr<const Picture>> picture = TakePicture(watchers);
    if (picture.ok()) {
      for (const std::shared_ptr<Watcher>& watcher : watchers) watcher->Offer(*picture);
    }
    const absl::Duration cost = picture.ok() ? MonotonicNow() - begun : absl::ZeroDuration();
    const absl::Duration pause = std::max(kLeastPause, kPauseFactor * cost);
    if (!Sleep(pause)) return;
    const absl::Duration interval =
        picture.ok() && (*picture)->AnyActive() ? limits::kControlProgressInterval : kIdleInterval;
    transfers_->WaitForChange(seen, std::max(absl::ZeroDuration(), interval - pause));
  }
}

absl::StatusOr<std::shared_ptr<const Picture>> WatchHub::TakePicture(const Watchers& watchers) {
  auto picture = std::make_shared<Picture>();
  picture->number = next_picture_.fetch_add(1);
  picture->all = std::any_of(watchers.begin(), watchers.end(),
                             [](const std::shared_ptr<Watcher>& w) { return !w->only(); });
  if (!picture->all) {
    for (const std::shared_ptr<Watcher>& watcher : watchers) {
      const TransferId id = *watcher->only();
      const auto [entry, is_new] = picture->transfers.emplace(id.value(), absl::nullopt);
      if (!is_new) continue;
      const absl::StatusOr<engine::TransferInfo> info = transfers_->Transfer(id);
      if (info.ok()) {
        entry->second = MakeEntry(*info);
      } else if (!absl::IsNotFound(info.status())) {
        return info.status();
      }
    }
    return picture;
  }
  TransferId last(0);
  for (;;) {
    P2P_ASSIGN_OR_RETURN(const std::vector<engine::TransferInfo> page,
                         transfers_->Transfers(last, limits::kMaxControlPageItems));
    if (page.empty()) return picture;
    for (const engine::TransferInfo& info : page) {
      picture->transfers.emplace(info.id.value(), MakeEntry(info));
    }
    last = page.back().id;
  }
}

}  // namespace p2p::control

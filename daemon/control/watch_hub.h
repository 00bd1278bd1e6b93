// Feeds all WatchTransfers streams from one thread: it waits for the engine's changes and offers
// each watcher a picture of the moment. Without watchers it sleeps. Owned by ControlServer; public
// calls from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "core/base/timed_wait.h"
#include "daemon/control/transfer_service.h"
#include "daemon/control/watch_state.h"

namespace p2p::control {

// One stream. The calls come from any thread and must not block.
class Watcher {
 public:
  virtual ~Watcher() = default;
  // Constant. Without: all transfers.
  virtual absl::optional<TransferId> only() const = 0;
  virtual void Offer(std::shared_ptr<const Picture> picture) = 0;
  // The stream is to end with `status`.
  virtual void End(const absl::Status& status) = 0;
};

class WatchHub {
 public:
  explicit WatchHub(TransferService* transfers);
  ~WatchHub();  // Stop()

  // Offers the current picture before it returns, later ones as things change. On an error (too
  // many watchers, stopping, or no picture to be had) the watcher was not added.
  absl::Status Add(std::shared_ptr<Watcher> watcher);
  // Without effect for one that is not there.
  void Remove(Watcher* watcher);
  // Ends all streams with UNAVAILABLE, and all that come later.
  void Stop();

 private:
  using Watchers = std::vector<std::shared_ptr<Watcher>>;

  void Run();
  // Waits until there are watchers; empty when stopping.
  Watchers AwaitWatchers();
  // False when stopping.
  bool Sleep(absl::Duration duration);
  // An error when the service does not answer: that something is not there is only known when it
  // says so.
  absl::StatusOr<std::shared_ptr<const Picture>> TakePicture(const Watchers& watchers);

  TransferService* const transfers_;
  std::atomic<uint64_t> next_picture_{1};
  absl::Mutex mutex_;
  Watchers watchers_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  TimedCondition changed_;  // stopping_
  std::thread thread_;
};

}  // namespace p2p::control

// One WatchTransfers stream as gRPC drives it: one write at a time, each bringing the client up to
// the newest picture, so that a slow reader costs no memory. Keeps itself alive until gRPC is done
// with it.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/optional.h"
#include "daemon/control/watch_hub.h"
#include "daemon/control/watch_state.h"

namespace p2p::control {

class WatchReactor final : public grpc::ServerWriteReactor<grpc::ByteBuffer>, public Watcher {
 public:
  static std::shared_ptr<WatchReactor> Create(WatchHub* hub, WatchState state);

  absl::optional<TransferId> only() const override { return only_; }
  void Offer(std::shared_ptr<const Picture> picture) override;
  void End(const absl::Status& status) override;

 private:
  WatchReactor(WatchHub* hub, WatchState state)
      : hub_(hub), only_(state.only()), state_(std::move(state)) {}

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  // Starts the next write or the end of the stream, unless a write is under way. gRPC is called
  // without the lock held: it may call back from within.
  void Advance();
  // True: a write is to be started.
  bool PrepareWrite() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  WatchHub* const hub_;
  const absl::optional<TransferId> only_;
  std::shared_ptr<WatchReactor> self_;
  absl::Mutex mutex_;
  WatchState state_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const Picture> picture_ ABSL_GUARDED_BY(mutex_);
  absl::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ByteBuffer message_;  // changed only while no write is under way
};

}  // namespace p2p::control

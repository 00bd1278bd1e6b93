#include "daemon/control/watch_reactor.h"

#include <utility>

#include "daemon/control/control_service.h"

namespace p2p::control {

std::shared_ptr<WatchReactor> WatchReactor::Create(WatchHub* hub, WatchState state) {
  std::shared_ptr<WatchReactor> reactor(new WatchReactor(hub, std::move(state)));
  reactor->self_ = reactor;
  return reactor;
}

void WatchReactor::Offer(std::shared_ptr<const Picture> picture) {
  {
    absl::MutexLock lock(&mutex_);
    if (!state_.Sees(*picture)) return;
    if (picture_ != nullptr && picture->number < picture_->number) return;
    picture_ = std::move(picture);
  }
  Advance();
}

void WatchReactor::End(const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    if (!end_) end_ = status;
  }
  Advance();
}

bool WatchReactor::PrepareWrite() {
  if (end_ || picture_ == nullptr) return false;
  const absl::optional<v1::WatchTransfersResponse> next = state_.Next(*picture_);
  if (!next) {
    if (state_.ended()) end_ = absl::OkStatus();
    return false;
  }
  message_ = ToByteBuffer(*next);
  return true;
}

void WatchReactor::Advance() {
  bool write = false;
  absl::Status status;
  {
    absl::MutexLock lock(&mutex_);
    if (writing_ || finished_) return;
    write = writing_ = PrepareWrite();
    finished_ = !write && end_.has_value();
    if (!write && !finished_) return;
    if (finished_) status = *end_;
  }
  // Only one thread gets here at a time: until OnWriteDone, or for ever after Finish, the flags
  // keep others out.
  if (write) {
    StartWrite(&message_);
  } else {
    Finish(ToGrpcStatus(status));
  }
}

void WatchReactor::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    message_.Clear();
    if (!ok && !end_) end_ = absl::CancelledError("the client has gone");
  }
  Advance();
}

void WatchReactor::OnCancel() { End(absl::CancelledError("the client has gone")); }

void WatchReactor::OnDone() {
  hub_->Remove(this);
  const std::shared_ptr<WatchReactor> last = std::move(self_);
}

}  // namespace p2p::control

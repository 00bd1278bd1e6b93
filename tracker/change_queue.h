// Hands what clients change from the loops that serve them to the one that tells the store: a
// client never waits for that. Thread-safe; its lock is a leaf.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/wire/peer_address.h"
#include "tracker/change_listener.h"

namespace p2p::tracker {

class ChangeQueue : public ChangeListener {
 public:
  // `on_first` is called, on any thread, when there is something again after a Take.
  explicit ChangeQueue(std::function<void()> on_first) : on_first_(std::move(on_first)) {}

  void OnChanged(const RegistrationKey& key) override;
  void OnRenewed(const wire::PeerAddress& address, absl::Time until) override;
  void OnUnregistered(const wire::PeerAddress& address, absl::Time at) override;

  enum class Kind : uint8_t { kChanged, kRenewed, kUnregistered };
  struct Change {
    Kind kind = Kind::kChanged;
    wire::PeerAddress address;
    absl::string_view field;  // RecordField, where kind is kChanged
    absl::Time time;          // until when, or at which moment
  };
  // All since the last call, in order; `lost`: some did not fit. The same buffers serve again.
  struct Batch {
    std::string text;
    size_t count = 0;
    bool lost = false;

    // Takes the first change off `rest`, which was `text` at first; false when none is left. Its
    // field points into `rest`.
    static bool Next(absl::string_view* rest, Change* change);
  };
  void Take(Batch* batch) ABSL_LOCKS_EXCLUDED(mutex_);
  // Changes that were not taken yet.
  size_t count() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Push(Kind kind, const wire::PeerAddress& address, absl::Time time, absl::string_view more)
      ABSL_LOCKS_EXCLUDED(mutex_);

  const std::function<void()> on_first_;
  mutable absl::Mutex mutex_;
  Batch batch_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace p2p::tracker

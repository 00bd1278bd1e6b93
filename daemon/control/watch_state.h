// What WatchTransfers tells: pictures of the transfers at one moment, and for each watcher what it
// was told already. Pure values; one thread at a time (a Picture is never changed once it is
// shared).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "absl/types/optional.h"
#include "core/base/ids.h"
#include "daemon/control/transfer_service.h"
#include "proto/control.pb.h"

namespace p2p::control {

// The transfers at one moment: all of them, or some.
struct Picture {
  struct Entry {
    v1::Transfer transfer;
    size_t fingerprint = 0;  // of its serialized form: equal means nothing to tell
  };

  // A picture with a lower number is older.
  uint64_t number = 0;
  // False: only the ids in `transfers` were looked at.
  bool all = false;
  // Without an entry: it is gone.
  std::map<uint64_t, absl::optional<Entry>> transfers;

  bool AnyActive() const;
};

Picture::Entry MakeEntry(const engine::TransferInfo& info);

// One watcher's view. Tells each change once, in messages of bounded size.
class WatchState {
 public:
  // `only`: that transfer, else all.
  WatchState(absl::optional<TransferId> only, bool until_end)
      : only_(only), until_end_(until_end) {}

  absl::optional<TransferId> only() const { return only_; }

  // Whether `picture` shows what is watched.
  bool Sees(const Picture& picture) const;

  // The next message that brings the watcher up to `picture`; none when there is nothing to tell.
  // The first picture always gives one, so that a watcher of nothing learns that there is nothing.
  // To be called again with the same picture while the message has `more` set.
  absl::optional<v1::WatchTransfersResponse> Next(const Picture& picture);

  // Whether the watcher asked to stop here: its transfer has ended or is gone, and it was told.
  bool ended() const { return ended_; }

 private:
  absl::optional<v1::WatchTransfersResponse> NextOfOne(const Picture& picture);
  absl::optional<v1::WatchTransfersResponse> NextOfAll(const Picture& picture);

  const absl::optional<TransferId> only_;
  const bool until_end_;
  bool begun_ = false;
  bool ended_ = false;
  std::unordered_map<uint64_t, size_t> told_;  // fingerprints by id
};

}  // namespace p2p::control

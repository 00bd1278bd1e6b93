// Answers requests out of the registry, and judges who may register what. Owned by the server;
// every call is thread-safe. Knows neither sockets nor lines.
#pragma once

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "core/wire/error_line.h"
#include "core/wire/peer_address.h"
#include "core/wire/tracker_messages.h"
#include "tracker/registry.h"

namespace p2p::tracker {

// Whether a connection from `source` may register or remove `address`: only its own host, unless
// given addresses are trusted; never one that no peer can be reached at, and loopback only for who
// comes over loopback.
absl::optional<wire::WireError> CheckPeerAddress(const wire::PeerAddress& address,
                                                 const wire::IpAddress& source,
                                                 bool trust_addresses);

class Service {
 public:
  Service(const RegistryOptions& options, bool trust_addresses);

  // The whole answer: one line, and for FIND its payload.
  std::string Answer(const wire::TrackerRequest& request, const wire::IpAddress& source,
                     absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);
  void Expire(absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);
  size_t registration_count() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Visitor;

  const bool trust_addresses_;
  mutable absl::Mutex mutex_;
  Registry registry_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace p2p::tracker

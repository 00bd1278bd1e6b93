// Who is told of what clients change in the registry, after it was changed. Called on the loops
// that serve clients, some of it under a lock of the registry: it only takes note.
#pragma once

#include "absl/time/time.h"
#include "core/wire/peer_address.h"
#include "tracker/registry_shard.h"

namespace p2p::tracker {

class ChangeListener {
 public:
  virtual ~ChangeListener() = default;
  // A registration was added, renewed, or withdrawn.
  virtual void OnChanged(const RegistrationKey& key) = 0;
  // All that the address has lives until then.
  virtual void OnRenewed(const wire::PeerAddress& address, absl::Time until) = 0;
  // All that the address had at that moment is gone.
  virtual void OnUnregistered(const wire::PeerAddress& address, absl::Time at) = 0;
};

}  // namespace p2p::tracker

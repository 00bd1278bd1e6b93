// How many registrations each host has, over all shards of a registry. Thread-safe; its locks are
// leaves.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "core/wire/peer_address.h"
#include "tracker/keyed_hash.h"

namespace p2p::tracker {

class AddressQuota {
 public:
  explicit AddressQuota(const HashKey& key);

  // One more for this host; false where it has `max` already.
  bool TryTake(const wire::IpAddress& ip, int max);
  void GiveBack(const wire::IpAddress& ip);
  // Hosts that have any.
  size_t host_count() const;

 private:
  struct Hash {
    HashKey key;
    size_t operator()(const wire::IpAddress& ip) const;
  };
  struct Part {
    mutable absl::Mutex mutex;
    absl::flat_hash_map<wire::IpAddress, int, Hash> counts ABSL_GUARDED_BY(mutex);
  };
  static constexpr size_t kParts = 16;

  Part& PartOf(const wire::IpAddress& ip);

  const Hash hash_;
  std::array<Part, kParts> parts_;
};

}  // namespace p2p::tracker

// How many registrations each host has, and what each site has of a registry's memory, over all its
// shards (core/net/address.h says what hosts and sites are). Thread-safe; its locks are leaves.
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

  // One more registration, of so many bytes. False where the host has `max` already, or a site of
  // IPv6 as many as limits::kAddressesPerSite hosts may have, or where the site would have more
  // than `max_site_bytes`.
  bool TryTake(const wire::IpAddress& ip, int max, size_t bytes, size_t max_site_bytes);
  void GiveBack(const wire::IpAddress& ip, size_t bytes);
  // Hosts that have any.
  size_t host_count() const;

 private:
  struct Hash {
    HashKey key;
    size_t operator()(uint64_t host_or_site) const;
  };
  struct SiteUse {
    int64_t registrations = 0;
    size_t bytes = 0;
  };
  // A site with its hosts.
  struct Part {
    mutable absl::Mutex mutex;
    absl::flat_hash_map<uint64_t, SiteUse, Hash> sites ABSL_GUARDED_BY(mutex);
    absl::flat_hash_map<uint64_t, int, Hash> hosts ABSL_GUARDED_BY(mutex);
  };
  static constexpr size_t kParts = 16;

  Part& PartOf(uint64_t site);

  const Hash hash_;
  std::array<Part, kParts> parts_;
};

}  // namespace p2p::tracker

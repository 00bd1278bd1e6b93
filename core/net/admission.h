// Who may have how many connections: counts and new-connection rates per source address, which is a
// /64 of IPv6, and for each /48 of IPv6 limits::kAddressesPerSite times as much. Time comes in as
// an argument. Thread-safe: connections end on other threads than they are accepted on.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "asio/ip/address.hpp"
#include "core/net/address.h"

namespace p2p::net {

struct ListenerOptions {
  int max_connections_per_address;     // limits::kMaxConnectionsPerAddress by default
  int max_new_connections_per_second;  // per address
  int max_connections;                 // of this listener
  // Descriptors that it leaves to others; where it is not said, half of the process's.
  int spare_descriptors = -1;
  ListenerOptions();
};

// Counts an accepted connection against its address until destroyed (thread-safe).
using Admission = std::shared_ptr<void>;

class AdmissionControl : public std::enable_shared_from_this<AdmissionControl> {
 public:
  static std::shared_ptr<AdmissionControl> Create(const ListenerOptions& options);

  // Null when a limit is reached: the newcomer is to be closed.
  Admission TryAdmit(const asio::ip::address& from, absl::Time now);

  // For newcomers from now on; who is connected stays.
  void SetOptions(const ListenerOptions& options);
  uint64_t refused() const;
  // Addresses and /48s remembered: those with a connection, and those that had a new one within the
  // last seconds.
  size_t remembered_addresses() const;

 private:
  // A bucket of `allowed` new connections that fills at the permitted rate.
  struct Source {
    int connections = 0;
    double allowed = 0;
    absl::Time filled_at = absl::InfinitePast();
  };
  // What a connection counts against: a source and the share of the limits that it may have.
  struct Counted {
    uint64_t source = 0;
    int share = 1;
  };
  // Its address, and of IPv6 its /48.
  using Counts = absl::InlinedVector<Counted, 2>;

  explicit AdmissionControl(const ListenerOptions& options) : options_(options) {}
  static Counts CountsOf(const asio::ip::address& address);
  bool MayAdmit(const Counted& counted, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Release(const Counts& counts);
  void Refill(const Counted& counted, Source& source, absl::Time now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetIdle(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  ListenerOptions options_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, Source> sources_ ABSL_GUARDED_BY(mutex_);
  int connections_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t refused_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time swept_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace p2p::net

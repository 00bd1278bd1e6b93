// Who may have how many connections: counts and new-connection rates per source address. Time comes
// in as an argument. Thread-safe: connections end on other threads than they are accepted on.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "asio/ip/address.hpp"

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
  // Addresses remembered: those with a connection, and those that had a new one within the last
  // seconds.
  size_t remembered_addresses() const;

 private:
  using Key = std::array<uint8_t, 16>;
  // A bucket of `allowed` new connections that fills at the permitted rate.
  struct Source {
    int connections = 0;
    double allowed = 0;
    absl::Time filled_at = absl::InfinitePast();
  };

  explicit AdmissionControl(const ListenerOptions& options) : options_(options) {}
  static Key KeyOf(const asio::ip::address& address);
  void Release(const Key& key);
  void Refill(Source& source, absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetIdle(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  ListenerOptions options_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<Key, Source> sources_ ABSL_GUARDED_BY(mutex_);
  int connections_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t refused_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time swept_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace p2p::net

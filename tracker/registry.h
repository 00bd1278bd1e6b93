// Who shares what: the registrations of all peers, with quotas and expiry. No clock, socket or
// thread; `now` comes with each call. Owned by the server's service; every call is thread-safe: the
// names are spread over shards by a keyed hash, each with a lock of its own, so that two loops
// rarely wait for each other.
//
// A version is (name, size, content id or none); LOOKUP, FIND and PEERS answer in versions, so that
// peers of different content are never mixed. A peer that is not whole yet is partial: FIND and
// PEERS give it to peers that ask it what it has, LOOKUP does not give it to original clients.
// The hash key is random in each registry: nothing can be chosen to collide (FAULTS T17).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "core/base/ids.h"
#include "core/wire/peer_address.h"
#include "core/wire/tracker_messages.h"
#include "tracker/keyed_hash.h"
#include "tracker/registry_shard.h"

namespace p2p::tracker {

class Registry {
 public:
  using Outcome = RegisterOutcome;

  explicit Registry(const RegistryOptions& options, const HashKey& key = HashKey::Random());
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // For what is registered from now on.
  void SetOptions(const RegistryOptions& options);
  RegistryOptions options() const;

  // Adds or renews a registration, for options().ttl from `now`. One address has one registration
  // of a name for each content id, and one without: another size takes the place of the former one.
  Outcome Register(absl::string_view name, ByteCount size,
                   const absl::optional<ContentId>& content_id, bool partial,
                   const wire::PeerAddress& address, absl::Time now);
  // Renews all that the address has registered, at the cost of one. False when that is not exactly
  // `count` registrations; nothing is renewed then.
  bool Renew(const wire::PeerAddress& address, uint64_t count, absl::Time now);
  // Return how many registrations went. `removed` is shown the name of each, and must not ask the
  // registry.
  size_t Unregister(const wire::PeerAddress& address, absl::Time now) {
    return UnregisterUntil(address, now, now);
  }
  size_t Withdraw(
      const ContentId& content_id, const wire::PeerAddress& address, absl::Time now,
      absl::FunctionRef<void(absl::string_view name)> removed = [](absl::string_view) {});

  // What counts is networks and hosts (core/net/address.h), never registrations. Each answer is a
  // random sample: of each network in turn, and in it of each host in turn, but at most a few
  // addresses of a host unless it is the only one. Peers of the asker's own network come first in
  // it, in random order; where not all peers fit, they have at most half of the places as long as
  // others are left.
  //
  // The version that whole peers of most networks share, then of most hosts, then peers of most
  // networks and hosts (of as many: one with a content id first, then the largest, then the
  // smallest content id), with a sample of these; nullopt for an unknown name.
  absl::optional<wire::PeerList> Lookup(absl::string_view name, const wire::IpAddress& asker,
                                        absl::Time now);
  // At most limits::kMaxVersionsPerAnswer versions in that order. Of more, half are the first ones,
  // and half are chosen like peers, by the network and host of one of their peers each.
  std::vector<wire::FoundVersion> Find(absl::string_view name, const wire::IpAddress& asker,
                                       absl::Time now);
  // Of all its versions. Its size is that of the first of them; who fetches it sees whether it is
  // right.
  absl::optional<wire::PeerList> Peers(const ContentId& content_id, const wire::IpAddress& asker,
                                       absl::Time now);

  // Removes what has outlived its ttl. No call above shows such a registration, and each removes
  // some; this keeps an idle registry small. ExpireSome takes at most a few milliseconds, and is
  // false when there may be more.
  bool ExpireSome(absl::Time now);
  void Expire(absl::Time now);

  // Shows every registration that is there all the time; one that comes or goes meanwhile may be
  // left out or shown. `visit` holds up others, so it only takes note; every few hundred, `between`
  // does not.
  void Visit(absl::Time now, absl::FunctionRef<void(const RegistrationView&)> visit,
             absl::FunctionRef<void()> between) const;
  // The same in turns: shows a few hundred from `cursor` on, and moves it. False at the end.
  struct Cursor {
    size_t part = 0;
    RegistryShard::Cursor in_part;
  };
  bool VisitSome(Cursor* cursor, absl::Time now,
                 absl::FunctionRef<void(const RegistrationView&)> visit) const;

  // What is known from elsewhere, by the quotas: what expires after options().ttl expires then,
  // what has expired is left out, and what is here and lives as long or longer stays as it is; but
  // what is partial here becomes whole where that was about the same moment.
  void Restore(const RegistrationView& registration, absl::Time now);
  // All that the address has lives until `expires`, or as long as it would have.
  void RenewUntil(const wire::PeerAddress& address, absl::Time expires, absl::Time now);
  // What was registered or renewed until `at` goes; `at` is not after `now`. Returns how many went.
  size_t UnregisterUntil(const wire::PeerAddress& address, absl::Time at, absl::Time now);
  void RemoveUntil(const RegistrationKey& key, absl::Time at, absl::Time now);

  // One registration (its name is that of `key`); how many an address has, which may include some
  // that have just ended; and all of them: `visit` holds up others, so it only takes note.
  absl::optional<RegistrationView> Get(const RegistrationKey& key, absl::Time now) const;
  size_t CountOf(const wire::PeerAddress& address, absl::Time now);
  void VisitAddress(const wire::PeerAddress& address, absl::Time now,
                    absl::FunctionRef<void(const RegistrationView&)> visit) const;

  // What there is, counted one shard after the other.
  struct Counts {
    size_t registrations = 0;
    size_t names = 0;
    size_t hosts = 0;
  };
  Counts counts() const;
  size_t registration_count() const { return counts().registrations; }
  // The estimate that max_bytes bounds.
  size_t bytes() const { return commons_.bytes.load(std::memory_order_relaxed); }
  // The most records in one bucket of a table: what the slowest look into one costs.
  size_t longest_chain() const;

 private:
  static constexpr size_t kShards = 16;
  struct Part {
    mutable absl::Mutex mutex;
    std::unique_ptr<RegistryShard> shard ABSL_PT_GUARDED_BY(mutex);
  };

  // By other bits than the table in it takes.
  Part& PartOf(uint64_t hash) { return parts_[hash >> 60]; }
  const Part& PartOf(uint64_t hash) const { return parts_[hash >> 60]; }
  // When what was registered or renewed until `at` ends at last.
  absl::Time LastEnd(absl::Time at, absl::Time now) const;
  absl::Time LatestExpiry(absl::Time now) const {
    return now + absl::Milliseconds(ttl_ms_.load(std::memory_order_relaxed));
  }

  ShardCommons commons_;
  std::atomic<int64_t> ttl_ms_{0};
  std::array<Part, kShards> parts_;
};

}  // namespace p2p::tracker

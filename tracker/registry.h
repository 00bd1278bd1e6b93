// Who shares what: the registrations of all peers, with quotas and expiry. Pure: no clock, socket
// or thread; `now` comes with each call and never goes back. Owned by the server, which guards it
// with a mutex.
//
// A version is (name, size, content id or none); LOOKUP, FIND and PEERS answer in versions, so that
// peers of different content are never mixed. A peer that is not whole yet is partial: FIND and
// PEERS give it to peers that ask it what it has, LOOKUP does not give it to original clients.
// Every call costs the same however many peers a version has (a sample takes 64 steps). The hash
// tables are Abseil's, whose hash is seeded anew in each process: names cannot be chosen to collide
// (FAULTS T17).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "absl/random/random.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "core/base/ids.h"
#include "core/base/limits.h"
#include "core/wire/peer_address.h"
#include "core/wire/tracker_messages.h"

namespace p2p::tracker {

struct RegistryOptions {
  absl::Duration ttl = limits::kRegistrationTtl;
  int max_registrations_per_ip = limits::kMaxRegistrationsPerAddress;
  size_t max_bytes = limits::kMaxRegistryBytes;
};

class Registry {
 public:
  enum class Outcome {
    kRegistered,
    kQuota,  // the address has as many registrations as it may
    kFull,   // the registry has used its memory
  };

  explicit Registry(const RegistryOptions& options);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // Adds or renews a registration, for options().ttl from `now`. One address has one registration
  // of a name for each content id, and one without: another size takes the place of the former one.
  Outcome Register(absl::string_view name, ByteCount size,
                   const absl::optional<ContentId>& content_id, bool partial,
                   const wire::PeerAddress& address, absl::Time now);
  // Return how many registrations went.
  size_t Unregister(const wire::PeerAddress& address, absl::Time now);
  size_t Withdraw(const ContentId& content_id, const wire::PeerAddress& address, absl::Time now);

  // Each answer is a random sample. Peers of the asker's own network (/24 of IPv4, /64 of IPv6)
  // come first in it, in random order; where not all peers fit, it has at most half of the places
  // for them, and the others go to a random choice of all that are left.
  //
  // The version that most whole peers share (of as many: one with a content id first, then the
  // largest, then the smallest content id), with a sample of these; nullopt for an unknown name.
  absl::optional<wire::PeerList> Lookup(absl::string_view name, const wire::IpAddress& asker,
                                        absl::Time now);
  // At most limits::kMaxVersionsPerAnswer versions in that order.
  std::vector<wire::FoundVersion> Find(absl::string_view name, const wire::IpAddress& asker,
                                       absl::Time now);
  absl::optional<wire::PeerList> Peers(const ContentId& content_id, const wire::IpAddress& asker,
                                       absl::Time now);

  // Removes what has outlived its ttl. Every call above does so too; this one keeps an idle
  // registry small.
  void Expire(absl::Time now);

  const RegistryOptions& options() const { return options_; }
  size_t registration_count() const { return registrations_.size(); }
  // The estimate that max_bytes bounds.
  size_t bytes() const { return bytes_; }

 private:
  struct Version;
  struct Registration;
  template <auto kIndex>
  struct Pool;
  // Most shared first.
  struct ByRank {
    bool operator()(const Version* a, const Version* b) const;
  };
  using Group = std::set<Version*, ByRank>;
  using NameMap = absl::node_hash_map<std::string, Group>;
  using ContentMap = absl::node_hash_map<ContentId, Group>;
  // Names are compared by the address of their one NameMap entry.
  using VersionKey = std::tuple<const NameMap::value_type*, ByteCount, absl::optional<ContentId>>;
  using RegistrationKey =
      std::tuple<wire::PeerAddress, const NameMap::value_type*, absl::optional<ContentId>>;

  Outcome CheckRoom(absl::string_view name, const wire::IpAddress& ip) const;
  Version* FindOrAddVersion(NameMap::value_type* name, ByteCount size,
                            const absl::optional<ContentId>& content_id);
  void RemoveVersion(Version* version);
  void AddPeer(Version* version, Registration* registration);
  void RemovePeer(Registration* registration);
  // To the version of another size, or to the other part of its own.
  void Move(Registration* registration, ByteCount size, bool partial);
  // Takes a version out of its orders while its peer count changes, and back in.
  void Unrank(Version* version);
  void Rank(Version* version);
  void LinkByAddress(Registration* registration);
  void UnlinkByAddress(Registration* registration);
  void LinkByExpiry(Registration* registration);
  void UnlinkByExpiry(Registration* registration);
  void Renew(Registration* registration, absl::Time now);
  void Remove(Registration* registration);
  wire::PeerList Sample(Version* version, bool whole_only, const wire::IpAddress& asker);

  const RegistryOptions options_;
  absl::InsecureBitGen random_;
  NameMap names_;
  ContentMap contents_;
  absl::flat_hash_map<VersionKey, std::unique_ptr<Version>> versions_;
  absl::flat_hash_map<RegistrationKey, std::unique_ptr<Registration>> registrations_;
  absl::flat_hash_map<wire::PeerAddress, Registration*> by_address_;  // head of a list
  absl::flat_hash_map<wire::IpAddress, int> count_by_ip_;
  // The ttl is the same for all, so a renewed registration always goes to the end: the list is in
  // order of expiry.
  Registration* expires_first_ = nullptr;
  Registration* expires_last_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace p2p::tracker

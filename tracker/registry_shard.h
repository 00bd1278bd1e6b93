// The registrations of a part of all names (registry.h). Pure; one owner, which guards it with a
// mutex.
//
// Names, addresses, contents, versions and registrations are records that name each other by
// numbers. Every call costs the same however many peers a version has (a sample takes a few hundred
// steps) and however much is registered; what expired is never shown, and removed soon in bounded
// steps. Who has an address renews all that it registered by a note on it, in one step.
//
// What counts is networks, then hosts (core/net/address.h), never registrations: one host can have
// a thousand of them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "absl/random/random.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "core/base/ids.h"
#include "core/base/limits.h"
#include "core/wire/peer_address.h"
#include "core/wire/tracker_messages.h"
#include "tracker/address_quota.h"
#include "tracker/host_index.h"
#include "tracker/keyed_hash.h"
#include "tracker/peer_pool.h"
#include "tracker/slab.h"

namespace p2p::tracker {

// Moments in milliseconds, in 32 bits that wrap; those compared are less than 24 days apart.
inline uint32_t Milliseconds(absl::Time time) {
  return static_cast<uint32_t>(absl::ToUnixMillis(time));
}
inline bool IsBefore(uint32_t a_ms, uint32_t b_ms) { return static_cast<int32_t>(a_ms - b_ms) < 0; }

struct RegistryOptions {
  absl::Duration ttl = limits::kRegistrationTtl;
  int max_registrations_per_ip = limits::kMaxRegistrationsPerAddress;
  size_t max_bytes = limits::kMaxRegistryBytes;
};

enum class RegisterOutcome {
  kRegistered,
  kQuota,  // the address or its network has as many registrations, or as much memory, as it may
  kFull,   // the registry has used its memory
};

// One registration, as it is asked for and as it is kept elsewhere.
struct RegistrationView {
  absl::string_view name;
  ByteCount size;
  absl::optional<ContentId> content_id;
  bool partial = false;
  wire::PeerAddress address;
  absl::Time expires;
};

// What names a registration: an address has one of them for each.
struct RegistrationKey {
  absl::string_view name;
  absl::optional<ContentId> content_id;
  wire::PeerAddress address;
};

// What all shards of a registry share.
struct ShardCommons {
  explicit ShardCommons(const HashKey& its_key) : key(its_key), quota(its_key) {}

  const HashKey key;
  AddressQuota quota;
  std::atomic<int> max_registrations_per_ip{0};
  std::atomic<size_t> max_bytes{0};
  std::atomic<size_t> bytes{0};  // estimated, of all shards
};

class RegistryShard {
 public:
  // How far a version is shared, and what decides among those shared as far.
  struct Rank {
    Spread spread;
    ByteCount size;
    std::string name;

    bool IsBefore(const Rank& other) const;
  };
  // The peers of one content: a list for each of some versions, and the size that the one has which
  // is shared furthest.
  struct ContentPeers {
    absl::optional<Rank> best;
    std::vector<wire::PeerList> lists;
  };
  // A place in the walk over all registrations.
  struct Cursor {
    uint32_t version = 0;
    uint32_t peer = 0;
  };

  explicit RegistryShard(ShardCommons* commons);
  RegistryShard(const RegistryShard&) = delete;
  RegistryShard& operator=(const RegistryShard&) = delete;

  // `hash` is KeyedHash of the name, here and below.
  RegisterOutcome Register(const RegistrationView& registration, uint64_t hash, absl::Time now);
  // Like Register, but keeps a known registration that lives as long or longer. Of two of about the
  // same moment the one of a whole peer is the later one: peers become whole.
  void Restore(const RegistrationView& registration, uint64_t hash, absl::Time now);
  // Of what the address has, all that ends until then.
  size_t Unregister(const wire::PeerAddress& address, absl::Time last_end, absl::Time now);
  // How many registrations the address has, which may include some that have just ended; and for
  // each that ends before, a life until `expires`.
  size_t CountOf(const wire::PeerAddress& address, absl::Time now);
  void Renew(const wire::PeerAddress& address, absl::Time expires, absl::Time now);
  // Shows the name of each registration that goes.
  size_t Withdraw(const ContentId& content_id, const wire::PeerAddress& address, absl::Time now,
                  absl::FunctionRef<void(absl::string_view name)> removed);
  // One registration; the view has the name that was given.
  absl::optional<RegistrationView> Get(const RegistrationKey& key, uint64_t hash,
                                       absl::Time now) const;
  void RemoveOne(const RegistrationKey& key, uint64_t hash, absl::Time last_end, absl::Time now);
  absl::optional<wire::PeerList> Lookup(absl::string_view name, uint64_t hash,
                                        const wire::IpAddress& asker, absl::Time now);
  std::vector<wire::FoundVersion> Find(absl::string_view name, uint64_t hash,
                                       const wire::IpAddress& asker, absl::Time now);
  // Adds what this shard has of the content.
  void Peers(const ContentId& content_id, const wire::IpAddress& asker, absl::Time now,
             ContentPeers* found);

  // Removes what has outlived its ttl, at most kExpiriesPerCall; false when there may be more.
  bool Expire(absl::Time now);

  // Shows registrations from `cursor` on in `steps` steps, and moves it. False at the end.
  bool Visit(Cursor* cursor, size_t steps, absl::Time now,
             absl::FunctionRef<void(const RegistrationView&)> visit) const;
  void VisitAddress(const wire::PeerAddress& address, absl::Time now,
                    absl::FunctionRef<void(const RegistrationView&)> visit) const;

  size_t registration_count() const { return registrations_.size(); }
  size_t name_count() const { return names_.size(); }
  size_t longest_chain() const;

 private:
  struct ByRank {
    const RegistryShard* shard;
    bool operator()(uint32_t a, uint32_t b) const;
  };
  struct EarlierFirst {
    bool operator()(uint32_t a_ms, uint32_t b_ms) const { return IsBefore(a_ms, b_ms); }
  };
  // Several versions: most shared first, and each by the host of one of its peers, so that what
  // one host makes up does not keep others out of an answer.
  struct Versions {
    std::set<uint32_t, ByRank> ranked;
    HostIndex hosts;
    absl::flat_hash_map<uint32_t, uint32_t> places;  // of each in `hosts`

    Versions(ByRank by_rank, const HashKey& key) : ranked(by_rank), hosts(key) {}
  };
  // The versions of a name or of a content. Most have one.
  struct Group {
    uint32_t only = kNone;
    std::unique_ptr<Versions> many;

    bool IsEmpty() const { return only == kNone && many == nullptr; }
    size_t size() const { return many != nullptr ? many->ranked.size() : only == kNone ? 0 : 1; }
    uint32_t Best() const { return many == nullptr ? only : *many->ranked.begin(); }
  };
  using VersionList = absl::InlinedVector<uint32_t, limits::kMaxVersionsPerAnswer>;
  struct Name {
    uint32_t hash = 0;
    uint32_t chain = kNone;
    Group versions;
    std::unique_ptr<char[]> text;
    uint16_t size = 0;

    absl::string_view view() const { return absl::string_view(text.get(), size); }
  };
  struct Content {
    uint32_t hash = 0;
    uint32_t chain = kNone;
    Group versions;
    ContentId id;
  };
  struct Address {
    uint32_t hash = 0;
    uint32_t chain = kNone;
    uint32_t first = kNone;  // of its registrations
    uint32_t count = 0;      // of them
    // Until when all of them live at least, where that is still to come. Wraps.
    uint32_t renewed_until_ms = 0;
    wire::PeerAddress address;
    bool renewed = false;
  };
  struct Version {
    uint32_t hash = 0;
    uint32_t chain = kNone;
    uint32_t name = kNone;
    uint32_t content = kNone;  // kNone: registered without a content id
    ByteCount size;
    PeerPool peers;
    std::unique_ptr<HostIndex> index;  // once there are more peers than fit an answer
    // What it is without an index.
    struct {
      uint8_t whole_networks = 0;
      uint8_t whole_hosts = 0;
      uint8_t networks = 0;
      uint8_t hosts = 0;
    } few;

    Spread spread() const {
      if (index != nullptr) return index->spread();
      return {few.whole_networks, few.whole_hosts, few.networks, few.hosts};
    }
  };
  struct Registration {
    uint32_t hash = 0;
    uint32_t chain = kNone;
    uint32_t address = kNone;
    uint32_t version : 31;
    uint32_t partial : 1;
    uint32_t place = 0;       // in version.peers
    uint32_t host_place = 0;  // in version.index
    uint32_t expires_ms = 0;  // wraps; its address may have been renewed since
    uint32_t previous_of_address = kNone;
    uint32_t next_of_address = kNone;
    uint32_t expires_before = kNone;
    uint32_t expires_after = kNone;

    Registration() : version(0), partial(0) {}
  };

  RegisterOutcome Add(const RegistrationView& asked, uint64_t hash, absl::Time now);
  void Renew(uint32_t registration, uint32_t expires_ms);
  // When it ends.
  uint32_t EndOf(const Registration& registration) const;
  bool IsOver(const Registration& registration, uint32_t now_ms) const {
    return !IsBefore(now_ms, registration.expires_ms) && !IsBefore(now_ms, EndOf(registration));
  }
  static void ForgetPastRenewal(Address* address, uint32_t now_ms);
  RegistrationView ViewOf(const Registration& registration, absl::Time now) const;
  // What one registration can cost at most.
  static size_t MostNeededBytes(absl::string_view name);
  uint32_t FindRegistration(uint32_t address, uint32_t name, uint32_t content) const;
  uint32_t FindRegistration(const RegistrationKey& key, uint64_t hash) const;
  uint32_t RegistrationHash(uint32_t address, uint32_t name, uint32_t content) const;
  uint32_t FindName(absl::string_view name, uint64_t hash) const;
  uint32_t FindAddress(const wire::PeerAddress& address) const;
  uint32_t FindContent(const ContentId& id) const;
  uint32_t FindOrAddName(absl::string_view name, uint64_t hash);
  uint32_t FindOrAddAddress(const wire::PeerAddress& address);
  uint32_t FindOrAddContent(const ContentId& id);
  uint32_t FindOrAddVersion(uint32_t name, ByteCount size, uint32_t content);
  uint32_t AddRegistration(uint32_t address, uint32_t version, bool partial);
  void RemoveVersion(uint32_t version);
  void RemoveAddress(uint32_t address);
  void RemoveRegistration(uint32_t registration);

  void AddPeer(uint32_t version, uint32_t registration);
  void TakeOutPeer(uint32_t version, uint32_t registration);
  // Adds to what is known of the spread, or takes away (-1), while it is not among the peers.
  void CountFew(Version* version, uint32_t registration, int sign);
  void AddToIndex(Version* version, uint32_t registration);
  static void DropIndex(Version* version);
  void Move(uint32_t registration, ByteCount size, bool partial);
  void Remove(uint32_t registration);

  // Takes a version out of its orders while its peer count changes, and back in.
  void TakeOutOfOrder(uint32_t version);
  void PutInOrder(uint32_t version);
  void InsertInto(Group* group, uint32_t version);
  void EraseFrom(Group* group, uint32_t version);
  void AddToHosts(Versions* versions, uint32_t version);
  const wire::IpAddress& HostOfVersion(uint32_t version) const;
  // All of a few versions. Of many, those that are shared furthest for half of the places, and the
  // others go to the versions of one host after the other.
  VersionList Pick(const Group& group, size_t places);

  void LinkByAddress(uint32_t registration);
  void UnlinkByAddress(uint32_t registration);
  void LinkByExpiry(uint32_t registration);
  void UnlinkByExpiry(uint32_t registration);

  wire::PeerList Sample(uint32_t version, bool whole_only, const wire::IpAddress& asker,
                        absl::Time now);
  void SampleAll(const Version& version, bool whole_only, const wire::IpAddress& asker,
                 uint32_t now_ms, wire::PeerList* list);
  // Where to find its peer; nullptr when it is due, and only waits to be removed.
  const wire::PeerAddress* Living(uint32_t registration, uint32_t now_ms) const;
  const wire::PeerAddress& AddressOf(uint32_t registration) const {
    return addresses_[registrations_[registration].address].address;
  }
  void Charge(size_t bytes) { commons_.bytes.fetch_add(bytes, std::memory_order_relaxed); }
  void Refund(size_t bytes) { commons_.bytes.fetch_sub(bytes, std::memory_order_relaxed); }

  ShardCommons& commons_;
  absl::InsecureBitGen random_;
  Slab<Name> names_;
  Slab<Content> contents_;
  Slab<Address> addresses_;
  Slab<Version> versions_;
  Slab<Registration> registrations_;
  ChainedTable<Name> name_table_{&names_};
  ChainedTable<Content> content_table_{&contents_};
  ChainedTable<Address> address_table_{&addresses_};
  ChainedTable<Version> version_table_{&versions_};
  ChainedTable<Registration> registration_table_{&registrations_};
  // All registrations in order of expiry, but for those of one slice of time among each other; and
  // the last one of each slice.
  uint32_t expires_first_ = kNone;
  absl::btree_map<uint32_t, uint32_t, EarlierFirst> slices_;
};

}  // namespace p2p::tracker

// Registrations as Redis keeps them, and changes as trackers tell them to each other: values <->
// text. Pure; any thread. What is read is judged as what a peer sends: another tracker may be of
// another version, and Redis may be open to others.
//
// A peer is a hash, "p2p:peer:<address>". Its fields are "<content id, or ->" and a name, its
// values "<end> <size>", and " partial" behind it for a peer that is not whole. The field "renewed"
// has a moment until which all of the hash lives at least. Notes of what a peer withdrew are
// another hash, "p2p:gone:<address>": the same fields, and the moment each went; "unregistered" has
// the one at which all that there was went. Who was cut off learns it there. What began after a
// note is newer than it, wherever it stands; what else stands in one of the hashes is left out.
//
// A message is the sender's id in a line and then changes, one a line: "<end> " and a request as
// peers send it to a tracker (docs/protocol.md), its payload behind a space in the place of the LF,
// or "<moment> gone " and one for what was withdrawn. Times are in milliseconds of Redis' clock
// since 1970.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "core/wire/peer_address.h"
#include "tracker/registry.h"

namespace p2p::tracker {

inline constexpr absl::string_view kPeerKeyPrefix = "p2p:peer:";
inline constexpr absl::string_view kGoneKeyPrefix = "p2p:gone:";
inline constexpr absl::string_view kRenewedField = "renewed";
inline constexpr absl::string_view kUnregisteredField = "unregistered";

// Between the monotonic clock of this process and that of Redis.
struct StoreClock {
  absl::Duration ahead;  // what Redis' clock shows more

  // From the next whole millisecond here, as the registry has its ends: what went after it came is
  // never dated before it.
  int64_t ToStore(absl::Time here) const {
    const absl::Duration since = absl::Ceil(here - absl::UnixEpoch(), absl::Milliseconds(1));
    return absl::ToUnixMillis(absl::UnixEpoch() + since + ahead);
  }
  absl::Time FromStore(int64_t moment_ms) const { return absl::FromUnixMillis(moment_ms) - ahead; }
};
absl::optional<absl::Time> ParseMoment(absl::string_view text, const StoreClock& clock);

std::string PeerKey(const wire::PeerAddress& address);
std::string GoneKey(const wire::PeerAddress& address);
// The address in a key that begins with `prefix`.
absl::optional<wire::PeerAddress> ParseKey(absl::string_view prefix, absl::string_view key);
std::string RecordField(const RegistrationKey& key);
std::string RecordValue(const RegistrationView& registration, const StoreClock& clock);
// Views of what they return point into `field`. nullopt: it is none.
absl::optional<RegistrationKey> ParseRecordField(absl::string_view field,
                                                 const wire::PeerAddress& address);
absl::optional<RegistrationView> ParseRecord(absl::string_view field, absl::string_view value,
                                             const wire::PeerAddress& address,
                                             const StoreClock& clock);

void AppendRegistered(const RegistrationView& registration, const StoreClock& clock,
                      std::string* out);
void AppendGone(const RegistrationKey& key, absl::Time at, const StoreClock& clock,
                std::string* out);
void AppendRenewed(const wire::PeerAddress& address, absl::Time until, const StoreClock& clock,
                   std::string* out);
void AppendUnregistered(const wire::PeerAddress& address, absl::Time at, const StoreClock& clock,
                        std::string* out);
// Does what a line says, which has no LF; false when it is no change. `unregistered`, where given,
// becomes the address that unregistered.
bool ApplyChange(absl::string_view line, const StoreClock& clock, absl::Time now,
                 Registry* registry, absl::optional<wire::PeerAddress>* unregistered = nullptr);

}  // namespace p2p::tracker

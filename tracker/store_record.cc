#include "tracker/store_record.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/types/variant.h"
#include "core/base/text.h"
#include "core/wire/fields.h"
#include "core/wire/tracker_messages.h"

namespace p2p::tracker {
namespace {

// The year 2248; absl::Time takes more, but no sum of two is near its ends.
constexpr uint64_t kMaxMomentMs = uint64_t{1} << 43;

bool IsReachable(const wire::PeerAddress& address) { return address.ip.WhyUnusable() == nullptr; }

// A request in one line: the payload follows in the place of the LF.
bool ParseRequest(absl::string_view line, wire::TrackerRequest* request) {
  if (!wire::HasPayload(line)) return !wire::ParseTrackerRequest(line, request).has_value();
  constexpr int kWordsOfAnnounce = 5;  // ANNOUNCE <size> <content_id> <peer_address> +<n>
  absl::string_view name = line;
  for (int i = 0; i < kWordsOfAnnounce; ++i) wire::TakeFirstWord(&name);
  const absl::string_view first = line.substr(0, line.size() - name.size());
  return !wire::ParseTrackerRequest(absl::StripSuffix(first, " "), request).has_value() &&
         !wire::TakePayload(name, request).has_value();
}

void AppendRegister(const RegistrationKey& key, ByteCount size, bool partial, std::string* out) {
  std::string text =
      wire::FormatRegister(key.name, size, key.content_id, partial, key.address.ToString());
  if (key.content_id.has_value()) {
    text[text.find('\n')] = ' ';
    text += '\n';
  }
  *out += text;
}

absl::optional<wire::RegisterRequest> ParseRegister(absl::string_view line) {
  wire::TrackerRequest request;
  if (!ParseRequest(line, &request)) return absl::nullopt;
  const auto* registered = absl::get_if<wire::RegisterRequest>(&request);
  if (registered == nullptr || !IsReachable(registered->address)) return absl::nullopt;
  return *registered;
}

constexpr absl::string_view kGone = "gone";

struct Change {
  absl::Time time;  // its end; or when it went
  bool gone;
  absl::Time now;
  Registry* registry;

  bool operator()(const wire::RegisterRequest& request) const {
    if (!IsReachable(request.address)) return false;
    if (gone) {
      registry->RemoveUntil({request.name, request.content_id, request.address}, time, now);
    } else {
      registry->Restore(
          {request.name, request.size, request.content_id, request.partial, request.address, time},
          now);
    }
    return true;
  }
  bool operator()(const wire::RenewRequest& request) const {
    registry->RenewUntil(request.address, time, now);
    return true;
  }
  bool operator()(const wire::UnregisterRequest& request) const {
    registry->UnregisterUntil(request.address, time, now);
    return true;
  }
  template <typename Other>
  bool operator()(const Other&) const {
    return false;
  }
};

}  // namespace

absl::optional<absl::Time> ParseMoment(absl::string_view text, const StoreClock& clock) {
  const auto moment_ms = ParseDecimal(text, kMaxMomentMs);
  if (!moment_ms.has_value()) return absl::nullopt;
  return clock.FromStore(static_cast<int64_t>(*moment_ms));
}

std::string PeerKey(const wire::PeerAddress& address) {
  return absl::StrCat(kPeerKeyPrefix, address.ToString());
}

std::string GoneKey(const wire::PeerAddress& address) {
  return absl::StrCat(kGoneKeyPrefix, address.ToString());
}

absl::optional<wire::PeerAddress> ParseKey(absl::string_view prefix, absl::string_view key) {
  if (!absl::ConsumePrefix(&key, prefix)) return absl::nullopt;
  const auto address = wire::PeerAddress::Parse(key);
  if (!address.has_value() || !IsReachable(*address)) return absl::nullopt;
  return address;
}

std::string RecordField(const RegistrationKey& key) {
  return absl::StrCat(key.content_id.has_value() ? key.content_id->Hex() : "-", " ", key.name);
}

std::string RecordValue(const RegistrationView& registration, const StoreClock& clock) {
  return absl::StrCat(clock.ToStore(registration.expires), " ", registration.size.value(),
                      registration.partial ? " partial" : "");
}

absl::optional<RegistrationKey> ParseRecordField(absl::string_view field,
                                                 const wire::PeerAddress& address) {
  RegistrationKey key;
  const absl::string_view id = wire::TakeFirstWord(&field);
  if (id != "-") {
    const auto content_id = ContentIdFromHex(id);
    if (!content_id.ok()) return absl::nullopt;
    key.content_id = *content_id;
  }
  key.name = field;
  key.address = address;
  return key;
}

absl::optional<RegistrationView> ParseRecord(absl::string_view field, absl::string_view value,
                                             const wire::PeerAddress& address,
                                             const StoreClock& clock) {
  const auto key = ParseRecordField(field, address);
  const auto end = ParseMoment(wire::TakeFirstWord(&value), clock);
  const auto size = ParseDecimal(wire::TakeFirstWord(&value), limits::kMaxFileBytes);
  if (!key.has_value() || !end.has_value() || !size.has_value()) return absl::nullopt;
  const bool partial = value == "partial";
  std::string line;
  AppendRegister(*key, ByteCount(*size), partial, &line);
  line.pop_back();
  const auto judged = ParseRegister(line);
  if (!judged.has_value() || judged->name != key->name) return absl::nullopt;
  return RegistrationView{key->name,       judged->size, judged->content_id,
                          judged->partial, address,      *end};
}

void AppendRegistered(const RegistrationView& registration, const StoreClock& clock,
                      std::string* out) {
  absl::StrAppend(out, clock.ToStore(registration.expires), " ");
  AppendRegister({registration.name, registration.content_id, registration.address},
                 registration.size, registration.partial, out);
}

void AppendGone(const RegistrationKey& key, absl::Time at, const StoreClock& clock,
                std::string* out) {
  absl::StrAppend(out, clock.ToStore(at), " ", kGone, " ");
  AppendRegister(key, ByteCount(0), /*partial=*/false, out);
}

void AppendRenewed(const wire::PeerAddress& address, absl::Time until, const StoreClock& clock,
                   std::string* out) {
  absl::StrAppend(out, clock.ToStore(until), " ", wire::FormatRenew(0, address.ToString()));
}

void AppendUnregistered(const wire::PeerAddress& address, absl::Time at, const StoreClock& clock,
                        std::string* out) {
  absl::StrAppend(out, clock.ToStore(at), " ", wire::FormatUnregister(address.ToString()));
}

bool ApplyChange(absl::string_view line, const StoreClock& clock, absl::Time now,
                 Registry* registry, absl::optional<wire::PeerAddress>* unregistered) {
  const auto time = ParseMoment(wire::TakeFirstWord(&line), clock);
  absl::string_view rest = line;
  const bool gone = wire::TakeFirstWord(&rest) == kGone;
  wire::TrackerRequest request;
  if (!time.has_value() || !ParseRequest(gone ? rest : line, &request)) return false;
  if (!absl::visit(Change{*time, gone, now, registry}, request)) return false;
  const auto* all_gone = absl::get_if<wire::UnregisterRequest>(&request);
  if (unregistered != nullptr && all_gone != nullptr) *unregistered = all_gone->address;
  return true;
}

}  // namespace p2p::tracker

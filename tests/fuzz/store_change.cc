// What other trackers wrote into the store: a message's lines, and a record's field and value. No
// more gets into the registry than a client could register.
#include "core/base/names.h"
#include "tests/fuzz/fuzz.h"
#include "tracker/store_record.h"

namespace p2p::tracker {
namespace {

const absl::Time kNow = absl::UnixEpoch() + absl::Hours(1);
const StoreClock kClock = {absl::Hours(24 * 365 * 50)};

void CheckRegistration(const RegistrationView& one) {
  P2P_FUZZ_CHECK(CheckName(one.name).ok() && one.size.value() <= limits::kMaxFileBytes);
  P2P_FUZZ_CHECK(one.content_id.has_value() || !one.partial);
  P2P_FUZZ_CHECK(one.address.port != 0 && one.address.ip.WhyUnusable() == nullptr);
}

void CheckRecord(absl::string_view field, absl::string_view value) {
  const wire::PeerAddress peer = {wire::IpAddress::FromV4({192, 0, 2, 7}), 9001};
  // A note of what went.
  (void)ParseMoment(value, kClock);
  (void)ParseRecordField(field, peer);
  for (const absl::string_view prefix : {kPeerKeyPrefix, kGoneKeyPrefix}) {
    const auto address = ParseKey(prefix, field);
    P2P_FUZZ_CHECK(!address.has_value() || address->ip.WhyUnusable() == nullptr);
  }
  const auto record = ParseRecord(field, value, peer, kClock);
  if (!record.has_value()) return;
  CheckRegistration(*record);
  const std::string same_field = RecordField({record->name, record->content_id, peer});
  const std::string same_value = RecordValue(*record, kClock);
  const auto again = ParseRecord(same_field, same_value, peer, kClock);
  P2P_FUZZ_CHECK(again.has_value() && again->name == record->name && again->size == record->size);
  P2P_FUZZ_CHECK(again->content_id == record->content_id && again->partial == record->partial);
  P2P_FUZZ_CHECK(again->expires == record->expires);
}

}  // namespace
}  // namespace p2p::tracker

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace p2p::tracker;
  absl::string_view rest = p2p::fuzz::AsText(data, size);
  Registry registry{RegistryOptions()};
  while (!rest.empty()) {
    const absl::string_view line = p2p::fuzz::TakeLine(&rest);
    (void)ApplyChange(line, kClock, kNow, &registry);
    CheckRecord(line, rest.substr(0, rest.find('\n')));
  }
  registry.Visit(
      kNow,
      [](const RegistrationView& one) {
        CheckRegistration(one);
        P2P_FUZZ_CHECK(one.expires <= kNow + p2p::limits::kRegistrationTtl);
      },
      [] {});
  return 0;
}

// A request line as a tracker reads it: what is accepted is canonical, and a refusal repeats
// nothing that may not be shown.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/names.h"
#include "core/wire/tracker_messages.h"
#include "tests/fuzz/fuzz.h"

namespace p2p::wire {
namespace {

std::string Format(const HelloRequest&) { return FormatHelloRequest(); }
std::string Format(const RegisterRequest& r) {
  // Of ANNOUNCE and JOIN the name is still to come.
  P2P_FUZZ_CHECK(r.content_id.has_value() ? r.name.empty() : CheckName(r.name).ok());
  P2P_FUZZ_CHECK(r.size.value() <= limits::kMaxFileBytes);
  P2P_FUZZ_CHECK(r.content_id.has_value() || !r.partial);
  return FormatRegister(r.content_id.has_value() ? "a name" : r.name, r.size, r.content_id,
                        r.partial, r.address.ToString());
}
std::string Format(const UnregisterRequest& r) { return FormatUnregister(r.address.ToString()); }
std::string Format(const WithdrawRequest& r) {
  return FormatWithdraw(r.content_id, r.address.ToString());
}
std::string Format(const RenewRequest& r) { return FormatRenew(r.count, r.address.ToString()); }
std::string Format(const LookupRequest& r) {
  P2P_FUZZ_CHECK(CheckName(r.name).ok());
  return FormatLookup(r.name);
}
std::string Format(const FindRequest& r) {
  P2P_FUZZ_CHECK(CheckName(r.name).ok());
  return FormatFind(r.name);
}
std::string Format(const PeersRequest& r) { return FormatPeers(r.content_id); }
std::string Format(const StatsRequest&) { return FormatStatsRequest(); }

std::string FormatRequest(const TrackerRequest& request) {
  return absl::visit([](const auto& r) { return Format(r); }, request);
}

void CheckFault(const RequestFault& fault) {
  const int code = fault.error.code;
  P2P_FUZZ_CHECK(code == 400 || code == 403 || code == 422 || code == 426);
  P2P_FUZZ_CHECK(fuzz::IsShowable(fault.error.text));
}

void CheckLine(absl::string_view line) {
  TrackerRequest request;
  const size_t before = fuzz::AllocatedBytes();
  const auto fault = ParseTrackerRequest(line, &request);
  P2P_FUZZ_CHECK(fuzz::AllocatedBytes() - before <= 2'048);
  if (fault.has_value()) return CheckFault(*fault);
  if (const auto* registration = absl::get_if<RegisterRequest>(&request)) {
    // There is one way to write a number.
    P2P_FUZZ_CHECK(absl::StrContains(line, absl::StrCat(" ", registration->size.value(), " ")));
  }
  const std::string formatted = FormatRequest(request);
  TrackerRequest again;
  const absl::string_view same = absl::string_view(formatted).substr(0, formatted.find('\n'));
  P2P_FUZZ_CHECK(!ParseTrackerRequest(same, &again).has_value());
  P2P_FUZZ_CHECK(HasPayload(line) == HasPayload(same));
  P2P_FUZZ_CHECK(again.index() == request.index() && FormatRequest(again) == formatted);
}

}  // namespace
}  // namespace p2p::wire

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  absl::string_view rest = p2p::fuzz::AsText(data, size);
  while (!rest.empty()) p2p::wire::CheckLine(p2p::fuzz::TakeLine(&rest));
  return 0;
}

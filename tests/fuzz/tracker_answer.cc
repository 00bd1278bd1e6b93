// An answer of a tracker, line and payload, as a client reads it: what is accepted can be formatted
// and read again, and numbers in it cost nothing.
#include <algorithm>

#include "absl/strings/strip.h"
#include "core/base/limits.h"
#include "core/wire/tracker_messages.h"
#include "tests/fuzz/fuzz.h"

namespace p2p::wire {
namespace {

void CheckError(absl::string_view line) {
  const absl::optional<WireError> error = ParseErrorLine(line);
  if (!error.has_value()) return;
  P2P_FUZZ_CHECK(error->code >= 100 && error->code <= 999 && fuzz::IsShowable(error->text));
  const std::string formatted = FormatError(error->code, error->text);
  P2P_FUZZ_CHECK(formatted.size() <= limits::kMaxLineBytes);
  const auto again = ParseErrorLine(absl::StripSuffix(formatted, "\n"));
  P2P_FUZZ_CHECK(again.has_value() && again->code == error->code);
}

void CheckPeerList(absl::string_view line) {
  const absl::StatusOr<PeerList> list = ParsePeerList(line);
  if (!list.ok()) return;
  P2P_FUZZ_CHECK(list->peers.size() <= static_cast<size_t>(limits::kMaxPeersPerAnswer));
  const std::string formatted = FormatPeerList(*list);
  P2P_FUZZ_CHECK(formatted.size() <= limits::kMaxLineBytes);
  const absl::StatusOr<PeerList> again = ParsePeerList(absl::StripSuffix(formatted, "\n"));
  P2P_FUZZ_CHECK(again.ok() && again->size == list->size && again->peers == list->peers);
}

void CheckFound(const FoundHeader& header, absl::string_view payload) {
  const auto versions = ParseFoundPayload(header, payload);
  if (!versions.ok()) return;
  P2P_FUZZ_CHECK(versions->size() == header.versions);
  const std::string formatted = FormatFound(*versions);
  absl::string_view rest = formatted;
  const absl::StatusOr<FoundHeader> again = ParseFoundHeader(fuzz::TakeLine(&rest));
  P2P_FUZZ_CHECK(again.ok() && again->payload_bytes == rest.size());
  const auto versions_again = ParseFoundPayload(*again, rest);
  P2P_FUZZ_CHECK(versions_again.ok() && FormatFound(*versions_again) == formatted);
}

void CheckAnswer(absl::string_view line, absl::string_view payload) {
  CheckError(line);
  CheckPeerList(line);
  (void)ParseHelloAnswer(line);
  if (const auto number = ParseOk(line); number.ok()) {
    P2P_FUZZ_CHECK(*number <= limits::kMaxFileBytes);
    P2P_FUZZ_CHECK(*ParseOk(absl::StripSuffix(FormatOk(*number), "\n")) == *number);
  }
  if (const auto header = ParseFoundHeader(line); header.ok()) {
    P2P_FUZZ_CHECK(header->versions <= limits::kMaxVersionsPerAnswer);
    P2P_FUZZ_CHECK(header->payload_bytes <=
                   header->versions * (limits::kMaxAddressListBytes + 256));
    CheckFound(*header, payload.substr(0, header->payload_bytes));
  }
  const size_t lines = static_cast<size_t>(std::count(payload.begin(), payload.end(), '\n'));
  CheckFound({std::min(lines, limits::kMaxVersionsPerAnswer + size_t{0}), payload.size()}, payload);
}

}  // namespace
}  // namespace p2p::wire

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  absl::string_view rest = p2p::fuzz::AsText(data, size);
  const absl::string_view line = p2p::fuzz::TakeLine(&rest);
  const size_t before = p2p::fuzz::AllocatedBytes();
  p2p::wire::CheckAnswer(line, rest);
  P2P_FUZZ_CHECK(p2p::fuzz::AllocatedBytes() - before <= 64 * size + 16'384);
  return 0;
}

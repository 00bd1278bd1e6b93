// The first line of a conversation, between peers and to a tracker: who says HELLO is told from who
// does not, and what it says of itself is fit to be shown.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/limits.h"
#include "core/wire/peer_messages.h"
#include "core/wire/protocol_version.h"
#include "core/wire/tracker_messages.h"
#include "tests/fuzz/fuzz.h"

namespace p2p::wire {
namespace {

void CheckPeer(absl::string_view line) {
  const size_t before = fuzz::AllocatedBytes();
  const absl::StatusOr<peer::Message> message = peer::Parse(line);
  P2P_FUZZ_CHECK(fuzz::AllocatedBytes() - before <= 128 * line.size() + 16'384);
  if (!message.ok()) return;
  const auto* hello = absl::get_if<peer::Hello>(&*message);
  P2P_FUZZ_CHECK((hello != nullptr) == peer::IsHello(line));
  if (hello == nullptr) return;
  P2P_FUZZ_CHECK(fuzz::IsShowable(hello->agent) && hello->agent.size() <= 64 + 4 * 4 + 3);
  P2P_FUZZ_CHECK(!absl::StrContains(hello->agent, ' '));
  const std::string formatted = peer::Format(*hello);
  const auto again = peer::Parse(absl::StripSuffix(formatted, "\n"));
  P2P_FUZZ_CHECK(again.ok());
  const auto& read = absl::get<peer::Hello>(*again);
  P2P_FUZZ_CHECK(read.peer_id == hello->peer_id && read.listen_port == hello->listen_port);
  P2P_FUZZ_CHECK(read.leaves == hello->leaves);
}

void CheckTracker(absl::string_view line) {
  TrackerRequest request;
  const bool accepted = !ParseTrackerRequest(line, &request).has_value();
  const bool is_hello = accepted && absl::holds_alternative<HelloRequest>(request);
  const auto answer = ParseHelloAnswer(line);
  P2P_FUZZ_CHECK(is_hello == (answer.has_value() && answer->version >= kProtocolVersion));
}

}  // namespace
}  // namespace p2p::wire

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view line = p2p::fuzz::AsText(data, size);
  p2p::wire::CheckPeer(line);
  p2p::wire::CheckTracker(line);
  const std::string hello = absl::StrCat("HELLO ", line);
  p2p::wire::CheckPeer(hello);
  p2p::wire::CheckTracker(hello);
  return 0;
}

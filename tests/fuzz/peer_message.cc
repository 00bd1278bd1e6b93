// Every message of the extension between peers: what is accepted reads the same once formatted, and
// the numbers in a line cost nothing.
#include <algorithm>

#include "absl/strings/strip.h"
#include "core/base/limits.h"
#include "core/wire/peer_messages.h"
#include "tests/fuzz/fuzz.h"

namespace p2p::wire::peer {
namespace {

// Text of the other side is cut once when it is read and once more when it is sent.
bool HasText(const Message& m) {
  return absl::holds_alternative<Hello>(m) || absl::holds_alternative<Refused>(m) ||
         absl::holds_alternative<NoManifest>(m) || absl::holds_alternative<NoHashes>(m) ||
         absl::holds_alternative<Reject>(m) || absl::holds_alternative<RejectLeaves>(m) ||
         absl::holds_alternative<Error>(m);
}

std::string FormatOf(const Message& message) {
  return absl::visit(
      [](const auto& m) -> std::string {
        if constexpr (std::is_same_v<std::decay_t<decltype(m)>, Unknown>) {
          return "UNKNOWN\n";
        } else {
          return Format(m);
        }
      },
      message);
}

Message ParseAgain(const std::string& formatted) {
  P2P_FUZZ_CHECK(formatted.size() <= limits::kMaxLineBytes);
  P2P_FUZZ_CHECK(std::count(formatted.begin(), formatted.end(), '\n') == 1);
  const absl::StatusOr<Message> message = Parse(absl::StripSuffix(formatted, "\n"));
  P2P_FUZZ_CHECK(message.ok());
  return *message;
}

void CheckLine(absl::string_view line) {
  if (line.size() >= limits::kMaxLineBytes) return;  // no reader gives out a longer one
  const size_t before = fuzz::AllocatedBytes();
  const absl::StatusOr<Message> message = Parse(line);
  P2P_FUZZ_CHECK(fuzz::AllocatedBytes() - before <= 128 * line.size() + 16'384);
  if (!message.ok()) return P2P_FUZZ_CHECK(fuzz::IsShowable(message.status().message()));
  if (absl::holds_alternative<Unknown>(*message)) return;
  const std::string once = FormatOf(*message);
  const Message again = ParseAgain(once);
  P2P_FUZZ_CHECK(again.index() == message->index());
  const std::string twice = FormatOf(again);
  P2P_FUZZ_CHECK(HasText(again) || twice == once);
  P2P_FUZZ_CHECK(FormatOf(ParseAgain(twice)) == twice);
}

}  // namespace
}  // namespace p2p::wire::peer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  absl::string_view rest = p2p::fuzz::AsText(data, size);
  while (!rest.empty()) p2p::wire::peer::CheckLine(p2p::fuzz::TakeLine(&rest));
  return 0;
}

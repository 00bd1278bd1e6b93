// GET_CHUNK lines as a peer reads them: only legal names and plain decimal numbers pass, and what
// passes reads the same once formatted.
#include <limits>

#include "absl/strings/strip.h"
#include "core/base/names.h"
#include "core/wire/original_messages.h"
#include "tests/fuzz/fuzz.h"

namespace p2p::wire::peer {
namespace {

void CheckRefusal(const RequestRefusal& refusal) {
  const int code = refusal.error.code;
  P2P_FUZZ_CHECK(code == 400 || code == 416 || code == 422);
  P2P_FUZZ_CHECK(fuzz::IsShowable(refusal.error.text));
}

void CheckLine(absl::string_view line) {
  const size_t before = fuzz::AllocatedBytes();
  const auto parsed = ParseOriginalRequest(line);
  P2P_FUZZ_CHECK(fuzz::AllocatedBytes() - before <= 2 * line.size() + 1'024);
  if (const auto* refusal = absl::get_if<RequestRefusal>(&parsed)) return CheckRefusal(*refusal);
  const auto& request = absl::get<OriginalRequest>(parsed);
  P2P_FUZZ_CHECK(CheckName(request.name).ok());
  if (request.chunk_id > std::numeric_limits<uint32_t>::max()) return;
  const ChunkIndex chunk(static_cast<uint32_t>(request.chunk_id));
  // There is one way to write a request.
  P2P_FUZZ_CHECK(absl::StripSuffix(FormatOriginalRequest(request.name, chunk), "\n") == line);
}

}  // namespace
}  // namespace p2p::wire::peer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  absl::string_view rest = p2p::fuzz::AsText(data, size);
  while (!rest.empty()) p2p::wire::peer::CheckLine(p2p::fuzz::TakeLine(&rest));
  return 0;
}

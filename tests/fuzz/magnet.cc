// Magnet links as users paste them: what is accepted reads the same once formatted.
#include "core/content/magnet.h"

#include "core/base/limits.h"
#include "core/base/names.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace content = p2p::content;
  const absl::string_view text = p2p::fuzz::AsText(data, size);
  const size_t before = p2p::fuzz::AllocatedBytes();
  const absl::StatusOr<content::Magnet> magnet = content::ParseMagnet(text);
  P2P_FUZZ_CHECK(p2p::fuzz::AllocatedBytes() - before <= 64 * size + 4'096);
  if (!magnet.ok()) {
    P2P_FUZZ_CHECK(p2p::fuzz::IsShowable(magnet.status().message()));
    return 0;
  }
  P2P_FUZZ_CHECK(content::LooksLikeMagnet(text));
  P2P_FUZZ_CHECK(magnet->trackers.size() <= p2p::limits::kMaxMagnetAddresses);
  P2P_FUZZ_CHECK(magnet->peers.size() <= p2p::limits::kMaxMagnetAddresses);
  P2P_FUZZ_CHECK(magnet->name.empty() || p2p::CheckName(magnet->name).ok());
  P2P_FUZZ_CHECK(magnet->total_bytes.value() <= p2p::limits::kMaxFileBytes);
  const absl::StatusOr<content::Magnet> again =
      content::ParseMagnet(content::FormatMagnet(*magnet));
  P2P_FUZZ_CHECK(again.ok() && again->content_id == magnet->content_id);
  P2P_FUZZ_CHECK(again->name == magnet->name && again->total_bytes == magnet->total_bytes);
  P2P_FUZZ_CHECK(again->trackers == magnet->trackers && again->peers == magnet->peers);
  return 0;
}

// Magnet links: magnet:?xt=urn:btmh:1220<content id>&dn=<name>&xl=<bytes>&tr=<host:port>... Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/ids.h"

namespace p2p::content {

struct Magnet {
  ContentId content_id;
  std::string name;       // "" when not given
  ByteCount total_bytes;  // 0 when not given
  std::vector<std::string>
      trackers;                    // "HOST:PORT" each; of tr=p2p://HOST:PORT the scheme is dropped
  std::vector<std::string> peers;  // x.pe=HOST:PORT
};

// Percent-encodes what RFC 3986 does not allow in a query value.
std::string FormatMagnet(const Magnet& magnet);
// InvalidArgument says which part is wrong. Unknown parameters are skipped; a v1-only link (btih)
// is told apart.
absl::StatusOr<Magnet> ParseMagnet(absl::string_view link);
bool LooksLikeMagnet(absl::string_view text);

}  // namespace p2p::content

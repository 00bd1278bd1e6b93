#include "core/base/ids.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"

namespace p2p {

std::string Hash256::Hex() const { return absl::BytesToHexString(AsView()); }

absl::StatusOr<Hash256> Hash256::FromHex(absl::string_view hex) {
  Hash256 result;
  if (hex.size() != 2 * result.bytes.size() ||
      !std::all_of(hex.begin(), hex.end(), [](char c) { return absl::ascii_isxdigit(c); })) {
    return absl::InvalidArgumentError("a hash is 64 hexadecimal digits");
  }
  const std::string raw = absl::HexStringToBytes(hex);
  std::copy(raw.begin(), raw.end(), result.bytes.begin());
  return result;
}

Hash256 Hash256::FromBytes(absl::Span<const uint8_t> raw) {
  Hash256 result;
  std::copy_n(raw.begin(), result.bytes.size(), result.bytes.begin());
  return result;
}

absl::StatusOr<ContentId> ContentIdFromHex(absl::string_view hex) {
  absl::StatusOr<Hash256> hash = Hash256::FromHex(hex);
  if (!hash.ok()) return absl::InvalidArgumentError("a content id is 64 hexadecimal digits");
  return ContentId{*hash};
}

}  // namespace p2p

#include "core/wire/address_list.h"

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/limits.h"

namespace p2p::wire {

absl::optional<PeerAddress> ParseExtendedAddress(absl::string_view word) {
  if (word.size() > limits::kMaxAddressBytes) return absl::nullopt;
  return PeerAddress::Parse(word.substr(0, word.find(';')));
}

AddressList ParseAddressList(absl::string_view text) {
  AddressList list;
  for (absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    ++list.count;
    if (list.addresses.size() == static_cast<size_t>(limits::kMaxPeersPerAnswer)) continue;
    if (const auto address = ParseExtendedAddress(word)) list.addresses.push_back(*address);
  }
  return list;
}

std::string FormatAddressList(absl::Span<const std::string> addresses) {
  return absl::StrJoin(addresses, " ");
}

}  // namespace p2p::wire

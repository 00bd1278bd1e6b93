// Text that came from outside, made safe to show; numbers as people and the protocol write them.
// Pure.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"

namespace p2p {

// `text` with control characters, bidi overrides and bytes that are not UTF-8 as \xHH, and cut
// after `max_bytes` with "...": for logs, tables and error messages.
std::string Printable(absl::string_view text, size_t max_bytes = 256);

// A plain decimal number: digits only, no sign, no leading zero but "0" itself, at most `max`.
absl::optional<uint64_t> ParseDecimal(absl::string_view digits, uint64_t max);

// "1.5 GiB", "17 B".
std::string HumanBytes(uint64_t bytes);
// "3 s", "2 min 5 s", "1 h 3 min".
std::string HumanDuration(absl::Duration duration);

}  // namespace p2p

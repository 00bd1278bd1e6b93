// The answer to a request that is refused: "ERROR <code> <text>", with HTTP's numbers
// (docs/protocol.md, "Errors"). Plain values; any thread.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace p2p::wire {

struct WireError {
  int code = 0;      // 100 to 999
  std::string text;  // one line; never holds raw bytes of the other side
};

// With its LF. `text` is made printable and cut, so that the line stays within
// limits::kMaxLineBytes.
std::string FormatError(int code, absl::string_view text);

// A line that starts with the word ERROR, else nullopt. A missing or odd code counts as 400; the
// text is made printable, since users get to see it.
absl::optional<WireError> ParseErrorLine(absl::string_view line);

}  // namespace p2p::wire

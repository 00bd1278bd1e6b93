// The words of a text line, taken from either end. Pure; any thread.
#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace p2p::wire {

// Cuts off the first or last word and the one space that divides it from the rest, which may hold
// more spaces (names do). The whole rest when there is no space.
absl::string_view TakeFirstWord(absl::string_view* line);
absl::string_view TakeLastWord(absl::string_view* line);

// The payload that a line announces with "+<digits>" as its last word; nullopt when it announces
// none. Numbers beyond any limit are given as SIZE_MAX.
absl::optional<size_t> PayloadBytes(absl::string_view line);

// Whether a line with an unknown verb comes from a program that does not speak this protocol at
// all: TLS, HTTP or noise. A later version of the protocol, or a person at a keyboard, sends text.
bool IsForeign(absl::string_view line);

}  // namespace p2p::wire

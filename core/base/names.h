// The rules for names of shares and of the files in them (docs/protocol.md, "Names"). Pure; any
// thread.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace p2p {

// Whether `text` is well-formed UTF-8: no overlong form, no surrogate, nothing beyond U+10FFFF.
bool IsValidUtf8(absl::string_view text);

// A name: 1 to 1,024 bytes of UTF-8, components divided by '/', each of them a component as below.
// InvalidArgument says what is wrong, with nothing of the name in it, so that it may go to a peer.
absl::Status CheckName(absl::string_view name);

// One component: 1 to 255 bytes, not "." or "..", no '/', no control, bidi or invisible character.
absl::Status CheckNameComponent(absl::string_view component);

}  // namespace p2p

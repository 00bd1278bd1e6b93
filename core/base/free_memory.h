// Memory that was freed and is still held from the system.
#pragma once

#include "absl/time/time.h"

namespace p2p {

// How often a program that runs for long calls GiveFreeMemoryBack().
inline constexpr absl::Duration kFreeMemoryInterval = absl::Seconds(15);

// Gives pages back to the system that malloc holds for later, if they are many: what an attack or a
// burst of work has taken is then not kept for ever. Takes some milliseconds; any thread.
void GiveFreeMemoryBack();

}  // namespace p2p

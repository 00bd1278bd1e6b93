// Memory that was freed and is still held from the system.
#pragma once

#include "absl/time/time.h"

namespace p2p {

// Before there are threads: what they free is kept in one place. By default most of them have one
// of their own, which keeps what is free between what is not: after a burst a daemon had a third
// more.
void KeepFreeMemoryTogether();

// How often a program that runs for long calls GiveFreeMemoryBack().
inline constexpr absl::Duration kFreeMemoryInterval = absl::Seconds(15);

// Gives pages back to the system that malloc holds for later, if they are many: what an attack or a
// burst of work has taken is then not kept for ever. Takes some milliseconds; any thread.
void GiveFreeMemoryBack();

}  // namespace p2p

// Which states of a disk to try after a crash. For tests.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/support/crashing_file_system.h"

namespace p2p::testing_support {

// The fates of all changes that were not synced (CrashingFileSystem::Unsynced() tells of them), for
// one state of the disk after another, at most `most`, all different: nothing, all, each change
// missing, each alone, what was written torn in many ways; then all subsets where the changes are
// at most ten, and some at random.
std::vector<std::vector<Fate>> CrashStates(const std::vector<uint32_t>& unsynced, uint32_t most);

}  // namespace p2p::testing_support

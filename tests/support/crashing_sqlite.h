// Puts SQLite's files on a CrashingFileSystem. For tests; one thread.
#pragma once

#include "tests/support/crashing_file_system.h"

namespace p2p::testing_support {

// From its making to its end, databases that are opened are on `disk`, each in the directory that
// its path names. Without shared memory: for databases that are opened exclusively.
class CrashingSqlite {
 public:
  explicit CrashingSqlite(CrashingFileSystem* disk);
  ~CrashingSqlite();
};

}  // namespace p2p::testing_support

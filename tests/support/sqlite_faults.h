// Makes the writes and syncs of SQLite fail in this process while told to. For tests; one thread.
#pragma once

#include <functional>

namespace p2p::testing_support {

// From its making to its end, databases that are opened use it.
class SqliteFaults {
 public:
  SqliteFaults();
  ~SqliteFaults();

  // Asked before each write or sync: an SQLite result code to fail with, or 0.
  static std::function<int()> on_write;
  static std::function<int()> on_sync;
};

}  // namespace p2p::testing_support

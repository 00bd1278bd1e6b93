// Ends a program that lacks memory or threads while it starts with a sentence.
#pragma once

namespace p2p {

// While there is one, an abort or an exception that nobody catches ends the process at once, with a
// sentence and exit code 1. Not every library says what it lacks: gRPC aborts. Later than at the
// start an abort is one, and leaves a core. One at a time; its thread is main's.
class StartGuard {
 public:
  explicit StartGuard(const char* program);  // its name; outlives this
  ~StartGuard();

  StartGuard(const StartGuard&) = delete;
  StartGuard& operator=(const StartGuard&) = delete;
};

}  // namespace p2p

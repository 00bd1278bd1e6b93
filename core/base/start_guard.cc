#include "core/base/start_guard.h"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>

namespace p2p {
namespace {

const char* name_of_program = "";
std::terminate_handler former = nullptr;

void Say(const char* text) { (void)!write(STDERR_FILENO, text, std::strlen(text)); }

[[noreturn]] void EndTheStart() {
  Say(name_of_program);
  Say(": cannot start: something aborted, most likely for want of memory or threads "
      "(ulimit -v, ulimit -u, MemoryMax=, TasksMax=)\n");
  _exit(EXIT_FAILURE);
}

}  // namespace

StartGuard::StartGuard(const char* program) {
  name_of_program = program;
  former = std::set_terminate(EndTheStart);
  std::signal(SIGABRT, [](int) { EndTheStart(); });
}

StartGuard::~StartGuard() {
  std::set_terminate(former);
  std::signal(SIGABRT, SIG_DFL);
}

}  // namespace p2p

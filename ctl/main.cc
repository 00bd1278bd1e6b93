// p2pctl: tells the daemon what to do. See commands.cc for what it knows.
#include <cstdlib>
#include <string>
#include <vector>

#include "core/base/socket_path.h"
#include "core/base/text.h"
#include "ctl/command_line.h"
#include "ctl/commands.h"
#include "ctl/exit_codes.h"
#include "ctl/output.h"

namespace p2p::ctl {
namespace {

int Run(const std::vector<std::string>& words) {
  const absl::StatusOr<Invocation> invocation = ParseCommandLine(Commands(), words);
  if (!invocation.ok()) {
    Complain(Printable(invocation.status().message(), 1'000));
    return kUsage;
  }
  Session session;
  session.json = invocation->json;
  session.socket_path =
      invocation->socket_path.empty() ? DefaultSocketPath() : invocation->socket_path;
  if (invocation->help) {
    Print(HelpText(invocation->command));
    return kDone;
  }
  if (invocation->version) return RunVersion(session, Arguments());
  if (invocation->command == nullptr) {
    Complain("a command is missing; see p2pctl help");
    return kUsage;
  }
  return invocation->command->run(session, invocation->arguments);
}

}  // namespace
}  // namespace p2p::ctl

int main(int argc, char** argv) {
  int code = p2p::ctl::Run({argv + (argc > 0 ? 1 : 0), argv + argc});
  if (!p2p::ctl::OutputIsGood()) {
    p2p::ctl::Complain("cannot write the output; is the disk full?");
    if (code == p2p::ctl::kDone) code = p2p::ctl::kFailed;
  }
  // Not exit(): gRPC would end its threads one by one, which takes as long as the command.
  std::_Exit(code);
}

// p2pctl stop: stops the daemon and waits until it has gone.
#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "ctl/commands.h"
#include "ctl/exit_codes.h"
#include "ctl/json.h"
#include "ctl/output.h"

namespace p2p::ctl {
namespace {

// The daemon promises to end within 5 s.
constexpr absl::Duration kPatience = absl::Seconds(15);
constexpr absl::Duration kLookInterval = absl::Milliseconds(20);

// The daemon removes its socket last of all; another inode is the socket of another daemon.
ino_t SocketInode(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

}  // namespace

int RunStop(const Session& session, const Arguments&) {
  const ino_t inode = SocketInode(session.socket_path);
  {
    const auto client = Client::Connect(session.socket_path);
    if (!client.ok()) return Fail(client.status());
    const auto answer = (*client)->Call(&v1::Control::Stub::Shutdown, v1::ShutdownRequest());
    // A daemon that is gone before it could answer has done what it was asked.
    if (!answer.ok() && !absl::IsUnavailable(answer.status())) return Fail(answer.status());
  }
  const absl::Time give_up = MonotonicNow() + kPatience;
  while (SocketInode(session.socket_path) == inode) {
    if (MonotonicNow() > give_up) {
      Complain(absl::StrCat("p2pd was told to stop and has not ended within ",
                            HumanDuration(kPatience), "; see its log"));
      return kFailed;
    }
    absl::SleepFor(kLookInterval);
  }
  PrintLine(session.json ? JsonLine(Json{{"stopped", true}}) : std::string("p2pd has stopped"));
  return kDone;
}

}  // namespace p2p::ctl

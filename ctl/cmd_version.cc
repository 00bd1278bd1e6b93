// p2pctl version: its own version, and the daemon's if one answers.
#include "absl/strings/str_cat.h"
#include "core/base/text.h"
#include "ctl/commands.h"
#include "ctl/exit_codes.h"
#include "ctl/json.h"
#include "ctl/output.h"

namespace p2p::ctl {
namespace {

absl::StatusOr<std::string> DaemonVersion(const Session& session) {
  const auto client = Client::Connect(session.socket_path);
  if (!client.ok()) return client.status();
  const auto answer = (*client)->Call(&v1::Control::Stub::GetDaemon, v1::GetDaemonRequest());
  if (!answer.ok()) return answer.status();
  return answer->daemon().version();
}

}  // namespace

int RunVersion(const Session& session, const Arguments&) {
  const absl::StatusOr<std::string> daemon = DaemonVersion(session);
  if (session.json) {
    PrintLine(
        JsonLine(Json{{"p2pctl", P2P_VERSION}, {"p2pd", daemon.ok() ? Json(*daemon) : Json()}}));
    return kDone;
  }
  PrintLine(absl::StrCat("p2pctl ", P2P_VERSION));
  PrintLine(daemon.ok() ? absl::StrCat("p2pd   ", Printable(*daemon))
            : absl::IsUnavailable(daemon.status())
                ? std::string("p2pd   is not running")
                : absl::StrCat("p2pd   ", Printable(daemon.status().message(), 500)));
  return kDone;
}

}  // namespace p2p::ctl

// p2pctl remove: forgets a transfer.
#include "absl/strings/str_cat.h"
#include "ctl/commands.h"
#include "ctl/exit_codes.h"
#include "ctl/json.h"
#include "ctl/output.h"

namespace p2p::ctl {

int RunRemove(const Session& session, const Arguments& arguments) {
  const absl::Status utf8 = CheckUtf8("the id", arguments.words[0]);
  if (!utf8.ok()) return Fail(utf8);
  const auto client = Client::Connect(session.socket_path);
  if (!client.ok()) return Fail(client.status());
  v1::RemoveRequest request;
  request.set_transfer(arguments.words[0]);
  request.set_with_data(arguments.Has("--with-data"));
  const auto answer = (*client)->Call(&v1::Control::Stub::Remove, request);
  if (!answer.ok()) return Fail(answer.status());
  if (session.json) {
    PrintLine(JsonLine(Json{{"id", absl::StrCat(answer->transfer().id())}, {"removed", true}}));
    return kDone;
  }
  return PrintChanged(session, "removed", answer->transfer());
}

}  // namespace p2p::ctl

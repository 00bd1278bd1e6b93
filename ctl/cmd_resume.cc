// p2pctl resume: goes on with a transfer.
#include "ctl/commands.h"

namespace p2p::ctl {

int RunResume(const Session& session, const Arguments& arguments) {
  const absl::Status utf8 = CheckUtf8("the id", arguments.words[0]);
  if (!utf8.ok()) return Fail(utf8);
  const auto client = Client::Connect(session.socket_path);
  if (!client.ok()) return Fail(client.status());
  v1::ResumeRequest request;
  request.set_transfer(arguments.words[0]);
  const auto answer = (*client)->Call(&v1::Control::Stub::Resume, request);
  if (!answer.ok()) return Fail(answer.status());
  return PrintChanged(session, "resumed", answer->transfer());
}

}  // namespace p2p::ctl

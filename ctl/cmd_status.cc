// p2pctl status: the daemon, or everything about one transfer.
#include "ctl/commands.h"
#include "ctl/exit_codes.h"
#include "ctl/format.h"
#include "ctl/json.h"
#include "ctl/output.h"

namespace p2p::ctl {
namespace {

int ShowDaemon(const Session& session, Client* client) {
  const auto answer = client->Call(&v1::Control::Stub::GetDaemon, v1::GetDaemonRequest());
  if (!answer.ok()) return Fail(answer.status());
  if (session.json) {
    PrintLine(JsonLine(ToJson(answer->daemon())));
  } else {
    Print(DaemonDetails(answer->daemon()));
  }
  return kDone;
}

int ShowTransfer(const Session& session, Client* client, const std::string& what) {
  v1::GetTransferRequest request;
  request.set_transfer(what);
  const auto answer = client->Call(&v1::Control::Stub::GetTransfer, request);
  if (!answer.ok()) return Fail(answer.status());
  if (session.json) {
    PrintLine(JsonLine(ToJson(answer->transfer())));
  } else {
    Print(TransferDetails(answer->transfer()));
  }
  return kDone;
}

}  // namespace

int RunStatus(const Session& session, const Arguments& arguments) {
  if (!arguments.words.empty()) {
    const absl::Status utf8 = CheckUtf8("the id", arguments.words[0]);
    if (!utf8.ok()) return Fail(utf8);
  }
  const auto client = Client::Connect(session.socket_path);
  if (!client.ok()) return Fail(client.status());
  return arguments.words.empty() ? ShowDaemon(session, client->get())
                                 : ShowTransfer(session, client->get(), arguments.words[0]);
}

}  // namespace p2p::ctl

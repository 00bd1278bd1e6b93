// p2pctl peers: the peers of one transfer, page by page.
#include "ctl/commands.h"
#include "ctl/exit_codes.h"
#include "ctl/format.h"
#include "ctl/json.h"
#include "ctl/output.h"

namespace p2p::ctl {
namespace {

constexpr int kPageItems = 1'000;

}  // namespace

int RunPeers(const Session& session, const Arguments& arguments) {
  const absl::Status utf8 = CheckUtf8("the id", arguments.words[0]);
  if (!utf8.ok()) return Fail(utf8);
  const auto client = Client::Connect(session.socket_path);
  if (!client.ok()) return Fail(client.status());
  std::vector<v1::Peer> peers;
  v1::ListPeersRequest request;
  request.set_transfer(arguments.words[0]);
  request.set_page_size(kPageItems);
  do {
    const auto page = (*client)->Call(&v1::Control::Stub::ListPeers, request);
    if (!page.ok()) return Fail(page.status());
    peers.insert(peers.end(), page->peers().begin(), page->peers().end());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  if (session.json) {
    for (const v1::Peer& peer : peers) PrintLine(JsonLine(ToJson(peer)));
  } else if (peers.empty()) {
    PrintLine("no peers are known yet");
  } else {
    Print(PeerTable(peers));
  }
  return kDone;
}

}  // namespace p2p::ctl

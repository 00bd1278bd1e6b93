// p2pctl list: all transfers, page by page.
#include "ctl/commands.h"
#include "ctl/exit_codes.h"
#include "ctl/format.h"
#include "ctl/json.h"
#include "ctl/output.h"

namespace p2p::ctl {
namespace {

constexpr int kPageItems = 1'000;

}  // namespace

int RunList(const Session& session, const Arguments&) {
  const auto client = Client::Connect(session.socket_path);
  if (!client.ok()) return Fail(client.status());
  std::vector<v1::Transfer> transfers;
  v1::ListTransfersRequest request;
  request.set_page_size(kPageItems);
  do {
    const auto page = (*client)->Call(&v1::Control::Stub::ListTransfers, request);
    if (!page.ok()) return Fail(page.status());
    transfers.insert(transfers.end(), page->transfers().begin(), page->transfers().end());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  if (session.json) {
    for (const v1::Transfer& transfer : transfers) PrintLine(JsonLine(ToJson(transfer)));
  } else if (transfers.empty()) {
    PrintLine("no transfers; p2pctl share PATH offers a file, p2pctl get SOURCE fetches one");
  } else {
    Print(TransferTable(transfers));
  }
  return kDone;
}

}  // namespace p2p::ctl

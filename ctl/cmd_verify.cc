// p2pctl verify: has what is on disk hashed again, and waits for the outcome.
#include "core/base/text.h"
#include "ctl/commands.h"
#include "ctl/exit_codes.h"
#include "ctl/follow.h"
#include "ctl/output.h"

namespace p2p::ctl {
namespace {

bool IsChecked(const v1::Transfer& transfer) {
  return transfer.state() != v1::TRANSFER_STATE_CHECKING &&
         transfer.state() != v1::TRANSFER_STATE_HASHING;
}

}  // namespace

int RunVerify(const Session& session, const Arguments& arguments) {
  const absl::Status utf8 = CheckUtf8("the id", arguments.words[0]);
  if (!utf8.ok()) return Fail(utf8);
  const auto client = Client::Connect(session.socket_path);
  if (!client.ok()) return Fail(client.status());
  v1::VerifyRequest request;
  request.set_transfer(arguments.words[0]);
  const auto started = (*client)->Call(&v1::Control::Stub::Verify, request);
  if (!started.ok()) return Fail(started.status());
  if (arguments.Has("--detach")) return PrintChanged(session, "checking", started->transfer());
  const FollowResult result = Follow(session, client->get(), started->transfer(), IsChecked);
  if (result.end != FollowEnd::kReached) return FailFollow(result);
  if (result.last.state() == v1::TRANSFER_STATE_ERROR) {
    Complain(Printable(result.last.error(), 4'096));
    return kFailed;
  }
  return session.json ? kDone : PrintChanged(session, "checked", result.last);
}

}  // namespace p2p::ctl

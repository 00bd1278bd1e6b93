// p2pctl share: starts a share and waits until it is hashed.
#include "core/base/text.h"
#include "ctl/commands.h"
#include "ctl/exit_codes.h"
#include "ctl/follow.h"
#include "ctl/format.h"
#include "ctl/output.h"
#include "ctl/paths.h"

namespace p2p::ctl {
namespace {

absl::StatusOr<v1::ShareRequest> MakeRequest(const Arguments& arguments) {
  const std::string name = arguments.Get("--name");
  const absl::Status utf8 = CheckUtf8("the name", name);
  if (!utf8.ok()) return utf8;
  const absl::StatusOr<std::string> path = AbsolutePath(arguments.words[0]);
  if (!path.ok()) return path.status();
  v1::ShareRequest request;
  request.set_path(*path);
  request.set_name(name);
  return request;
}

// A share that was paused before is hashed, too.
bool IsHashed(const v1::Transfer& transfer) {
  switch (transfer.state()) {
    case v1::TRANSFER_STATE_SEEDING:
    case v1::TRANSFER_STATE_COMPLETE:
    case v1::TRANSFER_STATE_ERROR:
      return true;
    case v1::TRANSFER_STATE_PAUSED:
      return !transfer.content_id().empty();
    default:
      return false;
  }
}

}  // namespace

int RunShare(const Session& session, const Arguments& arguments) {
  const absl::StatusOr<v1::ShareRequest> request = MakeRequest(arguments);
  if (!request.ok()) return Fail(request.status());
  const auto client = Client::Connect(session.socket_path);
  if (!client.ok()) return Fail(client.status());
  const auto started = (*client)->Call(&v1::Control::Stub::Share, *request);
  if (!started.ok()) return Fail(started.status());
  const FollowResult result = Follow(session, client->get(), started->transfer(), IsHashed);
  if (result.end != FollowEnd::kReached) return FailFollow(result);
  if (result.last.state() == v1::TRANSFER_STATE_ERROR) {
    Complain(Printable(result.last.error(), 4'096));
    return kFailed;
  }
  if (session.json) return kDone;  // the last progress object is the result
  Print(ShareSummary(result.last));
  if (result.last.state() == v1::TRANSFER_STATE_PAUSED) {
    Complain("the share is paused and not offered; p2pctl resume goes on with it");
  }
  return kDone;
}

}  // namespace p2p::ctl

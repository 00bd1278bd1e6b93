// p2pctl get: starts a download and waits until it is complete.
#include <functional>

#include "absl/strings/str_cat.h"
#include "core/base/text.h"
#include "ctl/commands.h"
#include "ctl/exit_codes.h"
#include "ctl/follow.h"
#include "ctl/format.h"
#include "ctl/json.h"
#include "ctl/output.h"
#include "ctl/paths.h"

namespace p2p::ctl {
namespace {

constexpr char kAllowUnverified[] = "--allow-unverified";

absl::StatusOr<v1::DownloadRequest> MakeRequest(const Arguments& arguments) {
  const absl::Status utf8 = CheckUtf8("the source", arguments.words[0]);
  if (!utf8.ok()) return utf8;
  v1::DownloadRequest request;
  request.set_source(arguments.words[0]);
  request.set_allow_unverified(arguments.Has(kAllowUnverified));
  if (arguments.Has("--output")) {
    const absl::StatusOr<std::string> output = AbsoluteOutputPath(arguments.Get("--output"));
    if (!output.ok()) return output.status();
    request.set_output(*output);
  }
  return request;
}

bool HasEnded(const v1::Transfer& transfer) {
  return transfer.state() == v1::TRANSFER_STATE_COMPLETE ||
         transfer.state() == v1::TRANSFER_STATE_SEEDING ||
         transfer.state() == v1::TRANSFER_STATE_ERROR;
}

int PrintDetached(const Session& session, const v1::Transfer& transfer) {
  if (session.json) {
    PrintLine(JsonLine(ToJson(transfer)));
  } else {
    PrintLine(absl::StrCat("started ", transfer.id(), " (", Printable(transfer.name()),
                           "); p2pctl watch ", transfer.id(), " follows it"));
  }
  return kDone;
}

// Says where it will be, once that is known.
std::function<std::string(const v1::Transfer&)> TellTargetOnce() {
  return [told = false](const v1::Transfer& transfer) mutable {
    if (told || !transfer.placed()) return std::string();
    told = true;
    return TargetLine(transfer);
  };
}

// Whether this user, or who runs the daemon, has said that unverified content will do.
bool MayBeUnverified(const Arguments& arguments, Client* client) {
  if (arguments.Has(kAllowUnverified)) return true;
  const auto answer = client->Call(&v1::Control::Stub::GetDaemon, v1::GetDaemonRequest());
  return answer.ok() && answer->daemon().allow_unverified();
}

}  // namespace

int RunGet(const Session& session, const Arguments& arguments) {
  const absl::StatusOr<v1::DownloadRequest> request = MakeRequest(arguments);
  if (!request.ok()) return Fail(request.status());
  const auto client = Client::Connect(session.socket_path);
  if (!client.ok()) return Fail(client.status());
  const auto started = (*client)->Call(&v1::Control::Stub::Download, *request);
  if (!started.ok()) return Fail(started.status());
  if (arguments.Has("--detach")) return PrintDetached(session, started->transfer());
  const FollowResult result =
      Follow(session, client->get(), started->transfer(), HasEnded, TellTargetOnce());
  if (result.end != FollowEnd::kReached) return FailFollow(result);
  if (result.last.state() == v1::TRANSFER_STATE_ERROR) return FailTransfer(result.last);
  if (!session.json) Print(DownloadSummary(result.last));
  // Somebody else may have allowed it, of a download that this one joined.
  if (result.last.verified() || MayBeUnverified(arguments, client->get())) return kDone;
  Complain(
      "it is there, but unverified, which you did not allow; give --allow-unverified if that is "
      "good enough");
  return kUnverified;
}

}  // namespace p2p::ctl

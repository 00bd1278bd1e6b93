#include "ctl/commands.h"

#include "absl/strings/str_cat.h"
#include "core/base/names.h"
#include "core/base/text.h"
#include "ctl/exit_codes.h"
#include "ctl/json.h"
#include "ctl/output.h"

namespace p2p::ctl {
namespace {

constexpr char kIdDetails[] =
    "ID is a transfer's id, its content id or a beginning of it (8 digits or more),\n"
    "or its name if no other transfer has it. p2pctl list shows them.\n";

}  // namespace

const std::vector<Command>& Commands() {
  static const auto* const commands = new std::vector<Command>{
      {"share",
       "",
       "PATH",
       1,
       1,
       {{"--name", "", "NAME", "what others know it by; else its own name"}},
       "offer a file or a directory to others",
       "The file stays where it is; nothing is copied. Waits until it is hashed, then\n"
       "prints its name, content id and magnet link. Others get it by any of them.\n"
       "Ctrl-C only ends p2pctl: the share goes on in the daemon.\n",
       "p2pctl share report.pdf\n"
       "p2pctl share ~/photos --name holiday\n",
       RunShare},
      {"get",
       "download",
       "SOURCE",
       1,
       1,
       {{"--output", "-o", "PATH", "where to; a directory, or a path that ends in '/': into it"},
        {"--detach", "", "", "do not wait; watch follows it, list shows it"},
        {"--allow-unverified", "", "", "also what only peers of the original protocol have"}},
       "fetch a share from those who have it",
       "SOURCE is a name, a content id or a magnet link. Says where the file will be,\n"
       "waits until the last byte is there, then prints where it is and whether it was\n"
       "verified. Never writes over an existing file. Without --output it goes to the\n"
       "daemon's download directory. By name the file is called what was asked for;\n"
       "else what who shared it calls it, but a name that begins with a dot is taken\n"
       "only from you: say it with -o. Ctrl-C only ends p2pctl: the download goes on\n"
       "in the daemon.\n"
       "\n"
       "Exits with 0 only when every byte was verified against the content id. Which one\n"
       "a name stands for is the tracker's word; a content id or a magnet link stands\n"
       "for itself. Peers of the original protocol give no hashes: what only they have is\n"
       "refused with exit code 3, unless you give --allow-unverified or the daemon's\n"
       "configuration has allow_unverified = true.\n",
       "p2pctl get report.pdf\n"
       "p2pctl get report.pdf -o /tmp/\n"
       "p2pctl get 'magnet:?xt=urn:btmh:1220...' --detach\n",
       RunGet},
      {"list",
       "",
       "",
       0,
       0,
       {},
       "show all transfers",
       "",
       "p2pctl list\np2pctl --json list\n",
       RunList},
      {"status",
       "",
       "[ID]",
       0,
       1,
       {},
       "show the daemon, or everything about one transfer",
       kIdDetails,
       "p2pctl status\np2pctl status 3\n",
       RunStatus},
      {"peers",
       "",
       "ID",
       1,
       1,
       {},
       "show the peers of a transfer",
       kIdDetails,
       "p2pctl peers 3\n",
       RunPeers},
      {"watch",
       "",
       "[ID]",
       0,
       1,
       {},
       "follow one transfer, or all of them",
       "Follows a download until it is complete, a share or all transfers until Ctrl-C.\n",
       "p2pctl watch 3\np2pctl --json watch\n",
       RunWatch},
      {"pause",
       "",
       "ID",
       1,
       1,
       {},
       "stop a transfer; what it has stays",
       kIdDetails,
       "p2pctl pause 3\n",
       RunPause},
      {"resume",
       "",
       "ID",
       1,
       1,
       {},
       "go on with a paused or failed transfer",
       kIdDetails,
       "p2pctl resume 3\n",
       RunResume},
      {"remove",
       "",
       "ID",
       1,
       1,
       {{"--with-data", "", "", "also delete what was downloaded; never a shared file"}},
       "forget a transfer; its files stay, an unfinished .part goes",
       kIdDetails,
       "p2pctl remove 3\np2pctl remove 3 --with-data\n",
       RunRemove},
      {"verify",
       "",
       "ID",
       1,
       1,
       {{"--detach", "", "", "do not wait; status shows the outcome"}},
       "hash what is on disk again and compare",
       "Waits for the outcome. Chunks that are damaged are fetched again.\n",
       "p2pctl verify 3\n",
       RunVerify},
      {"stop",
       "",
       "",
       0,
       0,
       {},
       "stop the daemon",
       "Waits until it has committed everything. Transfers go on when it is started again.\n",
       "p2pctl stop\n",
       RunStop},
      {"version",
       "",
       "",
       0,
       0,
       {},
       "print the versions of p2pctl and of the daemon",
       "Works without a daemon, too.\n",
       "p2pctl version\n",
       RunVersion},
      {"help",
       "",
       "[COMMAND]",
       0,
       1,
       {},
       "describe all commands, or one",
       "",
       "p2pctl help get\n",
       RunHelp},
  };
  return *commands;
}

absl::Status CheckUtf8(absl::string_view what, const std::string& text) {
  if (IsValidUtf8(text)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " is not UTF-8: ", Printable(text), "; nothing is known by such a name"));
}

int FailTransfer(const v1::Transfer& transfer) {
  Complain(Printable(transfer.error(), 4'096));
  return transfer.unverified_refused() ? kUnverified : kFailed;
}

int PrintChanged(const Session& session, absl::string_view did, const v1::Transfer& transfer) {
  if (session.json) {
    PrintLine(JsonLine(ToJson(transfer)));
  } else {
    PrintLine(absl::StrCat(did, " ", transfer.id(), " (", Printable(transfer.name()), ")"));
  }
  return kDone;
}

}  // namespace p2p::ctl

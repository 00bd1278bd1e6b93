// p2pctl watch: follows one transfer, or all of them.
#include <map>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "ctl/commands.h"
#include "ctl/exit_codes.h"
#include "ctl/follow.h"
#include "ctl/format.h"
#include "ctl/json.h"
#include "ctl/output.h"

namespace p2p::ctl {
namespace {

constexpr absl::Duration kLookInterval = absl::Milliseconds(100);

int WatchOne(const Session& session, Client* client, const std::string& what) {
  v1::GetTransferRequest request;
  request.set_transfer(what);
  const auto found = client->Call(&v1::Control::Stub::GetTransfer, request);
  if (!found.ok()) return Fail(found.status());
  const FollowResult result =
      Follow(session, client, found->transfer(), [](const v1::Transfer& transfer) {
        return transfer.state() == v1::TRANSFER_STATE_COMPLETE ||
               transfer.state() == v1::TRANSFER_STATE_ERROR;
      });
  if (result.end == FollowEnd::kInterrupted) return kInterrupted;
  if (result.end != FollowEnd::kReached) return FailFollow(result);
  if (result.last.state() == v1::TRANSFER_STATE_ERROR) return FailTransfer(result.last);
  if (!session.json) Print(DownloadSummary(result.last));
  return kDone;
}

// Shows all transfers: objects or lines as they change, on a terminal a table that is written over.
class AllPrinter {
 public:
  explicit AllPrinter(ProgressPrinter::Style style) : style_(style) {}

  void Take(const v1::WatchTransfersResponse& message) {
    for (const v1::Transfer& transfer : message.transfers()) {
      transfers_[transfer.id()] = transfer;
      PrintLineFor(transfer);
    }
    for (const uint64_t id : message.removed_ids()) {
      transfers_.erase(id);
      printers_.erase(id);
      if (style_ == ProgressPrinter::Style::kJson) {
        PrintLine(JsonLine(Json{{"id", absl::StrCat(id)}, {"removed", true}}));
      } else if (style_ == ProgressPrinter::Style::kPlain) {
        PrintLine(absl::StrCat(id, "  removed"));
      }
    }
    if (style_ == ProgressPrinter::Style::kLive && !message.more()) Repaint();
  }

 private:
  void PrintLineFor(const v1::Transfer& transfer) {
    if (style_ == ProgressPrinter::Style::kLive) return;
    const auto printer = printers_.emplace(transfer.id(), ProgressPrinter(style_)).first;
    const absl::optional<std::string> text = printer->second.Next(transfer, MonotonicNow());
    if (!text) return;
    if (style_ == ProgressPrinter::Style::kJson) {
      Print(*text);
    } else {
      Print(absl::StrCat(transfer.id(), "  ", Printable(transfer.name()), "  ", *text));
    }
  }

  void Repaint() {
    std::vector<v1::Transfer> rows;
    for (const auto& [id, transfer] : transfers_) rows.push_back(transfer);
    // Home, clear, table.
    Print(absl::StrCat("\x1b[H\x1b[2J", TransferTable(rows)));
  }

  const ProgressPrinter::Style style_;
  std::map<uint64_t, v1::Transfer> transfers_;
  std::map<uint64_t, ProgressPrinter> printers_;
};

int WatchAll(const Session& session, Client* client) {
  CatchInterrupts();
  AllPrinter printer(ProgressPrinter::StyleFor(session));
  const auto stream = client->Watch(v1::WatchTransfersRequest());
  while (!Interrupted()) {
    v1::WatchTransfersResponse message;
    switch (stream->Next(kLookInterval, &message)) {
      case TransferStream::Event::kMessage:
        printer.Take(message);
        break;
      case TransferStream::Event::kNothing:
        break;
      case TransferStream::Event::kEnd:
        return Fail(stream->status());
    }
  }
  return kInterrupted;
}

}  // namespace

int RunWatch(const Session& session, const Arguments& arguments) {
  if (!arguments.words.empty()) {
    const absl::Status utf8 = CheckUtf8("the id", arguments.words[0]);
    if (!utf8.ok()) return Fail(utf8);
  }
  const auto client = Client::Connect(session.socket_path);
  if (!client.ok()) return Fail(client.status());
  return arguments.words.empty() ? WatchAll(session, client->get())
                                 : WatchOne(session, client->get(), arguments.words[0]);
}

}  // namespace p2p::ctl

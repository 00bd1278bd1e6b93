#include "ctl/format.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "core/base/limits.h"
#include "core/base/text.h"

namespace p2p::ctl {
namespace {

// Where whole text matters more than a short line: paths and links are copied from here.
constexpr size_t kWhole = 64 << 10;

using Row = std::vector<std::string>;

// "label:      text\n", aligned with the others of its block.
std::string Labelled(absl::string_view label, absl::string_view text) {
  return absl::StrFormat("%-12s %s\n", absl::StrCat(label, ":"), text);
}

std::string Rate(uint64_t bytes_a_second) {
  return bytes_a_second == 0 ? "-" : absl::StrCat(HumanBytes(bytes_a_second), "/s");
}

// All columns but the last are padded, those in `right` on the left.
std::string Table(const std::vector<Row>& rows, const std::vector<bool>& right) {
  std::vector<size_t> widths(right.size(), 0);
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const Row& row : rows) {
    for (size_t i = 0; i + 1 < row.size(); ++i) {
      const std::string space(widths[i] - row[i].size(), ' ');
      absl::StrAppend(&out, right[i] ? space : "", row[i], right[i] ? "" : space, "  ");
    }
    absl::StrAppend(&out, row.back(), "\n");
  }
  return out;
}

bool IsWhole(const v1::Transfer& transfer) {
  return transfer.state() == v1::TRANSFER_STATE_COMPLETE ||
         transfer.state() == v1::TRANSFER_STATE_SEEDING;
}

const char* VerifiedText(const v1::Transfer& transfer) {
  if (transfer.verified()) return "yes, every byte was checked against the content id";
  if (IsWhole(transfer)) {
    return "NO, its sources speak only the original protocol, which has no hashes";
  }
  return "not yet";
}

std::string PeersText(uint32_t peers) {
  return absl::StrCat(peers, peers == 1 ? " peer" : " peers");
}

bool MovesPayload(const v1::Transfer& transfer) {
  return transfer.state() != v1::TRANSFER_STATE_HASHING &&
         transfer.state() != v1::TRANSFER_STATE_CHECKING;
}

}  // namespace

const char* StateName(v1::TransferState state) {
  switch (state) {
    case v1::TRANSFER_STATE_HASHING:
      return "hashing";
    case v1::TRANSFER_STATE_QUEUED:
      return "queued";
    case v1::TRANSFER_STATE_DOWNLOADING:
      return "downloading";
    case v1::TRANSFER_STATE_SEEDING:
      return "seeding";
    case v1::TRANSFER_STATE_PAUSED:
      return "paused";
    case v1::TRANSFER_STATE_CHECKING:
      return "checking";
    case v1::TRANSFER_STATE_COMPLETE:
      return "complete";
    case v1::TRANSFER_STATE_ERROR:
      return "error";
    default:
      return "unknown";
  }
}

const char* KindName(v1::TransferKind kind) {
  switch (kind) {
    case v1::TRANSFER_KIND_SHARE:
      return "share";
    case v1::TRANSFER_KIND_DOWNLOAD:
      return "download";
    default:
      return "unknown";
  }
}

std::string StateText(const v1::Transfer& transfer) {
  return absl::StrCat(StateName(transfer.state()),
                      IsWhole(transfer) && !transfer.verified() ? ", unverified" : "");
}

std::string Percentage(const v1::Transfer& transfer) {
  if (transfer.bytes_total() == 0) return IsWhole(transfer) ? "100.0%" : "-";
  if (transfer.bytes_done() >= transfer.bytes_total()) return "100.0%";
  // Tenths of a percent, rounded down.
  const long double share =
      static_cast<long double>(transfer.bytes_done()) / transfer.bytes_total();
  const int tenths = static_cast<int>(share * 1'000);
  return absl::StrFormat("%d.%d%%", tenths / 10, tenths % 10);
}

std::string ProgressLine(const v1::Transfer& transfer, double read_rate) {
  std::string line = absl::StrFormat("%-11s %6s", StateText(transfer), Percentage(transfer));
  if (transfer.bytes_total() > 0) {
    absl::StrAppend(&line, "  ", HumanBytes(transfer.bytes_done()), " of ",
                    HumanBytes(transfer.bytes_total()));
  }
  const bool payload = MovesPayload(transfer);
  const double rate = payload ? static_cast<double>(transfer.rate_down()) : read_rate;
  if (rate >= 1) {
    absl::StrAppend(&line, "  ", HumanBytes(static_cast<uint64_t>(rate)), "/s");
    if (transfer.bytes_total() > transfer.bytes_done()) {
      const double left =
          static_cast<double>(transfer.bytes_total() - transfer.bytes_done()) / rate;
      absl::StrAppend(&line, "  ", HumanDuration(absl::Seconds(left)), " left");
    }
  }
  if (transfer.rate_up() > 0) {
    absl::StrAppend(&line, "  up ", HumanBytes(transfer.rate_up()), "/s");
  }
  if (payload) absl::StrAppend(&line, "  ", PeersText(transfer.peers()));
  if (!transfer.error().empty()) absl::StrAppend(&line, "  (", Printable(transfer.error()), ")");
  return line;
}

std::string CutToColumns(absl::string_view text, size_t columns) {
  size_t used = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool continues = (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80;
    if (!continues && used++ == columns) return std::string(text.substr(0, i));
  }
  return std::string(text);
}

std::string TransferTable(const std::vector<v1::Transfer>& transfers) {
  std::vector<Row> rows = {{"ID", "STATE", "DONE", "SIZE", "DOWN", "UP", "PEERS", "NAME"}};
  for (const v1::Transfer& t : transfers) {
    std::string name = Printable(t.name());
    if (!t.error().empty()) absl::StrAppend(&name, "  (", Printable(t.error()), ")");
    rows.push_back({absl::StrCat(t.id()), StateText(t), Percentage(t),
                    t.bytes_total() == 0 && !IsWhole(t) ? "-" : HumanBytes(t.bytes_total()),
                    Rate(t.rate_down()), Rate(t.rate_up()), absl::StrCat(t.peers()), name});
  }
  return Table(rows, {true, false, true, true, true, true, true, false});
}

std::string PeerTable(const std::vector<v1::Peer>& peers) {
  std::vector<Row> rows = {{"ADDRESS", "CONNECTED", "DOWN", "UP", "GOT", "GAVE", "CHUNKS", "WHAT"}};
  for (const v1::Peer& p : peers) {
    std::string what = p.original() ? "original protocol" : Printable(p.agent());
    if (!p.problem().empty()) {
      absl::StrAppend(&what, what.empty() ? "" : "  ", "(", Printable(p.problem()), ")");
    }
    rows.push_back({Printable(p.address()),
                    p.connected() ? (p.dialled() ? "by us" : "by it") : "no", Rate(p.rate_down()),
                    Rate(p.rate_up()), HumanBytes(p.bytes_down()), HumanBytes(p.bytes_up()),
                    absl::StrCat(p.chunks_have()), what});
  }
  return Table(rows, {false, false, true, true, true, true, true, false});
}

std::string TransferDetails(const v1::Transfer& t) {
  std::string out = absl::StrCat(
      Labelled("id", absl::StrCat(t.id())), Labelled("name", Printable(t.name(), kWhole)),
      Labelled("kind", KindName(t.kind())), Labelled("state", StateText(t)));
  if (!t.error().empty()) {
    absl::StrAppend(&out, Labelled(t.state() == v1::TRANSFER_STATE_ERROR ? "reason" : "waits for",
                                   Printable(t.error(), kWhole)));
  }
  absl::StrAppend(&out,
                  Labelled("done", absl::StrCat(Percentage(t), ", ", HumanBytes(t.bytes_done()),
                                                " of ", HumanBytes(t.bytes_total()))),
                  Labelled("verified", VerifiedText(t)), Labelled("down", Rate(t.rate_down())),
                  Labelled("up", Rate(t.rate_up())), Labelled("peers", absl::StrCat(t.peers())),
                  Labelled("path", Printable(t.path(), kWhole)));
  if (!t.content_id().empty()) {
    absl::StrAppend(&out, Labelled("content id", Printable(t.content_id())),
                    Labelled("magnet", Printable(t.magnet(), kWhole)));
  }
  return out;
}

std::string DaemonDetails(const v1::Daemon& d) {
  std::string out = absl::StrCat(
      Labelled("p2pd", absl::StrCat("version ", Printable(d.version()), ", running for ",
                                    HumanDuration(absl::Seconds(d.uptime_seconds())))));
  if (!d.problem().empty()) {
    absl::StrAppend(&out, Labelled("PROBLEM", Printable(d.problem(), kWhole)));
  }
  absl::StrAppend(&out, Labelled("peer id", Printable(d.peer_id())),
                  Labelled("listens on", Printable(d.listen())));
  for (const v1::Tracker& tracker : d.trackers()) {
    absl::StrAppend(&out, Labelled("tracker", absl::StrCat(Printable(tracker.address()), "  ",
                                                           Printable(tracker.state()))));
  }
  if (d.trackers().empty()) absl::StrAppend(&out, Labelled("tracker", "none"));
  const std::string device = d.download_device_type().empty()
                                 ? ""
                                 : absl::StrCat("  (", Printable(d.download_device_type()), ")");
  // One reads whole files where a second would make the disk's head go to and fro.
  const std::string readers =
      d.hash_threads() == 1 && d.worker_threads() > 1 ? ", one of them for whole files" : "";
  const v1::Totals& totals = d.totals();
  absl::StrAppend(
      &out, Labelled("transfers", absl::StrCat(totals.transfers())),
      Labelled("connections", absl::StrCat(totals.connections())),
      Labelled("down", absl::StrCat(Rate(totals.rate_down()), ", ", HumanBytes(totals.bytes_down()),
                                    " since the start")),
      Labelled("up", absl::StrCat(Rate(totals.rate_up()), ", ", HumanBytes(totals.bytes_up()),
                                  " since the start")),
      Labelled("state", Printable(d.state_dir(), kWhole)),
      Labelled("downloads", absl::StrCat(Printable(d.download_dir(), kWhole), device)),
      Labelled("unverified", d.allow_unverified() ? "downloads may be" : "refused"),
      Labelled("threads", absl::StrCat(d.io_threads(), " for the network, ", d.worker_threads(),
                                       " for disk and hashing", readers)),
      Labelled("hashing by", Printable(d.hash_implementation())),
      Labelled("TCP", Printable(d.congestion_control())));
  return out;
}

std::string ShareSummary(const v1::Transfer& t) {
  return absl::StrCat(Labelled("name", Printable(t.name(), kWhole)),
                      Labelled("content id", Printable(t.content_id())),
                      Labelled("magnet", Printable(t.magnet(), kWhole)));
}

std::string TargetLine(const v1::Transfer& t) {
  return t.placed() ? Labelled("to", Printable(t.path(), kWhole)) : "";
}

std::string DownloadSummary(const v1::Transfer& t) {
  std::string out = absl::StrCat(Labelled("name", Printable(t.name(), kWhole)),
                                 Labelled("file", Printable(t.path(), kWhole)),
                                 Labelled("verified", VerifiedText(t)));
  if (!t.content_id().empty()) {
    absl::StrAppend(&out, Labelled("content id", Printable(t.content_id())));
  }
  return out;
}

}  // namespace p2p::ctl

// What people read: tables, labelled lines and the live line. Everything that came from outside is
// made printable here. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "proto/control.pb.h"

namespace p2p::ctl {

// "hashing", ...; "share" or "download". As promised to scripts; "unknown" for a value of a newer
// daemon.
const char* StateName(v1::TransferState state);
const char* KindName(v1::TransferKind kind);

// The state for people: says so where a whole transfer is not verified.
std::string StateText(const v1::Transfer& transfer);
// "42.1%"; never "100.0%" before the last byte; "-" while the size is not known.
std::string Percentage(const v1::Transfer& transfer);

// Percentage, bytes, rate, time left, peers, and what it waits for, in one line. `read_rate`: how
// fast bytes_done grows in bytes a second, for states in which no payload moves; 0 if not known.
std::string ProgressLine(const v1::Transfer& transfer, double read_rate);

// `text` cut to `columns` characters of a terminal.
std::string CutToColumns(absl::string_view text, size_t columns);

// Whole lines, each with its end.
std::string TransferTable(const std::vector<v1::Transfer>& transfers);
std::string PeerTable(const std::vector<v1::Peer>& peers);
std::string TransferDetails(const v1::Transfer& transfer);
std::string DaemonDetails(const v1::Daemon& daemon);
// What `share` ends with: name, content id and magnet link on lines of their own.
std::string ShareSummary(const v1::Transfer& transfer);
// What `get` says as soon as it is known: where the file will be; "" before.
std::string TargetLine(const v1::Transfer& transfer);
// What `get` ends with: where the file is and whether it was verified.
std::string DownloadSummary(const v1::Transfer& transfer);

}  // namespace p2p::ctl

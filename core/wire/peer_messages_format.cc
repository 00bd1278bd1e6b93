// Values -> lines; peer_messages.cc has the reverse.
#include "absl/strings/str_cat.h"
#include "core/base/text.h"
#include "core/wire/error_line.h"
#include "core/wire/peer_messages.h"

namespace p2p::wire::peer {
namespace {

std::string WithReason(absl::string_view start, int code, absl::string_view reason) {
  return absl::StrCat(start, " ", code, " ", Printable(reason, kMaxReasonBytes), "\n");
}

std::string FormatRun(absl::string_view verb, ChunkIndex first, uint32_t count) {
  return absl::StrCat(verb, " ", first.value(), " ", count, "\n");
}

std::string WithPart(absl::string_view verb, const ChunkPart& part) {
  return absl::StrCat(verb, " ", part.chunk.value(), " ", part.first_leaf, " ", part.leaf_count);
}

}  // namespace

std::string Format(const Hello& message) {
  return absl::StrCat("HELLO ", message.version, " id=", message.peer_id.Hex(),
                      " port=", message.listen_port, message.leaves ? " leaves" : "",
                      message.you ? " you=" + message.you->ToString() : "",
                      message.agent.empty() ? "" : " agent=", message.agent, "\n");
}
std::string Format(const Open& message) {
  return absl::StrCat("OPEN ", message.content_id.Hex(), "\n");
}
std::string Format(const Opened& message) {
  return absl::StrCat("OPENED ", message.chunk_count, "\n");
}
std::string Format(const Refused& message) {
  return WithReason("REFUSED", message.code, message.reason);
}
std::string Format(const Which& message) { return absl::StrCat("WHICH ", message.name, "\n"); }

std::string Format(const Contents& message) {
  std::string line = "CONTENTS";
  for (const ContentId& id : message.content_ids) absl::StrAppend(&line, " ", id.Hex());
  return line + "\n";
}

std::string Format(const GetManifest& message) {
  return absl::StrCat("GET-MANIFEST ", message.max_hashes, "\n");
}
std::string Format(const Manifest& message) {
  return absl::StrCat("MANIFEST ", message.total_bytes, " ", message.first, " +",
                      message.payload_bytes, "\n");
}
std::string Format(const NoManifest& message) {
  return WithReason("NO-MANIFEST", message.code, message.reason);
}
std::string Format(const GetHashes& message) {
  return absl::StrCat("GET-HASHES ", message.file.value(), " ", message.first, "\n");
}
std::string Format(const Hashes& message) {
  return absl::StrCat("HASHES ", message.file.value(), " ", message.first, " ", message.count, " ",
                      message.proof_count, " +", message.payload_bytes(), "\n");
}
std::string Format(const NoHashes& message) {
  return WithReason(absl::StrCat("NO-HASHES ", message.file.value(), " ", message.first),
                    message.code, message.reason);
}
std::string Format(const Subscribe&) { return "SUBSCRIBE\n"; }
std::string Format(const Have& message) { return FormatRun("HAVE", message.first, message.count); }
std::string Format(const Lost& message) { return FormatRun("LOST", message.first, message.count); }
std::string Format(const HaveBits& message) {
  return absl::StrCat("HAVE-BITS ", message.first.value(), " +", message.payload_bytes, "\n");
}
std::string Format(const Request& message) {
  return FormatRun("REQUEST", message.first, message.count);
}
std::string Format(const Cancel& message) {
  return FormatRun("CANCEL", message.first, message.count);
}
std::string Format(const Chunk& message) {
  return absl::StrCat("CHUNK ", message.chunk.value(), " +", message.payload_bytes, "\n");
}
std::string Format(const Reject& message) {
  return FormatRejects(message.chunk, 1, message.code, message.reason);
}
std::string FormatRejects(ChunkIndex first, uint32_t count, int code, absl::string_view reason) {
  const std::string rest = WithReason("", code, reason);
  std::string lines;
  for (uint32_t i = 0; i < count; ++i) absl::StrAppend(&lines, "REJECT ", first.value() + i, rest);
  return lines;
}
std::string Format(const HaveLeaves& message) {
  return absl::StrCat(WithPart("HAVE-LEAVES", message.part), "\n");
}
std::string Format(const RequestLeaves& message) {
  return absl::StrCat(WithPart("REQUEST-LEAVES", message.part), "\n");
}
std::string Format(const CancelLeaves& message) {
  return absl::StrCat(WithPart("CANCEL-LEAVES", message.part), "\n");
}

std::string Format(const Leaves& message) {
  return absl::StrCat(WithPart("LEAVES", message.part), " ", message.proof_count, " +",
                      message.payload_bytes, "\n");
}
std::string Format(const RejectLeaves& message) {
  return WithReason(WithPart("REJECT-LEAVES", message.part), message.code, message.reason);
}
std::string Format(const GetPeers&) { return "GET-PEERS\n"; }

std::string Format(const Peers& message) {
  return absl::StrCat("PEERS +", message.payload_bytes, "\n");
}
std::string Format(const Ping&) { return "PING\n"; }
std::string Format(const Pong&) { return "PONG\n"; }
std::string Format(const Error& message) { return FormatError(message.code, message.reason); }

}  // namespace p2p::wire::peer

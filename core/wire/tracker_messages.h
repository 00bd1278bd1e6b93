// Every request line to a tracker and every answer of one: bytes <-> values, used by both sides
// (docs/protocol.md, "Tracker"). Pure: views point into the line that was parsed; any thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "absl/types/variant.h"
#include "core/base/ids.h"
#include "core/wire/error_line.h"
#include "core/wire/peer_address.h"

namespace p2p::wire {

// --- Requests

struct HelloRequest {};  // no feature word of a client means anything to a tracker yet
// REGISTER; with a content id ANNOUNCE, or JOIN of a peer that is not whole yet. Of these the name
// is the payload (TakePayload).
struct RegisterRequest {
  absl::string_view name;
  ByteCount size;
  absl::optional<ContentId> content_id;
  bool partial = false;  // JOIN
  PeerAddress address;
};
struct UnregisterRequest {
  PeerAddress address;
};
struct WithdrawRequest {
  ContentId content_id;
  PeerAddress address;
};
// Of everything that the address has registered.
struct RenewRequest {
  uint64_t count = 0;  // of registrations, as the peer counts them
  PeerAddress address;
};
struct LookupRequest {
  absl::string_view name;
};
struct FindRequest {
  absl::string_view name;
};
struct PeersRequest {
  ContentId content_id;
};
struct StatsRequest {};

using TrackerRequest =
    absl::variant<HelloRequest, RegisterRequest, UnregisterRequest, WithdrawRequest, RenewRequest,
                  LookupRequest, FindRequest, PeersRequest, StatsRequest>;

// Why a line is no request.
struct RequestFault {
  enum class Kind {
    kMalformed,
    kUnknownVerb,
    kForeign,  // HTTP or noise: whoever sends it does not speak this protocol at all
    kHello,    // HELLO, malformed or of another version: our own is said before the error
  };
  Kind kind = Kind::kMalformed;
  WireError error;
};

// nullopt and the request, or the fault. Names are checked by the rules for names, sizes and
// addresses for their form and range; who may register which address is the tracker's policy.
absl::optional<RequestFault> ParseTrackerRequest(absl::string_view line, TrackerRequest* request);
// Whether the request, well-formed or not, is of a verb that has a payload: PayloadBytes(line).
bool HasPayload(absl::string_view line);
// The payload of such a request, which is then whole. Views point into it.
absl::optional<RequestFault> TakePayload(absl::string_view payload, TrackerRequest* request);

// Lines with their LF, and payload. Names must have passed CheckName.
std::string FormatHelloRequest();
std::string FormatRegister(absl::string_view name, ByteCount size,
                           const absl::optional<ContentId>& content_id, bool partial,
                           absl::string_view address);
std::string FormatUnregister(absl::string_view address);
std::string FormatWithdraw(const ContentId& content_id, absl::string_view address);
std::string FormatRenew(uint64_t count, absl::string_view address);
std::string FormatLookup(absl::string_view name);
std::string FormatFind(absl::string_view name);
std::string FormatPeers(const ContentId& content_id);
std::string FormatStatsRequest();

// --- Answers

// The peers of one version of a name.
struct PeerList {
  ByteCount size;  // of the content
  std::vector<PeerAddress> peers;
};
struct FoundVersion {
  absl::optional<ContentId> content_id;  // none: registered through the original protocol
  PeerList list;
};
// "FOUND <versions> +<n>": n payload bytes follow.
struct FoundHeader {
  size_t versions = 0;
  size_t payload_bytes = 0;
};

// Each Append adds to `out` what the Format of its name returns.
//
// "HELLO 3 agent=<agent> you=<address>"; without `you` it is not told.
std::string FormatHelloAnswer(absl::string_view agent, const absl::optional<PeerAddress>& you);
struct HelloAnswer {
  uint32_t version = 0;
  absl::optional<PeerAddress> you;  // under which the tracker sees this side
};
// nullopt: it is none.
absl::optional<HelloAnswer> ParseHelloAnswer(absl::string_view line);

// "OK <number>": the ttl in seconds, or how many registrations were removed.
std::string FormatOk(uint64_t number);
void AppendOk(uint64_t number, std::string* out);
absl::StatusOr<uint64_t> ParseOk(absl::string_view line);

// "OK <size> <count> <address>...", of LOOKUP. When parsed, at most limits::kMaxPeersPerAnswer
// addresses are kept and what is no literal address is left out, but a count that does not match
// refuses the answer.
std::string FormatPeerList(const PeerList& list);
void AppendPeerList(const PeerList& list, std::string* out);
absl::StatusOr<PeerList> ParsePeerList(absl::string_view line);

// "OK <name>=<value>...": figures about the tracker. Names and values have no space; when parsed,
// words without "=" are left out.
using Figures = std::vector<std::pair<std::string, std::string>>;
std::string FormatStats(const Figures& figures);
absl::StatusOr<Figures> ParseStats(absl::string_view line);

// The header line and its payload, one line a version: of FIND, and of PEERS with one version at
// most.
std::string FormatFound(absl::Span<const FoundVersion> versions);
absl::StatusOr<FoundHeader> ParseFoundHeader(absl::string_view line);
absl::StatusOr<std::vector<FoundVersion>> ParseFoundPayload(const FoundHeader& header,
                                                            absl::string_view payload);

}  // namespace p2p::wire

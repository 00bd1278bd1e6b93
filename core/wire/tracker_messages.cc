#include "core/wire/tracker_messages.h"

#include <cstddef>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/limits.h"
#include "core/base/names.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "core/wire/address_list.h"
#include "core/wire/fields.h"
#include "core/wire/protocol_version.h"

namespace p2p::wire {
namespace {

using Fault = absl::optional<RequestFault>;

Fault Malformed(int code, absl::string_view text) {
  return RequestFault{RequestFault::Kind::kMalformed, {code, std::string(text)}};
}

Fault Missing(absl::string_view field) {
  return Malformed(400, absl::StrCat(field, " is missing"));
}

// --- Fields: each judges one word and fills `out`

Fault ReadName(absl::string_view text, absl::string_view* out) {
  if (text.empty()) return Missing("filename");
  const absl::Status name = CheckName(text);
  if (!name.ok()) {
    // Status messages of CheckName hold nothing of the name itself.
    return Malformed(422, absl::StrCat("file", name.message()));
  }
  *out = text;
  return absl::nullopt;
}

Fault ReadSize(absl::string_view text, ByteCount* out) {
  const absl::optional<uint64_t> size = ParseDecimal(text, limits::kMaxFileBytes);
  if (!size.has_value()) {
    return Malformed(422, "filesize must be a plain decimal number of bytes, at most 2^50");
  }
  *out = ByteCount(*size);
  return absl::nullopt;
}

Fault ReadAddress(absl::string_view text, PeerAddress* out) {
  if (text.empty()) return Missing("peer_address");
  const absl::optional<PeerAddress> address = PeerAddress::Parse(text);
  if (!address.has_value()) {
    return Malformed(403,
                     "peer_address must be a literal address and a port from 1 to 65535, such as "
                     "192.0.2.7:9001 or [2001:db8::7]:9001");
  }
  *out = *address;
  return absl::nullopt;
}

// With parts behind it, which mean nothing here.
Fault ReadExtendedAddress(absl::string_view text, PeerAddress* out) {
  if (text.size() > limits::kMaxAddressBytes) return Malformed(403, "peer_address is too long");
  return ReadAddress(text.substr(0, text.find(';')), out);
}

Fault ReadContentId(absl::string_view text, ContentId* out) {
  if (text.empty()) return Missing("content_id");
  absl::StatusOr<ContentId> id = ContentIdFromHex(text);
  if (!id.ok()) return Malformed(422, "content_id must be 64 hexadecimal digits");
  *out = *id;
  return absl::nullopt;
}

// --- Verbs: each takes what follows its verb

Fault ReadHello(absl::string_view rest, TrackerRequest* request) {
  const absl::optional<uint64_t> version = ParseDecimal(TakeFirstWord(&rest), limits::kMaxNumber);
  if (!version.has_value()) {
    return RequestFault{RequestFault::Kind::kHello, {400, "HELLO wants a protocol version"}};
  }
  if (*version < kProtocolVersion) {
    return RequestFault{RequestFault::Kind::kHello, {426, kWrongVersionText}};
  }
  *request = HelloRequest{};
  return absl::nullopt;
}

Fault ReadRegister(absl::string_view rest, TrackerRequest* request) {
  RegisterRequest out;
  const absl::string_view address = TakeLastWord(&rest);
  if (address.empty()) return Missing("peer_address");
  const absl::string_view size = TakeLastWord(&rest);
  // Names take any number of words, so a surplus word shows only by the address standing too early.
  if (!PeerAddress::Parse(address).has_value() && PeerAddress::Parse(size).has_value()) {
    return Malformed(400, "there is a word after peer_address");
  }
  if (rest.empty()) return Missing("filename, filesize or peer_address");
  if (Fault fault = ReadName(rest, &out.name)) return fault;
  if (Fault fault = ReadSize(size, &out.size)) return fault;
  if (Fault fault = ReadAddress(address, &out.address)) return fault;
  *request = out;
  return absl::nullopt;
}

// ANNOUNCE and JOIN.
Fault ReadAnnounce(bool partial, absl::string_view rest, TrackerRequest* request) {
  RegisterRequest out;
  out.partial = partial;
  const absl::optional<size_t> name_bytes = PayloadBytes(rest);
  if (!name_bytes.has_value()) return Malformed(400, "the name belongs behind the line: +<n>");
  TakeLastWord(&rest);
  if (Fault fault = ReadSize(TakeFirstWord(&rest), &out.size)) return fault;
  out.content_id.emplace();
  if (Fault fault = ReadContentId(TakeFirstWord(&rest), &*out.content_id)) return fault;
  if (Fault fault = ReadExtendedAddress(TakeFirstWord(&rest), &out.address)) return fault;
  if (*name_bytes == 0 || *name_bytes > limits::kMaxNameBytes) {
    return Malformed(422, "the name must have 1 to 1024 bytes");
  }
  *request = out;
  return absl::nullopt;
}

Fault ReadUnregister(absl::string_view rest, TrackerRequest* request) {
  UnregisterRequest out;
  if (Fault fault = ReadAddress(TakeFirstWord(&rest), &out.address)) return fault;
  if (!rest.empty()) return Malformed(400, "there is a word after peer_address");
  *request = out;
  return absl::nullopt;
}

Fault ReadWithdraw(absl::string_view rest, TrackerRequest* request) {
  WithdrawRequest out;
  if (Fault fault = ReadContentId(TakeFirstWord(&rest), &out.content_id)) return fault;
  if (Fault fault = ReadExtendedAddress(TakeFirstWord(&rest), &out.address)) return fault;
  *request = out;
  return absl::nullopt;
}

Fault ReadRenew(absl::string_view rest, TrackerRequest* request) {
  RenewRequest out;
  const absl::string_view word = TakeFirstWord(&rest);
  if (word.empty()) return Missing("count");
  const absl::optional<uint64_t> count = ParseDecimal(word, limits::kMaxNumber);
  if (!count.has_value()) {
    return Malformed(422, "count must be a plain decimal number of registrations");
  }
  out.count = *count;
  if (Fault fault = ReadExtendedAddress(TakeFirstWord(&rest), &out.address)) return fault;
  *request = out;
  return absl::nullopt;
}

template <typename Request>
Fault ReadNameOnly(absl::string_view rest, TrackerRequest* request) {
  Request out;
  if (Fault fault = ReadName(rest, &out.name)) return fault;
  *request = out;
  return absl::nullopt;
}

Fault ReadPeers(absl::string_view rest, TrackerRequest* request) {
  PeersRequest out;
  if (Fault fault = ReadContentId(TakeFirstWord(&rest), &out.content_id)) return fault;
  *request = out;
  return absl::nullopt;
}

// A verb that is not ours: a later version of this protocol, a typing error, or another protocol
// altogether.
Fault UnknownVerb(absl::string_view verb, absl::string_view line) {
  if (IsForeign(line)) {
    return RequestFault{RequestFault::Kind::kForeign,
                        {400, "this port speaks the p2p tracker protocol, plain text"}};
  }
  if (line.empty()) return Malformed(400, "the line is empty");
  if (verb.empty()) return Malformed(400, "the line starts with a space; a verb was expected");
  return RequestFault{
      RequestFault::Kind::kUnknownVerb,
      {400, "unknown verb; the verbs are REGISTER, LOOKUP, UNREGISTER (in capital letters)"}};
}

// Of a version: the id, size, count and LF with their spaces fit what is more than the addresses.
constexpr size_t kMaxFoundLineBytes = limits::kMaxAddressListBytes + 256;

absl::Status Bad(absl::string_view text) { return absl::InvalidArgumentError(text); }

// "<size> <count> <address>...": the words from `at` on.
absl::StatusOr<PeerList> ReadPeerList(absl::string_view rest) {
  PeerList list;
  const absl::optional<uint64_t> size = ParseDecimal(TakeFirstWord(&rest), limits::kMaxFileBytes);
  if (!size.has_value()) return Bad("the size in it is not a number up to 2^50");
  list.size = ByteCount(*size);
  const absl::optional<uint64_t> count = ParseDecimal(TakeFirstWord(&rest), limits::kMaxNumber);
  AddressList addresses = ParseAddressList(rest);
  if (count != addresses.count) {
    return Bad("the count in it is not the number of addresses that follow");
  }
  list.peers = std::move(addresses.addresses);
  return list;
}

void AppendList(const PeerList& list, std::string* out) {
  absl::StrAppend(out, list.size.value(), " ", list.peers.size());
  // Few appends: this is most of what a tracker does.
  char text[1'024];
  char* end = text;
  for (const PeerAddress& peer : list.peers) {
    if (std::end(text) - end < static_cast<ptrdiff_t>(PeerAddress::kMaxTextBytes) + 2) {
      out->append(text, end);
      end = text;
    }
    *end++ = ' ';
    end = peer.WriteTo(end);
  }
  *end++ = '\n';
  out->append(text, end);
}

}  // namespace

absl::optional<RequestFault> ParseTrackerRequest(absl::string_view line, TrackerRequest* request) {
  absl::string_view rest = line;
  const absl::string_view verb = TakeFirstWord(&rest);
  if (verb == "HELLO") return ReadHello(rest, request);
  if (verb == "REGISTER") return ReadRegister(rest, request);
  if (verb == "ANNOUNCE" || verb == "JOIN") return ReadAnnounce(verb == "JOIN", rest, request);
  if (verb == "UNREGISTER") return ReadUnregister(rest, request);
  if (verb == "WITHDRAW") return ReadWithdraw(rest, request);
  if (verb == "RENEW") return ReadRenew(rest, request);
  if (verb == "LOOKUP") return ReadNameOnly<LookupRequest>(rest, request);
  if (verb == "FIND") return ReadNameOnly<FindRequest>(rest, request);
  if (verb == "PEERS") return ReadPeers(rest, request);
  if (verb == "STATS") {
    *request = StatsRequest{};
    return absl::nullopt;
  }
  return UnknownVerb(verb, line);
}

bool HasPayload(absl::string_view line) {
  const absl::string_view verb = TakeFirstWord(&line);
  return verb == "ANNOUNCE" || verb == "JOIN";
}

absl::optional<RequestFault> TakePayload(absl::string_view payload, TrackerRequest* request) {
  return ReadName(payload, &absl::get<RegisterRequest>(*request).name);
}

std::string FormatHelloRequest() { return absl::StrCat("HELLO ", kProtocolVersion, "\n"); }

std::string FormatRegister(absl::string_view name, ByteCount size,
                           const absl::optional<ContentId>& content_id, bool partial,
                           absl::string_view address) {
  if (!content_id.has_value()) {
    return absl::StrCat("REGISTER ", name, " ", size.value(), " ", address, "\n");
  }
  return absl::StrCat(partial ? "JOIN " : "ANNOUNCE ", size.value(), " ", content_id->Hex(), " ",
                      address, " +", name.size(), "\n", name);
}

std::string FormatUnregister(absl::string_view address) {
  return absl::StrCat("UNREGISTER ", address, "\n");
}

std::string FormatWithdraw(const ContentId& content_id, absl::string_view address) {
  return absl::StrCat("WITHDRAW ", content_id.Hex(), " ", address, "\n");
}

std::string FormatRenew(uint64_t count, absl::string_view address) {
  return absl::StrCat("RENEW ", count, " ", address, "\n");
}

std::string FormatLookup(absl::string_view name) { return absl::StrCat("LOOKUP ", name, "\n"); }

std::string FormatFind(absl::string_view name) { return absl::StrCat("FIND ", name, "\n"); }

std::string FormatPeers(const ContentId& content_id) {
  return absl::StrCat("PEERS ", content_id.Hex(), "\n");
}

std::string FormatStatsRequest() { return "STATS\n"; }

std::string FormatHelloAnswer(absl::string_view agent, const absl::optional<PeerAddress>& you) {
  return absl::StrCat("HELLO ", kProtocolVersion, " agent=", agent,
                      you.has_value() ? " you=" + you->ToString() : "", "\n");
}

absl::optional<HelloAnswer> ParseHelloAnswer(absl::string_view line) {
  if (TakeFirstWord(&line) != "HELLO") return absl::nullopt;
  const absl::optional<uint64_t> version = ParseDecimal(TakeFirstWord(&line), limits::kMaxNumber);
  if (!version.has_value()) return absl::nullopt;
  HelloAnswer answer;
  answer.version = static_cast<uint32_t>(*version);
  for (absl::string_view word : absl::StrSplit(line, ' ', absl::SkipEmpty())) {
    if (absl::ConsumePrefix(&word, "you=")) answer.you = ParseExtendedAddress(word);
  }
  return answer;
}

std::string FormatOk(uint64_t number) {
  std::string out;
  AppendOk(number, &out);
  return out;
}

void AppendOk(uint64_t number, std::string* out) { absl::StrAppend(out, "OK ", number, "\n"); }

absl::StatusOr<uint64_t> ParseOk(absl::string_view line) {
  if (!absl::ConsumePrefix(&line, "OK ")) return Bad("it does not start with OK");
  const auto number = ParseDecimal(TakeFirstWord(&line), limits::kMaxFileBytes);
  if (!number.has_value()) return Bad("the number in it is not a plain decimal one");
  return *number;
}

std::string FormatPeerList(const PeerList& list) {
  std::string out;
  AppendPeerList(list, &out);
  return out;
}

void AppendPeerList(const PeerList& list, std::string* out) {
  out->append("OK ");
  AppendList(list, out);
}

absl::StatusOr<PeerList> ParsePeerList(absl::string_view line) {
  if (!absl::ConsumePrefix(&line, "OK ")) return Bad("it does not start with OK");
  return ReadPeerList(line);
}

std::string FormatStats(const Figures& figures) {
  std::string out = "OK";
  for (const auto& [name, value] : figures) absl::StrAppend(&out, " ", name, "=", value);
  out.push_back('\n');
  return out;
}

absl::StatusOr<Figures> ParseStats(absl::string_view line) {
  if (!absl::ConsumePrefix(&line, "OK")) return Bad("it does not start with OK");
  Figures figures;
  for (absl::string_view word : absl::StrSplit(line, ' ', absl::SkipEmpty())) {
    const size_t equals = word.find('=');
    if (equals == absl::string_view::npos) continue;
    figures.emplace_back(word.substr(0, equals), word.substr(equals + 1));
  }
  return figures;
}

std::string FormatFound(absl::Span<const FoundVersion> versions) {
  std::string payload;
  for (const FoundVersion& version : versions) {
    absl::StrAppend(&payload, version.content_id.has_value() ? version.content_id->Hex() : "-",
                    " ");
    AppendList(version.list, &payload);
  }
  return absl::StrCat("FOUND ", versions.size(), " +", payload.size(), "\n", payload);
}

absl::StatusOr<FoundHeader> ParseFoundHeader(absl::string_view line) {
  const absl::optional<size_t> payload_bytes = PayloadBytes(line);
  if (!absl::ConsumePrefix(&line, "FOUND ") || !payload_bytes.has_value()) {
    return Bad("it is not FOUND with the size of its payload");
  }
  const auto versions = ParseDecimal(TakeFirstWord(&line), limits::kMaxVersionsPerAnswer);
  if (!versions.has_value()) return Bad("the number of versions in it is not 0 to 16");
  if (*payload_bytes > *versions * kMaxFoundLineBytes) {
    return Bad("its payload is larger than its versions can need");
  }
  return FoundHeader{static_cast<size_t>(*versions), *payload_bytes};
}

absl::StatusOr<std::vector<FoundVersion>> ParseFoundPayload(const FoundHeader& header,
                                                            absl::string_view payload) {
  std::vector<FoundVersion> versions;
  while (!payload.empty()) {
    const size_t end = payload.find('\n');
    if (end == absl::string_view::npos) return Bad("the last line of its payload has no end");
    absl::string_view line = payload.substr(0, end);
    payload.remove_prefix(end + 1);
    if (versions.size() == header.versions) return Bad("it has more versions than it says");
    FoundVersion version;
    const absl::string_view id = TakeFirstWord(&line);
    if (id != "-") {
      P2P_ASSIGN_OR_RETURN(version.content_id, ContentIdFromHex(id));
    }
    P2P_ASSIGN_OR_RETURN(version.list, ReadPeerList(line));
    versions.push_back(std::move(version));
  }
  if (versions.size() != header.versions) return Bad("it has fewer versions than it says");
  return versions;
}

}  // namespace p2p::wire

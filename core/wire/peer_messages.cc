#include "core/wire/peer_messages.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/types/optional.h"
#include "core/base/limits.h"
#include "core/base/names.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "core/wire/address_list.h"
#include "core/wire/error_line.h"
#include "core/wire/fields.h"

namespace p2p::wire::peer {
namespace {

constexpr size_t kMaxAgentBytes = 64;
constexpr size_t kMaxVerbBytes = 32;

// The words of a line, taken from the left; a payload mark from the right.
class Fields {
 public:
  explicit Fields(absl::string_view rest) : rest_(rest) {}

  // The next word; "" when there is none.
  absl::string_view Word() { return TakeFirstWord(&rest_); }
  absl::string_view Rest() const { return rest_; }

  absl::Status Number(const char* field, uint64_t max, uint32_t* number) {
    const absl::optional<uint64_t> value = ParseDecimal(Word(), max);
    if (!value) return Wrong(field);
    *number = static_cast<uint32_t>(*value);
    return absl::OkStatus();
  }

  absl::Status Id(const char* field, Hash256* hash) {
    absl::StatusOr<Hash256> parsed = Hash256::FromHex(Word());
    if (!parsed.ok()) return Wrong(field);
    *hash = *parsed;
    return absl::OkStatus();
  }

  // "<code> <text>" at the line's end.
  absl::Status Reason(int* code, std::string* reason) {
    const absl::optional<uint64_t> value = ParseDecimal(Word(), 999);
    if (!value || *value < 100) return Wrong("code");
    *code = static_cast<int>(*value);
    *reason = Printable(Rest(), kMaxReasonBytes);
    return absl::OkStatus();
  }

  // The "+<n>" that ends the line.
  absl::Status Payload(uint64_t max, uint32_t* payload_bytes) {
    const absl::optional<size_t> bytes = PayloadBytes(rest_);
    if (!bytes || *bytes > max) return Wrong("payload length");
    *payload_bytes = static_cast<uint32_t>(*bytes);
    TakeLastWord(&rest_);
    return absl::OkStatus();
  }

  static absl::Status Wrong(absl::string_view field) {
    return absl::InvalidArgumentError(absl::StrCat("wrong or missing field: ", field));
  }

 private:
  absl::string_view rest_;
};

// A run of chunks: not empty, and within the chunk numbers.
absl::Status Run(Fields* fields, ChunkIndex* first, uint32_t* count) {
  uint32_t number = 0;
  P2P_RETURN_IF_ERROR(fields->Number("first", kMaxChunkCount - 1, &number));
  P2P_RETURN_IF_ERROR(fields->Number("count", kMaxChunkCount - number, count));
  if (*count == 0) return Fields::Wrong("count");
  *first = ChunkIndex(number);
  return absl::OkStatus();
}

absl::Status ChunkField(Fields* fields, ChunkIndex* chunk) {
  uint32_t number = 0;
  P2P_RETURN_IF_ERROR(fields->Number("index", kMaxChunkCount - 1, &number));
  *chunk = ChunkIndex(number);
  return absl::OkStatus();
}

// Some leaves of one chunk: not none, and within the leaves of a whole chunk.
absl::Status LeavesField(Fields* fields, ChunkPart* part) {
  P2P_RETURN_IF_ERROR(ChunkField(fields, &part->chunk));
  P2P_RETURN_IF_ERROR(fields->Number("first leaf", limits::kLeavesPerChunk - 1, &part->first_leaf));
  P2P_RETURN_IF_ERROR(
      fields->Number("leaf count", limits::kLeavesPerChunk - part->first_leaf, &part->leaf_count));
  return part->leaf_count == 0 ? Fields::Wrong("leaf count") : absl::OkStatus();
}

// Leaves that are asked for and answered together: those below one node of a chunk's tree.
absl::Status RangeField(Fields* fields, ChunkPart* part) {
  P2P_RETURN_IF_ERROR(LeavesField(fields, part));
  const uint32_t count = part->leaf_count;
  const bool power_of_two = (count & (count - 1)) == 0;
  if (!power_of_two || count > kMaxRequestLeaves) return Fields::Wrong("leaf count");
  return part->first_leaf % count == 0 ? absl::OkStatus() : Fields::Wrong("first leaf");
}

absl::Status FileField(Fields* fields, FileIndex* file) {
  uint32_t number = 0;
  P2P_RETURN_IF_ERROR(fields->Number("file", limits::kMaxFiles - 1, &number));
  *file = FileIndex(number);
  return absl::OkStatus();
}

absl::Status Read(Fields* fields, Hello* message) {
  P2P_RETURN_IF_ERROR(fields->Number("version", limits::kMaxNumber, &message->version));
  if (message->version < kProtocolVersion) return absl::OkStatus();
  bool has_id = false;
  for (absl::string_view word = fields->Word(); !word.empty(); word = fields->Word()) {
    if (absl::ConsumePrefix(&word, "id=")) {
      absl::StatusOr<Hash256> id = Hash256::FromHex(word);
      if (!id.ok()) return Fields::Wrong("id");
      message->peer_id = PeerId{*id};
      has_id = true;
    } else if (absl::ConsumePrefix(&word, "port=")) {
      const absl::optional<uint64_t> port = ParseDecimal(word, 65'535);
      if (!port) return Fields::Wrong("port");
      message->listen_port = static_cast<uint16_t>(*port);
    } else if (absl::ConsumePrefix(&word, "agent=")) {
      message->agent = Printable(word, kMaxAgentBytes);
    } else if (absl::ConsumePrefix(&word, "you=")) {
      message->you = ParseExtendedAddress(word);
    } else if (word == "leaves") {
      message->leaves = true;
    }
  }
  return has_id ? absl::OkStatus() : Fields::Wrong("id");
}

absl::Status Read(Fields* fields, Open* message) {
  return fields->Id("content id", &message->content_id.hash);
}
absl::Status Read(Fields* fields, Opened* message) {
  return fields->Number("chunk count", kMaxChunkCount, &message->chunk_count);
}
absl::Status Read(Fields* fields, Refused* message) {
  return fields->Reason(&message->code, &message->reason);
}
absl::Status Read(Fields* fields, Which* message) {
  message->name = std::string(fields->Rest());
  return CheckName(message->name);
}

absl::Status Read(Fields* fields, Contents* message) {
  for (absl::string_view word = fields->Word(); !word.empty(); word = fields->Word()) {
    absl::StatusOr<ContentId> id = ContentIdFromHex(word);
    if (!id.ok()) return Fields::Wrong("content id");
    if (message->content_ids.size() == kMaxContents) return Fields::Wrong("content ids: too many");
    message->content_ids.push_back(*id);
  }
  return absl::OkStatus();
}

absl::Status Read(Fields* fields, GetManifest* message) {
  return fields->Number("max hashes", limits::kMaxNumber, &message->max_hashes);
}

absl::Status Read(Fields* fields, Manifest* message) {
  P2P_RETURN_IF_ERROR(fields->Payload(limits::kMaxManifestPartBytes, &message->payload_bytes));
  P2P_RETURN_IF_ERROR(fields->Number("size", limits::kMaxManifestBytes, &message->total_bytes));
  P2P_RETURN_IF_ERROR(fields->Number("first", message->total_bytes, &message->first));
  const uint32_t most = message->total_bytes - message->first;
  return message->payload_bytes > 0 && message->payload_bytes <= most
             ? absl::OkStatus()
             : Fields::Wrong("payload length");
}

absl::Status Read(Fields* fields, NoManifest* message) {
  return fields->Reason(&message->code, &message->reason);
}

absl::Status Read(Fields* fields, GetHashes* message) {
  P2P_RETURN_IF_ERROR(FileField(fields, &message->file));
  return fields->Number("first", kMaxChunkCount - 1, &message->first);
}

absl::Status Read(Fields* fields, Hashes* message) {
  uint32_t payload_bytes = 0;
  constexpr uint64_t kMost = 32 * (limits::kMaxHashesPerMessage + kMaxProofHashes);
  P2P_RETURN_IF_ERROR(fields->Payload(kMost, &payload_bytes));
  P2P_RETURN_IF_ERROR(FileField(fields, &message->file));
  P2P_RETURN_IF_ERROR(fields->Number("first", kMaxChunkCount - 1, &message->first));
  P2P_RETURN_IF_ERROR(fields->Number("count", limits::kMaxHashesPerMessage, &message->count));
  P2P_RETURN_IF_ERROR(fields->Number("proof count", kMaxProofHashes, &message->proof_count));
  if (message->count == 0) return Fields::Wrong("count");
  return payload_bytes == message->payload_bytes() ? absl::OkStatus()
                                                   : Fields::Wrong("payload length");
}

absl::Status Read(Fields* fields, NoHashes* message) {
  P2P_RETURN_IF_ERROR(FileField(fields, &message->file));
  P2P_RETURN_IF_ERROR(fields->Number("first", kMaxChunkCount - 1, &message->first));
  return fields->Reason(&message->code, &message->reason);
}

absl::Status Read(Fields* fields, Have* message) {
  return Run(fields, &message->first, &message->count);
}
absl::Status Read(Fields* fields, Lost* message) {
  return Run(fields, &message->first, &message->count);
}

absl::Status Read(Fields* fields, HaveBits* message) {
  P2P_RETURN_IF_ERROR(fields->Payload(limits::kMaxHaveBitsBytes, &message->payload_bytes));
  P2P_RETURN_IF_ERROR(ChunkField(fields, &message->first));
  if (message->payload_bytes == 0) return Fields::Wrong("payload length");
  return message->first.value() % 8 == 0 ? absl::OkStatus() : Fields::Wrong("first");
}

absl::Status Read(Fields* fields, Request* message) {
  P2P_RETURN_IF_ERROR(Run(fields, &message->first, &message->count));
  return message->count <= limits::kMaxQueuedChunks ? absl::OkStatus() : Fields::Wrong("count");
}
absl::Status Read(Fields* fields, Cancel* message) {
  return Run(fields, &message->first, &message->count);
}

absl::Status Read(Fields* fields, Chunk* message) {
  P2P_RETURN_IF_ERROR(fields->Payload(limits::kChunkBytes, &message->payload_bytes));
  if (message->payload_bytes == 0) return Fields::Wrong("payload length");
  return ChunkField(fields, &message->chunk);
}

absl::Status Read(Fields* fields, Reject* message) {
  P2P_RETURN_IF_ERROR(ChunkField(fields, &message->chunk));
  return fields->Reason(&message->code, &message->reason);
}

absl::Status Read(Fields* fields, HaveLeaves* message) {
  return LeavesField(fields, &message->part);
}
absl::Status Read(Fields* fields, RequestLeaves* message) {
  return RangeField(fields, &message->part);
}
absl::Status Read(Fields* fields, CancelLeaves* message) {
  return RangeField(fields, &message->part);
}

absl::Status Read(Fields* fields, Leaves* message) {
  P2P_RETURN_IF_ERROR(fields->Payload(limits::kChunkBytes, &message->payload_bytes));
  P2P_RETURN_IF_ERROR(RangeField(fields, &message->part));
  P2P_RETURN_IF_ERROR(fields->Number("proof count", kMaxLeafProofHashes, &message->proof_count));
  const uint32_t least = message->proof_bytes() + 1;
  const uint32_t most = message->proof_bytes() + message->part.leaf_count * limits::kLeafBytes;
  return message->payload_bytes >= least && message->payload_bytes <= most
             ? absl::OkStatus()
             : Fields::Wrong("payload length");
}

absl::Status Read(Fields* fields, RejectLeaves* message) {
  P2P_RETURN_IF_ERROR(RangeField(fields, &message->part));
  return fields->Reason(&message->code, &message->reason);
}

absl::Status Read(Fields* fields, Peers* message) {
  return fields->Payload(limits::kMaxAddressListBytes, &message->payload_bytes);
}

absl::Status Read(Fields* fields, Error* message) {
  const absl::optional<WireError> error = ParseErrorLine(absl::StrCat("ERROR ", fields->Rest()));
  *message = Error{error->code, error->text};
  return absl::OkStatus();
}

absl::Status Read(Fields*, Subscribe*) { return absl::OkStatus(); }
absl::Status Read(Fields*, GetPeers*) { return absl::OkStatus(); }
absl::Status Read(Fields*, Ping*) { return absl::OkStatus(); }
absl::Status Read(Fields*, Pong*) { return absl::OkStatus(); }

template <typename T>
absl::StatusOr<Message> ReadAs(absl::string_view rest) {
  Fields fields(rest);
  T message;
  P2P_RETURN_IF_ERROR(Read(&fields, &message));
  return Message(std::move(message));
}

struct Verb {
  absl::string_view name;
  absl::StatusOr<Message> (*read)(absl::string_view rest);
};

constexpr Verb kVerbs[] = {
    {"CHUNK", ReadAs<Chunk>},
    {"REQUEST", ReadAs<Request>},
    {"HAVE", ReadAs<Have>},
    {"HAVE-BITS", ReadAs<HaveBits>},
    {"LOST", ReadAs<Lost>},
    {"CANCEL", ReadAs<Cancel>},
    {"REJECT", ReadAs<Reject>},
    {"LEAVES", ReadAs<Leaves>},
    {"REQUEST-LEAVES", ReadAs<RequestLeaves>},
    {"HAVE-LEAVES", ReadAs<HaveLeaves>},
    {"CANCEL-LEAVES", ReadAs<CancelLeaves>},
    {"REJECT-LEAVES", ReadAs<RejectLeaves>},
    {"HELLO", ReadAs<Hello>},
    {"OPEN", ReadAs<Open>},
    {"OPENED", ReadAs<Opened>},
    {"REFUSED", ReadAs<Refused>},
    {"WHICH", ReadAs<Which>},
    {"CONTENTS", ReadAs<Contents>},
    {"GET-MANIFEST", ReadAs<GetManifest>},
    {"MANIFEST", ReadAs<Manifest>},
    {"NO-MANIFEST", ReadAs<NoManifest>},
    {"GET-HASHES", ReadAs<GetHashes>},
    {"HASHES", ReadAs<Hashes>},
    {"NO-HASHES", ReadAs<NoHashes>},
    {"SUBSCRIBE", ReadAs<Subscribe>},
    {"GET-PEERS", ReadAs<GetPeers>},
    {"PEERS", ReadAs<Peers>},
    {"PING", ReadAs<Ping>},
    {"PONG", ReadAs<Pong>},
    {"ERROR", ReadAs<Error>},
};

bool IsVerb(absl::string_view word) {
  return !word.empty() && word.size() <= kMaxVerbBytes && absl::ascii_isupper(word.front()) &&
         std::all_of(word.begin(), word.end(), [](char c) {
           return absl::ascii_isupper(c) || absl::ascii_isdigit(c) || c == '-' || c == '_';
         });
}

absl::StatusOr<Message> ReadUnknown(absl::string_view rest) {
  const size_t bytes = PayloadBytes(rest).value_or(0);
  if (bytes > limits::kMaxUnknownPayloadBytes) {
    return absl::InvalidArgumentError("unknown message with too long a payload");
  }
  return Message(Unknown{static_cast<uint32_t>(bytes)});
}

}  // namespace

bool IsHello(absl::string_view line) { return line == "HELLO" || absl::StartsWith(line, "HELLO "); }

absl::StatusOr<Message> Parse(absl::string_view line) {
  absl::string_view rest = line;
  const absl::string_view name = TakeFirstWord(&rest);
  for (const Verb& verb : kVerbs) {
    if (verb.name == name) {
      absl::StatusOr<Message> message = verb.read(rest);
      if (!message.ok()) return Annotate(message.status(), name);
      return message;
    }
  }
  if (!IsVerb(name)) return absl::InvalidArgumentError("the line does not begin with a verb");
  return ReadUnknown(rest);
}

}  // namespace p2p::wire::peer

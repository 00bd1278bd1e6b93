// The lines of the extension between peers (docs/protocol.md, "Between peers"): text <-> values. A
// message with payload tells its length; the payload itself is the session's. Pure; any thread.
//
// Parsing allocates no more than the line is long, whatever numbers it states.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/variant.h"
#include "core/base/chunk_part.h"
#include "core/base/ids.h"
#include "core/base/limits.h"
#include "core/wire/peer_address.h"
#include "core/wire/protocol_version.h"

namespace p2p::wire::peer {

struct Hello {
  uint32_t version = kProtocolVersion;  // nothing else is read of an earlier one's
  PeerId peer_id;
  uint16_t listen_port = 0;         // 0: takes no connections
  std::string agent;                // one word, or ""
  bool leaves = false;              // speaks the messages about parts of chunks
  absl::optional<PeerAddress> you;  // under which it sees the other side
};
struct Open {
  ContentId content_id;
};
struct Opened {
  uint32_t chunk_count = 0;
};
struct Refused {
  int code = 0;
  std::string reason;
};
struct Which {
  std::string name;
};
struct Contents {
  std::vector<ContentId> content_ids;
};
struct GetManifest {
  uint32_t max_hashes = 0;
};
// The payload is a part of the manifest, `first` bytes from its beginning.
struct Manifest {
  uint32_t total_bytes = 0;
  uint32_t first = 0;
  uint32_t payload_bytes = 0;
};
struct NoManifest {
  int code = 0;
  std::string reason;
};
struct GetHashes {
  FileIndex file;
  uint32_t first = 0;
};
// The payload is `count` hashes, then `proof_count` more that prove them.
struct Hashes {
  FileIndex file;
  uint32_t first = 0;
  uint32_t count = 0;
  uint32_t proof_count = 0;
  uint32_t payload_bytes() const { return 32 * (count + proof_count); }
};
struct NoHashes {
  FileIndex file;
  uint32_t first = 0;
  int code = 0;
  std::string reason;
};
struct Subscribe {};
struct Have {
  ChunkIndex first;
  uint32_t count = 0;
};
struct Lost {
  ChunkIndex first;
  uint32_t count = 0;
};
struct HaveBits {
  ChunkIndex first;
  uint32_t payload_bytes = 0;
};
struct Request {
  ChunkIndex first;
  uint32_t count = 0;
};
struct Cancel {
  ChunkIndex first;
  uint32_t count = 0;
};
struct Chunk {
  ChunkIndex chunk;
  uint32_t payload_bytes = 0;
};
struct Reject {
  ChunkIndex chunk;
  int code = 0;
  std::string reason;
};
// The messages about leaves, only between sides that both said so in HELLO. No part is whole.
struct HaveLeaves {
  ChunkPart part;  // any run of leaves
};
struct RequestLeaves {
  ChunkPart part;  // as in the next three: a power of two of leaves, aligned to itself
};
struct CancelLeaves {
  ChunkPart part;
};
// The payload is `proof_count` hashes, siblings from the part up to below the chunk hash, lowest
// first, and then the leaves: the bytes that
// the part has in the file.
struct Leaves {
  ChunkPart part;
  uint32_t proof_count = 0;
  uint32_t payload_bytes = 0;

  uint32_t proof_bytes() const { return proof_count * static_cast<uint32_t>(sizeof(Hash256)); }
};
struct RejectLeaves {
  ChunkPart part;
  int code = 0;
  std::string reason;
};
struct GetPeers {};
// The payload is a list of addresses (core/wire/address_list.h).
struct Peers {
  uint32_t payload_bytes = 0;
};
struct Ping {};
struct Pong {};
struct Error {
  int code = 0;
  std::string reason;
};
// A verb that this version does not know: its payload is skipped.
struct Unknown {
  uint32_t payload_bytes = 0;
};

using Message =
    absl::variant<Hello, Open, Opened, Refused, Which, Contents, GetManifest, Manifest, NoManifest,
                  GetHashes, Hashes, NoHashes, Subscribe, Have, Lost, HaveBits, Request, Cancel,
                  Chunk, Reject, HaveLeaves, RequestLeaves, CancelLeaves, Leaves, RejectLeaves,
                  GetPeers, Peers, Ping, Pong, Error, Unknown>;

// Chunk numbers fit 31 bits: limits::kMaxFileBytes of whole chunks.
inline constexpr uint32_t kMaxChunkCount = uint32_t{1} << 31;
// A proof has at most one hash for each level above the chunks.
inline constexpr uint32_t kMaxProofHashes = 31;
// Leaves of one REQUEST-LEAVES: more are a whole chunk.
inline constexpr uint32_t kMaxRequestLeaves = limits::kLeavesPerChunk / 2;
// A proof of leaves has at most one hash for each level below the chunk hash.
inline constexpr uint32_t kMaxLeafProofHashes = 5;
// Reasons, as they are read and sent.
inline constexpr size_t kMaxReasonBytes = 200;
// Content ids in one CONTENTS.
inline constexpr size_t kMaxContents = 16;

// Whether a first line begins the extension, well-formed or not.
bool IsHello(absl::string_view line);

// `line` has no LF. InvalidArgument names the field that is wrong and repeats nothing of the line:
// fit to be sent as the text of an ERROR 400. Text from the other side (reasons, agent) comes out
// printable and cut.
absl::StatusOr<Message> Parse(absl::string_view line);

// The line with its LF. Reasons are made printable and cut to kMaxReasonBytes, so that the line
// keeps the limit.
std::string Format(const Hello& message);
std::string Format(const Open& message);
std::string Format(const Opened& message);
std::string Format(const Refused& message);
std::string Format(const Which& message);
std::string Format(const Contents& message);
std::string Format(const GetManifest& message);
std::string Format(const Manifest& message);
std::string Format(const NoManifest& message);
std::string Format(const GetHashes& message);
std::string Format(const Hashes& message);
std::string Format(const NoHashes& message);
std::string Format(const Subscribe& message);
std::string Format(const Have& message);
std::string Format(const Lost& message);
std::string Format(const HaveBits& message);
std::string Format(const Request& message);
std::string Format(const Cancel& message);
std::string Format(const Chunk& message);
std::string Format(const Reject& message);
// The same about several chunks in a row.
std::string FormatRejects(ChunkIndex first, uint32_t count, int code, absl::string_view reason);
std::string Format(const HaveLeaves& message);
std::string Format(const RequestLeaves& message);
std::string Format(const CancelLeaves& message);
std::string Format(const Leaves& message);
std::string Format(const RejectLeaves& message);
std::string Format(const GetPeers& message);
std::string Format(const Peers& message);
std::string Format(const Ping& message);
std::string Format(const Pong& message);
std::string Format(const Error& message);

}  // namespace p2p::wire::peer

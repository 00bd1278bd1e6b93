// The original protocol between peers (docs/protocol.md, "The original protocol"): the request
// line, and the reader of answers. Pure; any thread, one owner for each reader.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/variant.h"
#include "core/base/ids.h"
#include "core/wire/error_line.h"

namespace p2p::wire::peer {

struct OriginalRequest {
  std::string name;
  uint64_t chunk_id = 0;
};

// Why a request line is refused.
struct RequestRefusal {
  WireError error;  // 400 malformed, 416 no such chunk, 422 bad name; repeats nothing of the line
  // Not a request of this protocol at all (HTTP, TLS, noise): the connection is of no use.
  bool foreign = false;
};

// "GET_CHUNK <filename> <chunk_id>" without its LF; the name is all between the verb and the last
// word.
absl::variant<OriginalRequest, RequestRefusal> ParseOriginalRequest(absl::string_view line);
std::string FormatOriginalRequest(absl::string_view name, ChunkIndex chunk);

// "<size>\n", which the data follows.
std::string FormatChunkHeader(uint32_t size);

// Reads the first line of an answer to GET_CHUNK: "<size>\n" or "ERROR <code> <text>\n". Holds at
// most one line.
class OriginalAnswerReader {
 public:
  struct NeedMore {};
  struct Size {
    uint32_t bytes = 0;
  };
  struct Malformed {
    const char* what = "";
  };
  using Result = absl::variant<NeedMore, Size, WireError, Malformed>;

  // Takes bytes from the front of `input` up to the end of the line; the rest is data. A size is
  // canonical decimal, 1 to 524,288, with its LF within 7 bytes.
  Result Next(absl::string_view* input);

 private:
  Result Finish();

  std::string line_;
};

}  // namespace p2p::wire::peer

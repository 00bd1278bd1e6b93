#include "core/wire/original_messages.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/types/optional.h"
#include "core/base/limits.h"
#include "core/base/names.h"
#include "core/base/text.h"
#include "core/wire/fields.h"

namespace p2p::wire::peer {
namespace {

RequestRefusal Refuse(int code, absl::string_view text) {
  return RequestRefusal{WireError{code, std::string(text)}};
}

}  // namespace

absl::variant<OriginalRequest, RequestRefusal> ParseOriginalRequest(absl::string_view line) {
  absl::string_view rest = line;
  if (TakeFirstWord(&rest) != "GET_CHUNK") {
    if (IsForeign(line)) {
      return RequestRefusal{WireError{400, "this is not a peer-to-peer request"}, true};
    }
    return Refuse(400, "unknown request; expected GET_CHUNK <filename> <chunk_id>");
  }
  if (rest.empty()) return Refuse(400, "missing field: filename");
  if (!absl::StrContains(rest, ' ')) return Refuse(400, "missing field: chunk_id");
  const absl::optional<uint64_t> id = ParseDecimal(TakeLastWord(&rest), UINT64_MAX);
  const absl::Status name = CheckName(rest);
  if (!name.ok()) return Refuse(422, name.message());
  if (!id) return Refuse(416, "no such chunk: chunk_id is not a plain decimal number");
  return OriginalRequest{std::string(rest), *id};
}

std::string FormatOriginalRequest(absl::string_view name, ChunkIndex chunk) {
  return absl::StrCat("GET_CHUNK ", name, " ", chunk.value(), "\n");
}

std::string FormatChunkHeader(uint32_t size) { return absl::StrCat(size, "\n"); }

OriginalAnswerReader::Result OriginalAnswerReader::Next(absl::string_view* input) {
  while (!input->empty()) {
    const char c = input->front();
    input->remove_prefix(1);
    line_.push_back(c);
    if (c == '\n') return Finish();
    if (line_.front() == 'E') {
      if (line_.size() >= limits::kMaxLineBytes) return Malformed{"too long an error line"};
      continue;
    }
    if (c < '0' || c > '9') return Malformed{"the chunk header is not a number"};
    if (line_.size() >= limits::kMaxChunkHeaderBytes) return Malformed{"too long a chunk header"};
  }
  return NeedMore{};
}

OriginalAnswerReader::Result OriginalAnswerReader::Finish() {
  std::string taken;
  taken.swap(line_);
  absl::string_view line = absl::StripSuffix(taken, "\n");
  if (!absl::StartsWith(line, "E")) {
    const absl::optional<uint64_t> size = ParseDecimal(line, limits::kChunkBytes);
    if (!size || *size == 0) return Malformed{"the chunk header states an impossible size"};
    return Size{static_cast<uint32_t>(*size)};
  }
  absl::optional<WireError> error = ParseErrorLine(absl::StripSuffix(line, "\r"));
  if (!error) return Malformed{"the answer is neither a size nor an error"};
  return *std::move(error);
}

}  // namespace p2p::wire::peer

// Answers to GET_CHUNK, one behind the other, as a downloader reads them: sizes are canonical, and
// however the bytes are cut, they mean the same.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/wire/original_messages.h"
#include "tests/fuzz/fuzz.h"

namespace p2p::wire::peer {
namespace {

class Download {
 public:
  // False when no more can be read.
  bool OnBytes(absl::string_view bytes) {
    while (!bytes.empty()) {
      if (payload_left > 0) {
        const size_t taken = std::min<size_t>(payload_left, bytes.size());
        payload_left -= static_cast<uint32_t>(taken);
        bytes.remove_prefix(taken);
        continue;
      }
      const absl::string_view before = bytes;
      const auto result = reader.Next(&bytes);
      header.append(before.data(), before.size() - bytes.size());
      // A peer that never ends its line does not cost more than one.
      P2P_FUZZ_CHECK(header.size() <= limits::kMaxLineBytes);
      if (!On(result)) return false;
    }
    return true;
  }

  std::string log;

 private:
  bool On(const OriginalAnswerReader::Result& result) {
    if (const auto* size = absl::get_if<OriginalAnswerReader::Size>(&result)) {
      P2P_FUZZ_CHECK(size->bytes >= 1 && size->bytes <= limits::kChunkBytes);
      P2P_FUZZ_CHECK(header == FormatChunkHeader(size->bytes));
      absl::StrAppend(&log, "size ", size->bytes, "\n");
      payload_left = size->bytes;
    } else if (const auto* error = absl::get_if<WireError>(&result)) {
      P2P_FUZZ_CHECK(fuzz::IsShowable(error->text));
      absl::StrAppend(&log, "error ", error->code, " ", error->text, "\n");
    } else if (const auto* malformed = absl::get_if<OriginalAnswerReader::Malformed>(&result)) {
      absl::StrAppend(&log, "malformed: ", malformed->what, "\n");
      return false;
    } else {
      return true;
    }
    header.clear();
    return true;
  }

  OriginalAnswerReader reader;
  std::string header;  // what the reader took since the last answer
  uint32_t payload_left = 0;
};

}  // namespace
}  // namespace p2p::wire::peer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes = p2p::fuzz::AsText(data, size);
  p2p::wire::peer::Download whole;
  whole.OnBytes(bytes);
  p2p::wire::peer::Download in_pieces;
  p2p::fuzz::Pieces pieces(bytes);
  for (absl::string_view piece = pieces.Next(); !piece.empty(); piece = pieces.Next()) {
    if (!in_pieces.OnBytes(piece)) break;
  }
  P2P_FUZZ_CHECK(in_pieces.log == whole.log);
  return 0;
}

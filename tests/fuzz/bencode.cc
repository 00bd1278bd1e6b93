// Bencoded input: what the reader takes is canonical, so writing down what it read gives the input
// back.
#include "core/content/bencode.h"

#include "tests/fuzz/fuzz.h"

namespace p2p::content {
namespace {

// Reads one value; false when it is not canonical. Lists have no call of their own: they are
// skipped, and copied.
bool Copy(absl::string_view input, BencodeReader* reader, std::string* out) {
  const size_t at = reader->offset();
  const char kind = at < input.size() ? input[at] : '\0';
  if (kind == 'i') {
    const absl::StatusOr<int64_t> number = reader->ReadInteger();
    if (number.ok()) BencodeInteger(*number, out);
    return number.ok();
  }
  if (kind == 'l') {
    if (!reader->Skip().ok()) return false;
    out->append(input.data() + at, reader->offset() - at);
    return true;
  }
  if (kind != 'd') {
    const absl::StatusOr<absl::string_view> text = reader->ReadString();
    if (text.ok()) BencodeString(*text, out);
    return text.ok();
  }
  if (!reader->EnterDictionary().ok()) return false;
  out->push_back('d');
  while (true) {
    const absl::StatusOr<absl::optional<absl::string_view>> key = reader->NextKey();
    if (!key.ok()) return false;
    if (!key->has_value()) break;
    BencodeString(**key, out);
    if (!Copy(input, reader, out)) return false;
  }
  out->push_back('e');
  return true;
}

}  // namespace
}  // namespace p2p::content

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view input = p2p::fuzz::AsText(data, size);
  p2p::content::BencodeReader skipper(input);
  const size_t before = p2p::fuzz::AllocatedBytes();
  const bool good = skipper.Skip().ok() && skipper.Finish().ok();
  // Memory follows the depth, which is bounded, not the size.
  P2P_FUZZ_CHECK(p2p::fuzz::AllocatedBytes() - before <= 16'384);
  p2p::content::BencodeReader reader(input);
  std::string copy;
  const bool copied = p2p::content::Copy(input, &reader, &copy) && reader.Finish().ok();
  P2P_FUZZ_CHECK(copied == good);
  P2P_FUZZ_CHECK(!copied || copy == input);
  return 0;
}

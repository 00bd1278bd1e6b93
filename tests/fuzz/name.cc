// Names, and text from outside on its way to a log or a table: a legal name is shown as it is, and
// whatever is shown holds neither control characters nor what turns the reading direction.
#include "absl/strings/str_split.h"
#include "core/base/limits.h"
#include "core/base/names.h"
#include "core/base/text.h"
#include "tests/fuzz/fuzz.h"

namespace p2p {
namespace {

void Check(absl::string_view text) {
  const absl::Status name = CheckName(text);
  P2P_FUZZ_CHECK(fuzz::IsShowable(name.message()));
  if (name.ok()) {
    P2P_FUZZ_CHECK(IsValidUtf8(text) && text.size() <= limits::kMaxNameBytes);
    P2P_FUZZ_CHECK(fuzz::IsShowable(text));
    for (absl::string_view component : absl::StrSplit(text, '/')) {
      P2P_FUZZ_CHECK(component != "" && component != "." && component != "..");
      P2P_FUZZ_CHECK(CheckNameComponent(component).ok());
    }
  }
  const std::string shown = Printable(text, text.size() * 4 + 1);
  P2P_FUZZ_CHECK(fuzz::IsShowable(shown) && IsValidUtf8(shown));
  for (absl::string_view line : absl::StrSplit(shown, '/')) {
    P2P_FUZZ_CHECK(line.empty() || line == "." || line == ".." ||
                   line.size() > limits::kMaxComponentBytes || CheckNameComponent(line).ok());
  }
  P2P_FUZZ_CHECK(IsValidUtf8(Printable(text, 8)) && Printable(text, 8).size() <= 8 + 15 + 3);
}

}  // namespace
}  // namespace p2p

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  p2p::Check(p2p::fuzz::AsText(data, size));
  return 0;
}

#include "core/wire/error_line.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/text.h"

namespace p2p::wire {

std::string FormatError(int code, absl::string_view text) {
  return absl::StrCat("ERROR ", code, " ", Printable(text, 512), "\n");
}

absl::optional<WireError> ParseErrorLine(absl::string_view line) {
  if (line == "ERROR") return WireError{400, "no reason given"};
  if (!absl::ConsumePrefix(&line, "ERROR ")) return absl::nullopt;
  const size_t space = line.find(' ');
  const absl::optional<uint64_t> code = ParseDecimal(line.substr(0, space), 999);
  if (!code.has_value() || *code < 100) return WireError{400, Printable(line)};
  const absl::string_view text =
      space == absl::string_view::npos ? absl::string_view() : line.substr(space + 1);
  return WireError{static_cast<int>(*code), Printable(text)};
}

}  // namespace p2p::wire

#include "core/wire/fields.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "core/base/names.h"
#include "core/base/text.h"

namespace p2p::wire {

absl::string_view TakeFirstWord(absl::string_view* line) {
  const size_t space = line->find(' ');
  const absl::string_view word = line->substr(0, space);
  line->remove_prefix(space == absl::string_view::npos ? line->size() : space + 1);
  return word;
}

absl::string_view TakeLastWord(absl::string_view* line) {
  const size_t space = line->rfind(' ');
  if (space == absl::string_view::npos) {
    const absl::string_view word = *line;
    *line = line->substr(0, 0);
    return word;
  }
  const absl::string_view word = line->substr(space + 1);
  *line = line->substr(0, space);
  return word;
}

absl::optional<size_t> PayloadBytes(absl::string_view line) {
  absl::string_view word = TakeLastWord(&line);
  if (!absl::ConsumePrefix(&word, "+") || word.empty() ||
      !std::all_of(word.begin(), word.end(), absl::ascii_isdigit)) {
    return absl::nullopt;
  }
  return ParseDecimal(word, std::numeric_limits<size_t>::max())
      .value_or(std::numeric_limits<size_t>::max());
}

bool IsForeign(absl::string_view line) {
  const auto is_control = [](char c) { return absl::ascii_iscntrl(c) && c != '\t'; };
  return std::any_of(line.begin(), line.end(), is_control) || !IsValidUtf8(line) ||
         absl::StrContains(line, " HTTP/1.") || absl::StrContains(line, " HTTP/2");
}

}  // namespace p2p::wire

#include "core/base/text.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/names.h"

namespace p2p {
namespace {

size_t CodePointLength(absl::string_view text) {
  for (size_t length = 1; length <= 4 && length <= text.size(); ++length) {
    if (IsValidUtf8(text.substr(0, length))) return length;
  }
  return 0;
}

}  // namespace

std::string Printable(absl::string_view text, size_t max_bytes) {
  std::string out;
  while (!text.empty()) {
    if (out.size() >= max_bytes) return out + "...";
    const size_t length = CodePointLength(text);
    const absl::string_view point = text.substr(0, length == 0 ? 1 : length);
    // '/' divides components and is harmless to show; a lone '.' is one only as a whole component.
    if (length != 0 && (point == "/" || point == "." || CheckNameComponent(point).ok())) {
      absl::StrAppend(&out, point);
    } else {
      for (char c : point) absl::StrAppendFormat(&out, "\\x%02x", static_cast<uint8_t>(c));
    }
    text.remove_prefix(point.size());
  }
  return out;
}

absl::optional<uint64_t> ParseDecimal(absl::string_view digits, uint64_t max) {
  if (digits.empty() || (digits.size() > 1 && digits.front() == '0')) return absl::nullopt;
  uint64_t value = 0;
  for (char c : digits) {
    if (c < '0' || c > '9') return absl::nullopt;
    const uint64_t digit = static_cast<uint64_t>(c - '0');
    if (value > (max - digit) / 10 || digit > max) return absl::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

std::string HumanBytes(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 1023.95 && unit < 5) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? absl::StrCat(bytes, " B") : absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

std::string HumanDuration(absl::Duration duration) {
  const int64_t seconds = absl::ToInt64Seconds(duration);
  if (seconds < 60) return absl::StrCat(seconds, " s");
  if (seconds < 3600) return absl::StrCat(seconds / 60, " min ", seconds % 60, " s");
  return absl::StrCat(seconds / 3600, " h ", seconds / 60 % 60, " min");
}

}  // namespace p2p

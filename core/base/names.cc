#include "core/base/names.h"

#include <cstdint>

#include "core/base/limits.h"

namespace p2p {
namespace {

// Decodes one code point at `*at` and moves past it; -1 when it is not well-formed UTF-8 (RFC
// 3629).
int32_t NextCodePoint(absl::string_view text, size_t* at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(*at);
  size_t length = 1;
  int32_t code = lead;
  int32_t smallest = 0;
  if (lead >= 0x80) {
    if (lead >= 0xf5 || lead < 0xc2) return -1;
    length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    smallest = length == 4 ? 0x10000 : length == 3 ? 0x800 : 0x80;
    code = lead & (0xff >> (length + 1));
  }
  if (text.size() - *at < length) return -1;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(*at + i) & 0xc0) != 0x80) return -1;
    code = (code << 6) | (byte(*at + i) & 0x3f);
  }
  if (code < smallest || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return -1;
  *at += length;
  return code;
}

bool IsControl(int32_t code) { return code < 0x20 || (code >= 0x7f && code <= 0x9f); }

// Characters that make text show in another order than it is stored (Unicode UAX #9), and line
// separators.
bool IsBidiOrSeparator(int32_t code) {
  return code == 0x061c || (code >= 0x200e && code <= 0x200f) ||
         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

struct CodeRange {
  int32_t first;
  int32_t last;
};
// Characters that show nothing, so that two names with and without them look alike:
// Default_Ignorable_Code_Point of Unicode 15 (DerivedCoreProperties.txt), and the marks of
// interlinear annotation behind U+FFF8.
constexpr CodeRange kInvisible[] = {
    {0x00ad, 0x00ad},   {0x034f, 0x034f},   {0x061c, 0x061c}, {0x115f, 0x1160}, {0x17b4, 0x17b5},
    {0x180b, 0x180f},   {0x200b, 0x200f},   {0x202a, 0x202e}, {0x2060, 0x206f}, {0x3164, 0x3164},
    {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0}, {0xfff0, 0xfffb}, {0x1bca0, 0x1bca3},
    {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

bool IsInvisible(int32_t code) {
  for (const CodeRange& range : kInvisible) {
    if (code <= range.last) return code >= range.first;
  }
  return false;
}

// Where an invisible character belongs to what people write, and changes what is seen: joiners in
// the scripts from Arabic to Sinhala (Persian and Hindi words need them), and the joiner and the
// selector of colour in emoji.
bool MayFollow(int32_t before, int32_t code) {
  const bool joins = code == 0x200d;
  const bool is_in_script = before >= 0x0600 && before <= 0x0dff && !IsInvisible(before);
  const bool is_symbol = before == 0xa9 || before == 0xae ||
                         (before >= 0x203c && before <= 0x2bff && !IsInvisible(before)) ||
                         (before >= 0x1f000 && before <= 0x1faff);
  if (is_in_script) return joins || code == 0x200c;
  return is_symbol ? joins || code == 0xfe0f : joins && before == 0xfe0f;
}

}  // namespace

bool IsValidUtf8(absl::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if (NextCodePoint(text, &at) < 0) return false;
  }
  return true;
}

absl::Status CheckNameComponent(absl::string_view component) {
  if (component.empty()) return absl::InvalidArgumentError("name has an empty component");
  if (component == "." || component == "..") {
    return absl::InvalidArgumentError("name has a '.' or '..' component");
  }
  if (component.size() > limits::kMaxComponentBytes) {
    return absl::InvalidArgumentError("name has a component longer than 255 bytes");
  }
  int32_t before = 0;
  for (size_t at = 0; at < component.size();) {
    // Most of a name, and a tracker reads one with each request.
    const char c = component[at];
    if (c >= ' ' && c < 0x7f && c != '/') {
      before = c;
      ++at;
      continue;
    }
    const int32_t code = NextCodePoint(component, &at);
    if (code < 0) return absl::InvalidArgumentError("name is not valid UTF-8");
    if (code == '/') return absl::InvalidArgumentError("name has a '/' in a component");
    if (IsControl(code)) {
      return absl::InvalidArgumentError("name has a control character such as a line break");
    }
    if (IsBidiOrSeparator(code)) {
      return absl::InvalidArgumentError("name has a character that reverses or breaks text");
    }
    if (IsInvisible(code) && !MayFollow(before, code)) {
      return absl::InvalidArgumentError("name has a character that shows nothing");
    }
    before = code;
  }
  if (before == 0x200c || before == 0x200d) {
    return absl::InvalidArgumentError("name ends with a character that shows nothing");
  }
  return absl::OkStatus();
}

absl::Status CheckName(absl::string_view name) {
  if (name.empty()) return absl::InvalidArgumentError("name is empty");
  if (name.size() > limits::kMaxNameBytes) {
    return absl::InvalidArgumentError("name is longer than 1024 bytes");
  }
  if (name.front() == '/') return absl::InvalidArgumentError("name is an absolute path");
  while (true) {
    const size_t slash = name.find('/');
    absl::Status component = CheckNameComponent(name.substr(0, slash));
    if (!component.ok() || slash == absl::string_view::npos) return component;
    name.remove_prefix(slash + 1);
  }
}

}  // namespace p2p

#include "tests/fuzz/fuzz.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "core/base/text.h"

namespace p2p::fuzz {

void CheckFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
  std::abort();
}

bool IsShowable(absl::string_view text) { return Printable(text, text.size() + 1) == text; }

absl::string_view TakeLine(absl::string_view* rest) {
  const size_t end = rest->find('\n');
  const absl::string_view line = rest->substr(0, end);
  rest->remove_prefix(end == absl::string_view::npos ? rest->size() : end + 1);
  return line;
}

absl::string_view TakeWord(absl::string_view* rest) {
  const size_t end = rest->find(' ');
  const absl::string_view word = rest->substr(0, end);
  rest->remove_prefix(end == absl::string_view::npos ? rest->size() : end + 1);
  return word;
}

uint32_t TakeNumber(absl::string_view* rest) {
  uint32_t number = 0;
  for (char c : TakeWord(rest)) {
    if (c >= '0' && c <= '9') number = 10 * number + static_cast<uint32_t>(c - '0');
  }
  return number;
}

// FNV-1a.
Pieces::Pieces(absl::string_view text) : rest_(text), state_(0xcbf29ce484222325) {
  for (char c : text) state_ = (state_ ^ static_cast<uint8_t>(c)) * 0x100000001b3;
}

absl::string_view Pieces::Next() {
  // Knuth's MMIX generator; its high bits are the good ones. Short pieces are as likely as long.
  state_ = state_ * 6364136223846793005u + 1442695040888963407u;
  const uint64_t high = state_ >> 33;
  const size_t size = 1 + (high >> 3) % (size_t{1} << (high % 8));
  const absl::string_view piece = rest_.substr(0, std::min(size, rest_.size()));
  rest_.remove_prefix(piece.size());
  return piece;
}

}  // namespace p2p::fuzz

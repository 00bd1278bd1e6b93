#include "core/content/bencode.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/base/text.h"

namespace p2p::content {
namespace {

// An info dictionary nests its file tree: itself, the tree, one level a path component, the file's
// values.
constexpr size_t kMaxLevels = limits::kMaxPathDepth + 8;
// "-9223372036854775808" has 20 characters.
constexpr size_t kMaxNumberCharacters = 20;

}  // namespace

absl::Status BencodeReader::Error(absl::string_view reason) const {
  return absl::InvalidArgumentError(absl::StrCat("bencoding: ", reason, " at byte ", at_));
}

absl::Status BencodeReader::Expected(absl::string_view kind) const {
  return AtEnd() ? Error("the input ends early") : Error(absl::StrCat("expected ", kind));
}

absl::StatusOr<absl::string_view> BencodeReader::ReadUntil(char terminator) {
  const absl::string_view window = input_.substr(at_, kMaxNumberCharacters + 1);
  const size_t length = window.find(terminator);
  if (length == absl::string_view::npos) {
    return Error(window.size() > kMaxNumberCharacters ? "a number is too long"
                                                      : "the input ends early");
  }
  at_ += length + 1;
  return window.substr(0, length);
}

absl::StatusOr<int64_t> BencodeReader::ReadInteger() {
  if (Peek() != 'i') return Expected("an integer");
  ++at_;
  P2P_ASSIGN_OR_RETURN(absl::string_view digits, ReadUntil('e'));
  constexpr uint64_t kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  const bool negative = !digits.empty() && digits.front() == '-';
  if (negative) digits.remove_prefix(1);
  const absl::optional<uint64_t> magnitude = ParseDecimal(digits, negative ? kMax + 1 : kMax);
  if (!magnitude.has_value() || (negative && *magnitude == 0)) {
    return Error("an integer is not canonical or beyond 64 bits");
  }
  return negative ? static_cast<int64_t>(~*magnitude + 1) : static_cast<int64_t>(*magnitude);
}

absl::StatusOr<absl::string_view> BencodeReader::ReadString() {
  if (Peek() < '0' || Peek() > '9') return Expected("a string");
  P2P_ASSIGN_OR_RETURN(const absl::string_view digits, ReadUntil(':'));
  const absl::optional<uint64_t> length =
      ParseDecimal(digits, std::numeric_limits<uint64_t>::max());
  if (!length.has_value()) return Error("a string's length is not canonical");
  if (*length > input_.size() - at_) return Error("a string is longer than the rest of the input");
  const absl::string_view value = input_.substr(at_, static_cast<size_t>(*length));
  at_ += value.size();
  return value;
}

absl::Status BencodeReader::Enter(bool is_dictionary) {
  if (levels_.size() >= kMaxLevels) return Error("the input is nested too deeply");
  ++at_;
  levels_.push_back({is_dictionary, absl::nullopt});
  return absl::OkStatus();
}

absl::Status BencodeReader::EnterDictionary() {
  if (Peek() != 'd') return Expected("a dictionary");
  return Enter(/*is_dictionary=*/true);
}

absl::StatusOr<absl::optional<absl::string_view>> BencodeReader::NextKey() {
  if (Peek() == 'e') {
    ++at_;
    levels_.pop_back();
    return absl::optional<absl::string_view>();
  }
  P2P_ASSIGN_OR_RETURN(const absl::string_view key, ReadString());
  absl::optional<absl::string_view>& last = levels_.back().last_key;
  if (last.has_value() && key <= *last) {
    return Error(key == *last ? "a key is there twice" : "keys are not sorted");
  }
  last = key;
  return last;
}

absl::Status BencodeReader::SkipScalarOrEnter() {
  switch (Peek()) {
    case 'i':
      return ReadInteger().status();
    case 'd':
      return Enter(/*is_dictionary=*/true);
    case 'l':
      return Enter(/*is_dictionary=*/false);
    default:
      return ReadString().status();
  }
}

absl::Status BencodeReader::Skip() {
  const size_t depth = levels_.size();
  P2P_RETURN_IF_ERROR(SkipScalarOrEnter());
  while (levels_.size() > depth) {
    if (levels_.back().is_dictionary) {
      P2P_ASSIGN_OR_RETURN(const absl::optional<absl::string_view> key, NextKey());
      if (!key.has_value()) continue;
    } else if (Peek() == 'e') {
      ++at_;
      levels_.pop_back();
      continue;
    }
    P2P_RETURN_IF_ERROR(SkipScalarOrEnter());
  }
  return absl::OkStatus();
}

absl::Status BencodeReader::Finish() const {
  if (!levels_.empty()) return Error("the input ends early");
  return AtEnd() ? absl::OkStatus() : Error("there are bytes after the end");
}

void BencodeString(absl::string_view value, std::string* out) {
  absl::StrAppend(out, value.size(), ":", value);
}

void BencodeInteger(int64_t value, std::string* out) { absl::StrAppend(out, "i", value, "e"); }

}  // namespace p2p::content

// Bencoding (BEP 3): a writer, and a reader that takes only the canonical form. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace p2p::content {

// Reads bencoded input value by value, without ever building a tree: what it allocates depends on
// the depth of the input (bounded), not on its size. Strings are views of the input, which must
// outlive the reader.
//
// Every call fails with InvalidArgument, naming the byte offset, for what is not canonical
// (unsorted or duplicate keys, leading zeros, "-0"), truncated, deeper than limits::kMaxPathDepth
// plus a few levels, a number beyond 64 bits, or of another kind than the one asked for. After a
// failure the reader is of no use.
class BencodeReader {
 public:
  explicit BencodeReader(absl::string_view input) : input_(input) {}

  absl::StatusOr<int64_t> ReadInteger();
  absl::StatusOr<absl::string_view> ReadString();

  absl::Status EnterDictionary();
  // The next key of the innermost dictionary, whose value must be read or skipped before the next
  // call; nothing at the end of the dictionary, which is left thereby.
  absl::StatusOr<absl::optional<absl::string_view>> NextKey();

  // Reads one value of any kind, however nested.
  absl::Status Skip();
  // OK when the input was read to its last byte.
  absl::Status Finish() const;

  size_t offset() const { return at_; }

 private:
  // What is open around the current position. `last_key` is unset in a list and before the first
  // key.
  struct Level {
    bool is_dictionary;
    absl::optional<absl::string_view> last_key;
  };

  absl::Status Error(absl::string_view reason) const;
  absl::Status Expected(absl::string_view kind) const;
  bool AtEnd() const { return at_ == input_.size(); }
  // The byte at the current position; '\0' at the end of the input.
  char Peek() const { return AtEnd() ? '\0' : input_[at_]; }
  // The digits up to `terminator`, which is passed too.
  absl::StatusOr<absl::string_view> ReadUntil(char terminator);
  absl::Status Enter(bool is_dictionary);
  absl::Status SkipScalarOrEnter();

  absl::string_view input_;
  size_t at_ = 0;
  std::vector<Level> levels_;
};

// Append to `out`.
void BencodeString(absl::string_view value, std::string* out);
void BencodeInteger(int64_t value, std::string* out);

}  // namespace p2p::content

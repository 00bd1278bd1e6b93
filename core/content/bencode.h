// Bencoding (BEP 3): a writer, and a reader that takes only the canonical form. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace p2p::content {

// A parsed value; strings are views of the input, which must outlive it.
class BencodeValue {
 public:
  enum class Kind { kInteger, kString, kList, kDictionary };
  Kind kind() const { return kind_; }
  int64_t integer() const { return integer_; }
  absl::string_view string() const { return string_; }
  const std::vector<BencodeValue>& list() const { return list_; }
  // In key order.
  const std::vector<std::pair<absl::string_view, BencodeValue>>& dictionary() const { return dictionary_; }
  // nullptr when this is no dictionary or has no such key.
  const BencodeValue* Find(absl::string_view key) const;

 private:
  friend class BencodeReader;
  Kind kind_ = Kind::kInteger;
  int64_t integer_ = 0;
  absl::string_view string_;
  std::vector<BencodeValue> list_;
  std::vector<std::pair<absl::string_view, BencodeValue>> dictionary_;
};

// The one value that `input` holds, whole. InvalidArgument with the byte offset for anything that is not
// canonical: unsorted or duplicate keys, leading zeros, "-0", trailing bytes, depth over limits::kMaxPathDepth
// plus a few levels, numbers beyond 64 bits.
absl::StatusOr<BencodeValue> ParseBencode(absl::string_view input);

// Appends to `out`.
void BencodeString(absl::string_view value, std::string* out);
void BencodeInteger(int64_t value, std::string* out);

}  // namespace p2p::content

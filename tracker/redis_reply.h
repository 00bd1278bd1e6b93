// What Redis answers: bytes -> values, through hiredis, with bounds on what a reply may make us
// keep. Pure; one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

struct redisReader;

namespace p2p::tracker {

struct RedisReply {
  enum class Type { kNothing, kNumber, kText, kError, kList };
  Type type = Type::kNothing;
  int64_t number = 0;
  std::string text;  // of kText and kError
  std::vector<RedisReply> list;

  bool IsError() const { return type == Type::kError; }
  bool IsText() const { return type == Type::kText; }
  bool IsList(size_t size) const { return type == Type::kList && list.size() == size; }
};

class RedisReplyReader {
 public:
  static constexpr size_t kMaxReplyBytes = 32 << 20;
  static constexpr size_t kMaxReplyElements = 200'000;

  RedisReplyReader();
  ~RedisReplyReader();
  RedisReplyReader(const RedisReplyReader&) = delete;
  RedisReplyReader& operator=(const RedisReplyReader&) = delete;

  void Feed(absl::string_view bytes);
  // The next reply, or nullopt while it is not whole. InvalidArgument: these are no replies of
  // Redis, or one is larger than the bounds; nothing can be read from then on.
  absl::StatusOr<absl::optional<RedisReply>> Next();

 private:
  friend struct ReplyBuilder;

  std::unique_ptr<redisReader, void (*)(redisReader*)> reader_;
  size_t reply_bytes_ = 0;     // fed for the reply that is not whole
  size_t reply_elements_ = 0;  // that its lists said to have
};

}  // namespace p2p::tracker

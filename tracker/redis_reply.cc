#include "tracker/redis_reply.h"

#include <hiredis/hiredis.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/text.h"

namespace p2p::tracker {

// What hiredis calls to build replies. Only the outermost is allocated: the others stand in its
// lists. A null pointer ends the reading with an error.
struct ReplyBuilder {
  static RedisReply* Add(const redisReadTask* task) {
    if (task->parent == nullptr) return new RedisReply;
    return &static_cast<RedisReply*>(task->parent->obj)->list[static_cast<size_t>(task->idx)];
  }
  static void* Text(const redisReadTask* task, char* text, size_t size) {
    RedisReply* const reply = Add(task);
    reply->type =
        task->type == REDIS_REPLY_ERROR ? RedisReply::Type::kError : RedisReply::Type::kText;
    reply->text.assign(text, size);
    return reply;
  }
#if HIREDIS_MAJOR >= 1
  using ListSize = size_t;
#else
  using ListSize = int;
#endif
  static void* List(const redisReadTask* task, ListSize size) {
    auto* const reader = static_cast<RedisReplyReader*>(task->privdata);
    if (static_cast<size_t>(size) > RedisReplyReader::kMaxReplyElements - reader->reply_elements_) {
      return nullptr;
    }
    reader->reply_elements_ += static_cast<size_t>(size);
    RedisReply* const reply = Add(task);
    reply->type = RedisReply::Type::kList;
    reply->list.resize(static_cast<size_t>(size));
    return reply;
  }
  static void* Number(const redisReadTask* task, long long value) {
    RedisReply* const reply = Add(task);
    reply->type = RedisReply::Type::kNumber;
    reply->number = value;
    return reply;
  }
  static void* Nothing(const redisReadTask* task) { return Add(task); }
  static void Free(void* reply) { delete static_cast<RedisReply*>(reply); }
};

namespace {

redisReplyObjectFunctions Functions() {
  redisReplyObjectFunctions functions = {};
  functions.createString = &ReplyBuilder::Text;
  functions.createArray = &ReplyBuilder::List;
  functions.createInteger = &ReplyBuilder::Number;
  functions.createNil = &ReplyBuilder::Nothing;
#if HIREDIS_MAJOR >= 1
  // Of version 3 of the protocol, which is not asked for.
  functions.createDouble = [](const redisReadTask*, double, char*, size_t) -> void* {
    return nullptr;
  };
  functions.createBool = [](const redisReadTask*, int) -> void* { return nullptr; };
#endif
  functions.freeObject = &ReplyBuilder::Free;
  return functions;
}

redisReplyObjectFunctions build = Functions();

}  // namespace

RedisReplyReader::RedisReplyReader()
    : reader_(redisReaderCreateWithFunctions(&build), &redisReaderFree) {
  if (reader_ != nullptr) reader_->privdata = this;
}

RedisReplyReader::~RedisReplyReader() = default;

void RedisReplyReader::Feed(absl::string_view bytes) {
  reply_bytes_ += bytes.size();
  if (reader_ != nullptr) (void)redisReaderFeed(reader_.get(), bytes.data(), bytes.size());
}

absl::StatusOr<absl::optional<RedisReply>> RedisReplyReader::Next() {
  if (reader_ == nullptr) return absl::ResourceExhaustedError("out of memory");
  void* out = nullptr;
  if (redisReaderGetReply(reader_.get(), &out) != REDIS_OK) {
    const bool too_large = reader_->err == REDIS_ERR_OOM;
    return absl::InvalidArgumentError(too_large
                                          ? "its answer is larger than any that was asked for"
                                          : absl::StrCat("what it answers is not Redis' protocol (",
                                                         Printable(reader_->errstr, 100), ")"));
  }
  if (out == nullptr) {
    if (reply_bytes_ <= kMaxReplyBytes) return absl::optional<RedisReply>();
    return absl::InvalidArgumentError("its answer is larger than any that was asked for");
  }
  const std::unique_ptr<RedisReply> reply(static_cast<RedisReply*>(out));
  reply_bytes_ = reader_->len - reader_->pos;
  reply_elements_ = 0;
  return absl::optional<RedisReply>(std::move(*reply));
}

}  // namespace p2p::tracker

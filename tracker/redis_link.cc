#include "tracker/redis_link.h"

#include <hiredis/hiredis.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/text.h"
#include "core/net/connection.h"

namespace p2p::tracker {
namespace {

// Read before others of the loop have their turn.
constexpr int kReadsPerTurn = 16;
constexpr size_t kMaxShownErrorBytes = 160;

void AppendCommand(const RedisLink::Words& words, std::string* out) {
  std::vector<const char*> texts;
  std::vector<size_t> sizes;
  for (const std::string& word : words) {
    texts.push_back(word.data());
    sizes.push_back(word.size());
  }
  char* command = nullptr;
  const int size =
      redisFormatCommandArgv(&command, static_cast<int>(words.size()), texts.data(), sizes.data());
  if (size > 0) out->append(command, static_cast<size_t>(size));
  redisFreeCommand(command);
}

}  // namespace

std::string ExplainRedisError(absl::string_view text) {
  if (absl::StartsWith(text, "NOAUTH")) {
    return "it wants a password; give --store-password-file, or P2P_STORE_PASSWORD in the "
           "environment";
  }
  if (absl::StartsWith(text, "WRONGPASS") || absl::StrContains(text, "invalid password")) {
    return "it refuses the user or the password";
  }
  return absl::StrCat("it answers \"", Printable(text, kMaxShownErrorBytes), "\"");
}

RedisLink::RedisLink(net::EventLoop* loop, RedisLinkOptions options, Events events)
    : loop_(loop),
      options_(std::move(options)),
      events_(std::move(events)),
      socket_(loop->context()),
      watch_(loop) {
  net::Resolve(loop, options_.at,
               [self = self_](absl::StatusOr<std::vector<net::Endpoint>> endpoints) {
                 RedisLink* const link = *self;
                 if (link == nullptr || link->failed_) return;
                 if (!endpoints.ok()) return link->Fail(endpoints.status());
                 link->Dial(*std::move(endpoints));
               });
}

RedisLink::~RedisLink() {
  *self_ = nullptr;
  if (cancel_dialling_) cancel_dialling_();
}

void RedisLink::Dial(std::vector<net::Endpoint> endpoints) {
  if (endpoints.empty()) return Fail(absl::NotFoundError("its name has no address"));
  const net::Endpoint to = endpoints.front();
  endpoints.erase(endpoints.begin());
  cancel_dialling_ = net::Connect(
      loop_, to, options_.patience,
      [this, others = std::move(endpoints)](absl::StatusOr<asio::ip::tcp::socket> socket) {
        cancel_dialling_ = nullptr;
        if (socket.ok()) return OnConnected(*std::move(socket));
        if (others.empty()) return Fail(socket.status());
        Dial(others);
      });
}

void RedisLink::OnConnected(asio::ip::tcp::socket socket) {
  socket_ = std::move(socket);
  const int fd = socket_.native_handle();
  if (options_.tls) {
    auto stream = MakeTlsStream(fd, {options_.at.host, options_.ca_file});
    if (!stream.ok()) return Fail(stream.status());
    stream_ = *std::move(stream);
  } else {
    stream_ = MakePlainStream(fd);
  }
  heard_ = MonotonicNow();
  Introduce();
  WaitToRead();
  Watch();
}

void RedisLink::Introduce() {
  const auto check = [this](const RedisReply& reply) {
    if (reply.IsError()) Fail(absl::FailedPreconditionError(ExplainRedisError(reply.text)));
  };
  if (!options_.password.empty()) {
    Words words = {"AUTH"};
    if (!options_.user.empty()) words.push_back(options_.user);
    words.push_back(options_.password);
    Send(words, check);
  }
  if (options_.database != 0) Send({"SELECT", absl::StrCat(options_.database)}, check);
  Send({"PING"}, [this, check](const RedisReply& reply) {
    check(reply);
    if (!failed_) events_.on_ready();
  });
}

void RedisLink::Send(const Words& words, std::function<void(RedisReply)> done) {
  if (failed_) return;
  AppendCommand(words, &out_);
  if (!subscribed_) waiting_.push_back(std::move(done));
  FlushLater();
}

void RedisLink::Subscribe(const std::string& channel) {
  subscribed_ = true;
  Send({"SUBSCRIBE", channel}, nullptr);
}

void RedisLink::Fail(absl::Status why) {
  if (std::exchange(failed_, true)) return;
  asio::error_code ignored;
  watch_.Disarm();
  socket_.close(ignored);
  waiting_.clear();
  loop_->Post([self = self_, why = std::move(why)] {
    if (*self == nullptr) return;
    // It may destroy the link, and all that its events hold.
    const auto on_closed = (*self)->events_.on_closed;
    on_closed(why);
  });
}

// What a server with TLS alone does to a client without looks like any failure.
absl::Status RedisLink::Explained(const absl::Status& why) const {
  if (answered_ || options_.tls) return why;
  return absl::Status(why.code(), absl::StrCat(why.message(), "; if it speaks TLS alone, give ",
                                               "rediss:// instead of redis://"));
}

void RedisLink::WaitToRead() {
  socket_.async_wait(asio::ip::tcp::socket::wait_read,
                     [self = self_](const asio::error_code& error) {
                       if (*self != nullptr && !error) (*self)->OnReadable();
                     });
}

void RedisLink::OnReadable() {
  const absl::Span<uint8_t> scratch = loop_->Scratch();
  const absl::Span<char> buffer(reinterpret_cast<char*>(scratch.data()), scratch.size());
  const std::shared_ptr<RedisLink*> self = self_;
  for (int i = 0; i < kReadsPerTurn && !failed_; ++i) {
    const absl::StatusOr<size_t> read = stream_->Read(buffer);
    if (!read.ok()) return Fail(Explained(read.status()));
    if (*read == 0) break;
    heard_ = MonotonicNow();
    reader_.Feed(absl::string_view(buffer.data(), *read));
    TakeReplies();
    if (*self == nullptr) return;
  }
  if (failed_) return;
  // TLS may have waited for what was read.
  Flush();
  if (!failed_) WaitToRead();
}

void RedisLink::TakeReplies() {
  const std::shared_ptr<RedisLink*> self = self_;
  while (*self != nullptr && !failed_) {
    auto reply = reader_.Next();
    if (!reply.ok()) return Fail(Explained(reply.status()));
    if (!reply->has_value()) return;
    answered_ = true;
    Take(**std::move(reply));
  }
}

void RedisLink::Take(RedisReply reply) {
  if (subscribed_ && waiting_.empty()) return events_.on_push(std::move(reply));
  if (waiting_.empty()) {
    return Fail(absl::InvalidArgumentError(reply.IsError() ? ExplainRedisError(reply.text)
                                                           : "it answers what was not asked"));
  }
  const std::function<void(RedisReply)> done = std::move(waiting_.front());
  waiting_.pop_front();
  if (done) done(std::move(reply));
}

// All that is sent in one handler leaves in one piece.
void RedisLink::FlushLater() {
  if (stream_ == nullptr || std::exchange(flush_posted_, true)) return;
  loop_->Post([self = self_] {
    if (*self == nullptr) return;
    (*self)->flush_posted_ = false;
    (*self)->Flush();
  });
}

void RedisLink::Flush() {
  size_t sent = 0;
  while (sent < out_.size() && !failed_ && !waits_for_room_) {
    const auto written = stream_->Write(absl::string_view(out_).substr(sent));
    if (!written.ok()) {
      Fail(Explained(written.status()));
    } else if (*written > 0) {
      sent += *written;
    } else {
      if (!stream_->WaitsForRoom()) break;
      waits_for_room_ = true;
      socket_.async_wait(asio::ip::tcp::socket::wait_write,
                         [self = self_](const asio::error_code& error) {
                           if (*self == nullptr || error) return;
                           (*self)->waits_for_room_ = false;
                           (*self)->Flush();
                         });
    }
  }
  out_.erase(0, sent);
}

// A server that hangs, or is gone without a word, is noticed by its silence.
void RedisLink::Watch() {
  const absl::Time now = MonotonicNow();
  if (now >= heard_ + options_.patience) {
    return Fail(absl::DeadlineExceededError(absl::StrCat(
        "no answer within ", HumanDuration(options_.patience),
        options_.tls && !answered_ ? "; if it speaks no TLS, give redis:// instead of rediss://"
                                   : "")));
  }
  if (waiting_.empty()) Send({"PING"}, nullptr);
  watch_.Arm(now + options_.patience / 3, [this] { Watch(); });
}

}  // namespace p2p::tracker

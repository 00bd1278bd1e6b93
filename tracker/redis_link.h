// One connection to Redis: dials, proves who we are, and then carries commands and their replies in
// order; hiredis writes and reads the protocol. Belongs to its loop's thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asio/ip/tcp.hpp"
#include "core/net/address.h"
#include "core/net/event_loop.h"
#include "tracker/byte_stream.h"
#include "tracker/redis_reply.h"

namespace p2p::tracker {

struct RedisLinkOptions {
  net::HostPort at;
  bool tls = false;
  std::string ca_file;   // TlsOptions
  std::string user;      // with a password only; "": whom Redis takes by default
  std::string password;  // "": none is given
  int database = 0;
  // A server that leaves a question open for so long is given up; so often it is asked at least.
  absl::Duration patience = absl::Seconds(5);
};

class RedisLink {
 public:
  using Words = std::vector<std::string>;
  struct Events {
    std::function<void()> on_ready;
    // The last call; the link may be destroyed in it. Commands without a reply have none. The
    // status is a sentence without the server's name.
    std::function<void(const absl::Status& why)> on_closed;
    // What comes after Subscribe.
    std::function<void(RedisReply)> on_push;
  };

  RedisLink(net::EventLoop* loop, RedisLinkOptions options, Events events);
  ~RedisLink();
  RedisLink(const RedisLink&) = delete;
  RedisLink& operator=(const RedisLink&) = delete;

  // Sent after the running handler. `done` may be empty.
  void Send(const Words& words, std::function<void(RedisReply)> done);
  // From now on replies go to on_push, and nothing else is sent.
  void Subscribe(const std::string& channel);
  // Ends it with that reason, as if it came from the other side.
  void Fail(absl::Status why);

  const net::HostPort& at() const { return options_.at; }

 private:
  void Dial(std::vector<net::Endpoint> endpoints);
  void OnConnected(asio::ip::tcp::socket socket);
  void Introduce();
  absl::Status Explained(const absl::Status& why) const;
  void WaitToRead();
  void OnReadable();
  void TakeReplies();
  void Take(RedisReply reply);
  void FlushLater();
  void Flush();
  void Watch();

  net::EventLoop* const loop_;
  const RedisLinkOptions options_;
  const Events events_;
  // Handlers that outlive the link find it empty.
  std::shared_ptr<RedisLink*> self_ = std::make_shared<RedisLink*>(this);
  std::function<void()> cancel_dialling_;
  asio::ip::tcp::socket socket_;
  std::unique_ptr<ByteStream> stream_;
  net::Timer watch_;
  RedisReplyReader reader_;
  std::string out_;
  std::deque<std::function<void(RedisReply)>> waiting_;  // for replies, in order
  absl::Time heard_;
  bool answered_ = false;
  bool subscribed_ = false;
  bool failed_ = false;
  bool flush_posted_ = false;
  bool waits_for_room_ = false;
};

// What an error reply means to who runs the tracker, as a sentence.
std::string ExplainRedisError(absl::string_view text);

}  // namespace p2p::tracker

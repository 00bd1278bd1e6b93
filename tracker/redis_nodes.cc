#include "tracker/redis_nodes.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"

namespace p2p::tracker {

RedisNodes::RedisNodes(net::EventLoop* loop, const RedisLinkOptions& options,
                       std::function<void()> on_ready,
                       std::function<void(const absl::Status&)> on_closed)
    : loop_(loop),
      options_(options),
      on_ready_(std::move(on_ready)),
      on_closed_(std::move(on_closed)) {
  links_.push_back(Dial(options.at, [this] { AskForCluster(); }));
}

std::unique_ptr<RedisLink> RedisNodes::Dial(const net::HostPort& at,
                                            std::function<void()> on_ready) {
  RedisLinkOptions options = options_;
  options.at = at;
  return std::make_unique<RedisLink>(
      loop_, options, RedisLink::Events{std::move(on_ready), on_closed_, [](const RedisReply&) {}});
}

void RedisNodes::AskForCluster() {
  links_.front()->Send({"CLUSTER", "SLOTS"}, [this](const RedisReply& reply) {
    if (!reply.IsError()) return OnSlots(reply);
    // It is no cluster, or we may not know.
    on_ready_();
  });
}

void RedisNodes::OnSlots(const RedisReply& reply) {
  auto map = ParseClusterSlots(reply, options_.at.host);
  if (!map.ok()) return Fail(map.status());
  cluster_ = std::make_unique<ClusterMap>(*std::move(map));
  former_ = std::move(links_);
  links_.clear();
  for (const net::HostPort& master : cluster_->masters) {
    links_.push_back(Dial(master, [this] {
      if (++ready_ < links_.size()) return;
      former_.clear();
      on_ready_();
    }));
  }
}

void RedisNodes::Send(absl::string_view key, const Words& words, Done done) {
  if (cluster_ == nullptr) return SendTo(0, words, std::move(done));
  SendTo(cluster_->master_of_slot[ClusterSlot(key)], words,
         [this, words, done = std::move(done)](RedisReply reply) {
           if (reply.IsError() && absl::StartsWith(reply.text, "ASK ")) {
             return FollowAsk(reply, words, done);
           }
           if (done) done(std::move(reply));
         });
}

void RedisNodes::FollowAsk(const RedisReply& error, const Words& words, Done done) {
  const auto to = ParseAsk(error.text);
  const auto link = std::find_if(links_.begin(), links_.end(), [&to](const auto& other) {
    return to.ok() && other->at().host == to->host && other->at().port == to->port;
  });
  // A master that is new: the next attempt knows it.
  if (link == links_.end()) return Fail(absl::UnavailableError("its cluster has another node"));
  (*link)->Send({"ASKING"}, nullptr);
  (*link)->Send(words, std::move(done));
}

}  // namespace p2p::tracker

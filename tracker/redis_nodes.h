// The connections that commands go over: one, or one to each master of a Redis Cluster. They are
// there all together or not at all: where one is lost, its owner begins anew. Belongs to its loop's
// thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tracker/cluster_slots.h"
#include "tracker/redis_link.h"

namespace p2p::tracker {

class RedisNodes {
 public:
  using Words = RedisLink::Words;
  using Done = std::function<void(RedisReply)>;

  // Of `on_ready` and `on_closed` the latter is the last call; it may come without the former. The
  // nodes may be destroyed in it.
  RedisNodes(net::EventLoop* loop, const RedisLinkOptions& options, std::function<void()> on_ready,
             std::function<void(const absl::Status& why)> on_closed);
  RedisNodes(const RedisNodes&) = delete;
  RedisNodes& operator=(const RedisNodes&) = delete;

  // To the node that has the key. The reply of a key that is about to move comes from where it
  // went.
  void Send(absl::string_view key, const Words& words, Done done);
  // To the i-th of count(); 0 where any node does.
  void SendTo(size_t i, const Words& words, Done done) { links_[i]->Send(words, std::move(done)); }
  size_t count() const { return links_.size(); }
  // Of a cluster, once it is ready; empty where there is none.
  std::vector<net::HostPort> masters() const {
    return cluster_ == nullptr ? std::vector<net::HostPort>() : cluster_->masters;
  }
  void Fail(absl::Status why) { links_.front()->Fail(std::move(why)); }

 private:
  std::unique_ptr<RedisLink> Dial(const net::HostPort& at, std::function<void()> on_ready);
  void AskForCluster();
  void OnSlots(const RedisReply& reply);
  void FollowAsk(const RedisReply& error, const Words& words, Done done);

  net::EventLoop* const loop_;
  const RedisLinkOptions options_;
  const std::function<void()> on_ready_;
  const std::function<void(const absl::Status&)> on_closed_;
  // Where a cluster is spoken with, links_ are in the order of its masters.
  std::unique_ptr<ClusterMap> cluster_;
  std::vector<std::unique_ptr<RedisLink>> links_;
  std::vector<std::unique_ptr<RedisLink>> former_;  // asked for the cluster's slots
  size_t ready_ = 0;
};

}  // namespace p2p::tracker

// Tells Redis what changed, and through it the other trackers, while there is a connection: in
// batches, so many under way at a time. What is told is what the registry has at that moment.
// Belongs to its loop's thread.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "tracker/redis_nodes.h"
#include "tracker/registry.h"
#include "tracker/store_record.h"
#include "tracker/waiting_changes.h"

namespace p2p::tracker {

class StoreWriter {
 public:
  struct Context {
    RedisNodes* nodes;
    const StoreClock* clock;
    WaitingChanges* waiting;
    Registry* registry;
    std::string channel;
    std::string sender;  // at the head of each message
  };

  static constexpr absl::Duration kRefusedPause = absl::Seconds(1);

  // `on_told` is told of each batch: OK, or why Redis refuses it, as a sentence; it waits again
  // then. With `tell_all` everything that is registered is told too.
  StoreWriter(Context context, bool tell_all, std::function<void(const absl::Status&)> on_told);
  // What is under way waits again.
  ~StoreWriter();
  StoreWriter(const StoreWriter&) = delete;
  StoreWriter& operator=(const StoreWriter&) = delete;

  // Sends of what waits as much as may be under way. After a refusal, nothing for kRefusedPause and
  // then one batch.
  void Write();
  // What the address has will be told as if it had changed: another tracker took out of Redis all
  // that an address had which unregistered, and what began later may have been among it.
  void TellAgain(const wire::PeerAddress& address);
  // Nothing waits and nothing is under way.
  bool IsIdle() const;
  // At least one until everything was told that is to be.
  size_t changes_under_way() const;

 private:
  struct Batch {
    std::vector<WaitingChanges::Item> items;
    std::vector<std::string> messages;
    size_t calls_due = 0;
    bool published = false;
    absl::Status problem;
  };
  using BatchPlace = std::list<Batch>::iterator;

  void AddRegistered();
  void AddUnchanged(const RegistrationView& one);
  void SendBatch();
  void Tell(BatchPlace batch, const WaitingChanges::Item& item);
  void TellAllOf(BatchPlace batch, const WaitingChanges::Item& item);
  void TellRegistered(BatchPlace batch, const WaitingChanges::Item& item);
  void TellGone(BatchPlace batch, const WaitingChanges::Item& item);
  void TellRenewed(BatchPlace batch, const WaitingChanges::Item& item);
  void SetNotes(BatchPlace batch, const std::string& key, const RedisNodes::Words& set);
  void KeepLonger(BatchPlace batch, const std::string& key);
  void Call(BatchPlace batch, const std::string& key, const RedisNodes::Words& words);
  void OnReply(BatchPlace batch, const RedisReply& reply);
  void CountFields(BatchPlace batch, const wire::PeerAddress& address, bool renewed);
  void OnFieldCount(const wire::PeerAddress& address, bool renewed, const RedisReply& reply);
  std::string* MessageOf(BatchPlace batch);
  void Publish(BatchPlace batch);

  const Context context_;
  const std::function<void(const absl::Status&)> on_told_;
  absl::optional<Registry::Cursor> tell_all_from_;
  std::list<Batch> under_way_;
  absl::Time refused_until_ = absl::InfinitePast();
};

}  // namespace p2p::tracker

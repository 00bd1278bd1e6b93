// Shares a tracker's registrations with other trackers through Redis. Every tracker has all of them
// in its own registry and answers from there; Redis keeps a copy for those that start, and carries
// what changes to those that run (store_record.h tells how it looks there). While it is away, what
// changes waits, and is told when it is back.
//
// A connection is made in this order: subscribe to the others' changes; read everything; apply what
// the others told meanwhile; tell what waits. Where one connection is lost, all of it begins anew.
// Owned by main; it has a loop of its own, where all but the public calls happen.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/timed_wait.h"
#include "core/net/event_loop.h"
#include "core/wire/tracker_messages.h"
#include "tracker/change_queue.h"
#include "tracker/redis_link.h"
#include "tracker/redis_nodes.h"
#include "tracker/registry.h"
#include "tracker/store_loader.h"
#include "tracker/store_url.h"
#include "tracker/store_writer.h"
#include "tracker/waiting_changes.h"

namespace p2p::tracker {

struct StoreOptions {
  StoreUrl url;
  std::string ca_file;  // TlsOptions
  // Asked before each connection; "": none.
  std::function<absl::StatusOr<std::string>()> password;
};

class RedisStore {
 public:
  // Begins to connect. `registry` outlives it.
  RedisStore(StoreOptions options, Registry* registry);
  // Stops.
  ~RedisStore();
  RedisStore(const RedisStore&) = delete;
  RedisStore& operator=(const RedisStore&) = delete;

  // Any thread, until Stop.
  ChangeListener* listener() { return &queue_; }
  // Waits, for so long at most, until everything was read or the first attempt failed.
  bool WaitUntilSettled(absl::Duration at_most);
  // Everything was read, and the connection stands.
  bool connected() const;
  // Tells what waits, if Redis takes it within a second, and ends the connections.
  void Stop();
  // Where it is, how it does, and since when. Any thread.
  wire::Figures figures() const;

 private:
  enum class State { kConnecting, kLoading, kConnected, kRefused, kAway };
  static const char* NameOf(State state);

  void Connect();
  net::HostPort NextNode();
  RedisLinkOptions LinkOptions(std::string password) const;
  void OnPush(const RedisReply& reply);
  void OnMessage(const std::string& message);
  void Apply(absl::string_view message);
  void DialNodes();
  void OnNodesReady();
  void AskTime();
  void OnTime(absl::Time asked, const RedisReply& reply);
  void AskIdentity();
  void Load();
  void OnLoaded(absl::StatusOr<size_t> registrations);
  void OnClosed(const absl::Status& why);
  void OnTold(const absl::Status& status);

  // What clients changed is taken over every few milliseconds, and told.
  void TakeSoon();
  void TakeChanges();
  void Write();
  void SetState(State state, absl::string_view error);
  void TellFigures();
  void Disconnect();

  const StoreOptions options_;
  const std::string where_;
  const std::string channel_;
  const std::string self_;  // random
  Registry* const registry_;
  net::EventLoop loop_;
  ChangeQueue queue_;
  TimedNotification settled_;
  TimedNotification idle_;
  bool stopped_ = false;  // the owner's thread

  // The loop's thread.
  absl::InsecureBitGen random_;
  net::Timer retry_timer_;
  net::Timer take_timer_;
  net::Timer time_timer_;
  ChangeQueue::Batch taken_;
  WaitingChanges waiting_;
  StoreClock clock_;
  RedisLinkOptions link_options_;
  std::vector<net::HostPort> masters_;  // of the cluster, when it was last connected
  size_t dialled_ = 0;                  // nodes since then
  std::unique_ptr<RedisLink> subscriber_;
  std::unique_ptr<RedisNodes> nodes_;
  std::unique_ptr<StoreLoader> loader_;
  std::unique_ptr<StoreWriter> writer_;
  std::vector<std::string> held_;  // messages that came while everything is read
  size_t held_bytes_ = 0;
  std::vector<std::string> identity_;  // of the servers that were told everything
  std::vector<std::string> next_identity_;
  bool tell_all_ = false;
  absl::Time load_began_;
  absl::Time write_after_;
  int failures_ = 0;
  bool stopping_ = false;

  struct Shown {
    State state = State::kConnecting;
    std::string error;
    absl::Time since;
    size_t waiting = 0;
    uint64_t learned = 0;  // changes from other trackers
    uint64_t unreadable = 0;
  };
  mutable absl::Mutex mutex_;
  Shown shown_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace p2p::tracker

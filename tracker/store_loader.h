// Reads all registrations out of Redis into the registry, once, and then the notes of what went,
// which take away what is older than they. Never asks for everything at once: SCAN and HSCAN in
// turns, so many of them under way at a time. Belongs to its loop's thread.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/wire/peer_address.h"
#include "tracker/redis_nodes.h"
#include "tracker/registry.h"
#include "tracker/store_record.h"
#include "tracker/waiting_changes.h"

namespace p2p::tracker {

class StoreLoader {
 public:
  // What `waiting` covers is newer here than there, and left out. `done` is told how many
  // registrations there were that live, or an error reply as a sentence; it may destroy the loader.
  StoreLoader(RedisNodes* nodes, const StoreClock& clock, const WaitingChanges* waiting,
              Registry* registry, std::function<void(absl::StatusOr<size_t>)> done);
  StoreLoader(const StoreLoader&) = delete;
  StoreLoader& operator=(const StoreLoader&) = delete;

 private:
  // A peer's hash, or the notes about it, read in turns.
  struct Peer {
    std::string key;
    wire::PeerAddress address;
    absl::Time renewed_until = absl::InfinitePast();
  };

  void Scan(const std::string& cursor);
  void OnScanned(const RedisReply& reply);
  void Begin(std::shared_ptr<Peer> peer);
  void Read(std::shared_ptr<Peer> peer, const std::string& cursor);
  void OnRead(const std::shared_ptr<Peer>& peer, const RedisReply& reply);
  void OnRenewed(Peer* peer, const RedisReply& reply);
  void TakeRecord(const Peer& peer, const std::string& field, const std::string& value);
  void TakeNote(const Peer& peer, const std::string& field, const std::string& value);
  // After each reply: what is to be asked next.
  void GoOn();
  void Finish(absl::StatusOr<size_t> result);

  RedisNodes* const nodes_;
  const StoreClock clock_;
  const WaitingChanges* const waiting_;
  Registry* const registry_;
  std::function<void(absl::StatusOr<size_t>)> done_;
  absl::string_view prefix_ = kPeerKeyPrefix;  // of the keys that are being read
  size_t node_ = 0;
  std::string cursor_;  // of SCAN; "" while it is asked
  std::deque<std::shared_ptr<Peer>> found_;
  size_t under_way_ = 0;  // peers
  size_t registrations_ = 0;
};

}  // namespace p2p::tracker

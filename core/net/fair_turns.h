// Whose turn it is on a busy loop: of those that have something to do, whoever has had least of the
// loop's time goes first, however many connections it has. Belongs to its loop's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <utility>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"

namespace p2p::net {

class FairTurns {
 public:
  // `post` runs what it is given later, behind what else is ready; `now` tells the time.
  FairTurns(std::function<void(std::function<void()>)> post, std::function<absl::Time()> now)
      : post_(std::move(post)), now_(std::move(now)) {}

  // The turns of one run in the order in which they were added.
  void Add(uint64_t whose, std::function<void()> turn);
  // Drops what waits: before what the turns hold on to is gone.
  void Clear();
  // Those that wait, and those that have had more than one that waits.
  size_t remembered() const { return all_.size(); }

 private:
  struct One {
    absl::Duration had;
    std::deque<std::function<void()>> waiting;
  };
  void SetHad(uint64_t whose, One* one, absl::Duration had);
  void ForgetIdle();
  void Run();

  const std::function<void(std::function<void()>)> post_;
  const std::function<absl::Time()> now_;
  absl::flat_hash_map<uint64_t, One> all_;
  absl::btree_set<std::pair<absl::Duration, uint64_t>> by_had_;  // of all
  // What whoever had the last turn had before it: who comes has had no less, so that nobody saves
  // turns up.
  absl::Duration least_;
  size_t waiting_ = 0;
};

}  // namespace p2p::net

// The addresses at which one transfer may find peers, and when each may be tried next. Belongs to
// the engine loop.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "daemon/engine/backoff.h"

namespace p2p::engine {

class PeerBook {
 public:
  struct Candidate {
    std::string address;
    bool original = false;  // known to speak only the original protocol
    bool self = false;      // this daemon's own address: not tried again
    bool banned = false;    // it sent wrong data: not tried again
    int links = 0;          // connections that stand or are on their way
    std::string problem;    // why the last one ended
    absl::Time next_try = absl::InfinitePast();
    Backoff backoff{absl::Seconds(1), absl::Seconds(60)};
  };

  explicit PeerBook(uint64_t random_seed) : random_(random_seed) {}

  // Ignores what is no address to connect to (a name, port 0, multicast, ...) and what comes when
  // the book is full.
  void Add(const std::string& address);
  Candidate* Find(absl::string_view address);
  // Those that may be tried now and have fewer than `links_each` connections, in random order.
  std::vector<Candidate*> Due(absl::Time now, int links_each);
  absl::Time NextDue(int links_each) const;

  // A connection could not be made or ended without use: waits grow. `at_once`: it was useful, no
  // wait.
  void OnLinkGone(Candidate* candidate, absl::Time now, bool was_useful, std::string problem);
  // Waits are over: for a user who resumes.
  void ForgetWaits();

  // Candidates that may be tried sooner or later.
  size_t usable_size() const;
  const std::map<std::string, Candidate, std::less<>>& all() const { return candidates_; }

 private:
  std::map<std::string, Candidate, std::less<>> candidates_;
  std::mt19937_64 random_;
};

}  // namespace p2p::engine

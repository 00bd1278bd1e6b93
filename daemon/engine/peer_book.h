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
    bool original = false;     // known to speak only the original protocol
    bool self = false;         // this daemon's own address: not tried again
    bool banned = false;       // it sent wrong data: not tried again
    bool kept = false;         // the user named it: never forgotten
    bool unreachable = false;  // nobody answered when it was dialled last
    int links = 0;             // connections that stand or are on their way, whoever dialled
    int dialled = 0;           // of these, those dialled from here
    int failures = 0;          // times that nobody answered, since it was named last
    std::string problem;       // why the last one ended
    absl::Time next_try = absl::InfinitePast();
    Backoff backoff{absl::Seconds(1), absl::Seconds(60)};
  };
  // How a connection ended.
  enum class End {
    kUseful,      // it brought something, or stood for long: the next one need not wait
    kUseless,     // waits grow
    kUnanswered,  // waits grow, and the address may be forgotten
    kBusy,        // it has no room for another peer: waits are longer and grow
    kSurplus,     // there is another one to the same peer
    kAccepted,    // it was the other side's: nothing is known of what dialling would bring
  };

  explicit PeerBook(uint64_t random_seed) : random_(random_seed) {}

  // True when it was not known. Ignores what is no address to connect to (a name, port 0,
  // multicast, ...) and what comes when the book is full. A known address that is named again is
  // not forgotten for a while, and not tried sooner either.
  bool Add(const std::string& address, bool keep = false);
  Candidate* Find(absl::string_view address);
  // Those that may be tried now and have fewer than `links_each` connections, in random order;
  // those that the user named come first. Only so many that no more than `most_peers` are connected
  // in all.
  std::vector<Candidate*> Due(absl::Time now, int links_each, int most_peers);
  absl::Time NextDue(int links_each, int most_peers) const;
  // Peers to which a connection stands or is on its way, whoever dialled.
  int connected_peers() const;

  // A connection ended. In a book of more than a few addresses, one that nobody answers at and that
  // nobody named again is forgotten: `candidate` may be gone afterwards.
  void OnLinkGone(Candidate* candidate, absl::Time now, End end, std::string problem);
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

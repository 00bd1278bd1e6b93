// The addresses at which one transfer may find peers, and when each may be tried next. Belongs to
// the engine loop.
//
// The one door for addresses: only what Add() took is a Candidate, and only a Candidate can be
// dialled (Links::Dial). What it refuses it remembers, with the reason.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/net/address.h"
#include "daemon/engine/address_rules.h"
#include "daemon/engine/backoff.h"
#include "daemon/engine/fair_share.h"
#include "daemon/engine/origin.h"

namespace p2p::engine {

class PeerBook {
  // Keeps others from making candidates.
  struct Admitted {
    explicit Admitted(int) {}
  };

 public:
  struct Candidate {
    Candidate(Admitted, const net::Endpoint& at, std::string told_by)
        : endpoint(at),
          address(net::FormatEndpoint(at)),
          origin(Origin::Of(at)),
          teller(std::move(told_by)) {}

    const net::Endpoint endpoint;
    const std::string address;
    const Origin origin;
    const std::string teller;  // Teller::name of who told it first

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
    // Since when accepted connections that proved nothing say that they are of who is there.
    absl::Time claimed = absl::InfiniteFuture();
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
  struct Refused {
    std::string address;
    std::string reason;
  };

  // `own` outlives the book.
  PeerBook(uint64_t random_seed, const OwnPlace* own) : random_(random_seed), own_(own) {}

  // True when it was not known. Refuses what may not be dialled on the teller's word, and more than
  // its host or its teller may have here. What a tracker or the user names again is not forgotten
  // for a while, and not tried sooner either; a peer's word does not bring back what was forgotten.
  bool Add(const std::string& address, const Teller& teller, absl::Time now);
  Candidate* Find(absl::string_view address);
  // Those that may be tried now and have fewer than `links_each` connections: first those that the
  // user named, then fairly by network and host, otherwise in random order. Only so many that no
  // more than `most_peers` are connected in all; but the least that are dialled from here
  // (limits::kLeastDialledPeers), and somewhat more where a network waits that has less than
  // another.
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
  // The latest, none twice.
  const std::deque<Refused>& refused() const { return refused_; }

 private:
  class Room;

  void Refuse(std::string address, std::string reason);
  // Makes room where that is needed. The reason when there is none, or "".
  std::string TakeRoom(const Origin& origin, const Teller& teller, absl::Time now);
  // Lets go of one of those that `may_go` is true for and that are not connected: one that is not
  // tried again, one that is not reached, or one of whoever has told most of them, if that is more
  // than `teller` would then have told.
  bool Displace(const std::string& teller, const std::function<bool(const Candidate&)>& may_go,
                absl::Time now);
  void Forget(const Candidate& candidate, absl::Time now);

  std::map<std::string, Candidate, std::less<>> candidates_;
  std::deque<Refused> refused_;
  absl::flat_hash_map<std::string, absl::Time> forgotten_;  // and when
  std::mt19937_64 random_;
  const OwnPlace* const own_;
};

}  // namespace p2p::engine

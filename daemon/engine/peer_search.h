// Finds peers of one content and keeps connections to them: asks trackers, asks peers whom else
// they know, dials, and lets go of what both sides dialled. Belongs to the engine loop; made by a
// Fetch.
//
// It dials a bounded number of peers, chosen at random, so that a swarm of any size holds together
// while nobody has too many connections; those that peers dial come on top.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "daemon/engine/backoff.h"
#include "daemon/engine/content_state.h"
#include "daemon/engine/links.h"
#include "daemon/engine/peer_book.h"
#include "daemon/engine/runtime.h"
#include "daemon/engine/trackers.h"

namespace p2p::engine {

class PeerSearchHost {
 public:
  virtual ~PeerSearchHost() = default;
  virtual std::shared_ptr<Transfer> SelfAsTransfer() = 0;
  // A connection is on its way: what is said first.
  virtual void OnDialled(Link& link) = 0;
  // Links that have something that is still wanted.
  virtual int useful_links() const = 0;
  // Still to be fetched; 0 while that is not known.
  virtual ByteCount bytes_left() const = 0;
};

class PeerSearch : public std::enable_shared_from_this<PeerSearch> {
 public:
  // `original_name`: only peers of the original protocol are wanted, which are asked for that name.
  PeerSearch(Runtime* runtime, Links* links, Trackers* trackers, TransferId transfer,
             const ContentState* content, std::string original_name, PeerSearchHost* host);

  void Add(const ToldPeers& told);
  void Start() { Hunt(); }
  // Nothing is asked or dialled any more.
  void Stop();
  // For a user who resumes or a tracker that came back: no waits.
  void HuntNow();
  void DialMore();

  void OnHello(Link& link);
  // A link that was accepted or dialled may be used now.
  void OnOpened(Link& link);
  void OnRefused(Link& link, const session::OpenAnswered& refusal);
  void OnPeersTold(Link& link, const std::vector<std::string>& addresses);
  void OnOriginal(Link& link);
  // The address that was dialled is not dialled again. False where it was banned before, by another
  // link.
  bool OnBanned(Link& link, const std::string& reason);
  // Nothing is asked of it: the address where it says that it takes connections is dialled.
  void OnLeftAlone(const Link& link) { Uncount(link.id()); }
  void OnSelfDialled(const std::string& address);
  void OnLinkClosed(Link& link, const std::string& reason);

  const PeerBook& book() const { return book_; }

 private:
  bool by_original() const { return !original_name_.empty(); }
  void ForEachLink(const std::function<void(Link&)>& visit);
  // Peers, not links, that take part.
  size_t CountOpenPeers();
  // Fewer than half of the peers that it could have.
  bool IsShortOfPeers();

  void Hunt();
  void HuntSoon();
  void AskTrackers();
  void OnFound(const ToldPeers& told);
  void AskAPeer();
  void ArmExchangeTimer();
  void Dial(PeerBook::Candidate* candidate);
  // More peers are dialled while those at hand have little of use, one step each time.
  void AdjustMostPeers();
  // An accepted link stands for the address where its peer says that it takes connections: that is
  // not dialled, too.
  void CountAccepted(const Link& link);
  void Uncount(LinkId id);
  // Its host is certain, the port is not: where such a link brings nothing, the address is dialled
  // all the same. If it is the same peer, that closes the second connection, and is believed.
  absl::Time DoubtAccepted();  // when to look again
  void BelieveAccepted(const Link& closed);
  // Of what was dialled to an address and accepted from who says that it is there.
  void CloseSurplus(const Link& link);
  // With more peers than one needs, lets go of one that was dialled from here, of a network and
  // host that has most, otherwise at random: those that come later are then linked with those that
  // came early, and all have about as many.
  void ShedOne();
  int LinksEach() const;
  absl::Duration AboutTwentySeconds();

  Runtime* const runtime_;
  Links* const links_;
  Trackers* const trackers_;
  const TransferId transfer_;
  const ContentState* const content_;
  const std::string original_name_;
  PeerSearchHost* const host_;

  std::mt19937_64 random_;
  PeerBook book_;
  // Links that count as connections of an address in the book.
  absl::flat_hash_map<LinkId, std::string> counted_;
  absl::flat_hash_set<LinkId> believed_;  // accepted ones
  net::Timer hunt_timer_;
  net::Timer exchange_timer_;
  net::Timer dial_timer_;
  Backoff hunt_backoff_;
  Backoff exchange_backoff_;
  int most_peers_;  // that are dialled for, whoever dials
  absl::Time last_hunt_ = absl::InfinitePast();
  bool stopped_ = false;
};

}  // namespace p2p::engine

// One peer: plays the engine. It feeds what its links say into the daemon's Swarm, does what the
// Swarm decides, and answers what others ask; see daemon/engine/fetch.cc, fetch_chunks.cc and
// serving.cc, which it follows step by step.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "absl/container/btree_map.h"
#include "core/base/chunk_set.h"
#include "core/base/limits.h"
#include "core/base/send_tally.h"
#include "core/content/layout.h"
#include "daemon/engine/backoff.h"
#include "daemon/swarm/swarm.h"
#include "tests/sim/sim_link.h"

namespace p2p::sim {

class SimPeer;

// The world around the peers.
class PeerWorld {
 public:
  virtual ~PeerWorld() = default;
  // Peers that the tracker tells; none when it is away.
  virtual std::vector<uint32_t> AskTracker(uint32_t asking) = 0;
  // Begins a connection; nullptr when there is nobody. Both ends know their link then.
  virtual SimLink* Dial(SimPeer* from, uint32_t to) = 0;
  virtual SimLink* FindLink(LinkId id) = 0;
  virtual bool IsLiar(uint32_t peer) const = 0;
  // A checked chunk is here now.
  virtual void OnChunk(SimPeer* peer, ChunkIndex chunk) = 0;
};

struct PeerCounters {
  uint64_t chunks_unwanted = 0;  // came whole, and somebody else had brought them
  uint64_t chunks_bad = 0;
  uint64_t wrong_chunks_kept = 0;
};

struct PeerTraits {
  bool seed = false;  // has everything and dials nobody
  uint32_t unit_leaves = limits::kLeavesPerChunk;
  // Dials until so many stand, whoever dialled them; lets go of one that it dialled when more do.
  int wanted_links = limits::kWantedPeers;
  int most_links = limits::kMostPeers;
  // From a fact to the decision that follows: a turn of the engine's loop, in which a chunk is
  // checked and written as well. What comes in between is decided on together.
  absl::Duration turn = absl::Milliseconds(1);
};

class SimPeer : public SimLinkUser, public EventHandler {
 public:
  SimPeer(uint32_t peer, PeerWorld* world, EventQueue* events, const Host& its_host,
          std::shared_ptr<const content::Layout> layout, const PeerTraits& traits,
          uint64_t random_seed);

  // Joins: asks the tracker and dials.
  void Start();
  // The process ends; its connections close.
  void Vanish();
  void AddToBook(uint32_t other);
  void AddLink(SimLink* link) { links_[link->id] = link; }
  bool HasRoom() const { return links_.size() < limits::kMaxAcceptedLinks; }

  bool online() const { return online_; }
  bool complete() const { return traits_.seed || swarm_->Complete(); }
  const ChunkSet& have() const { return traits_.seed ? everything_ : swarm_->have(); }
  bool HasBanned(uint32_t other) const { return swarm_ != nullptr && swarm_->IsBanned(other); }
  const absl::btree_map<LinkId, SimLink*>& links() const { return links_; }

  const uint32_t number;
  Host host;
  PeerCounters counters;
  absl::Time finished = absl::InfiniteFuture();

 private:
  enum What : uint32_t { kPump, kWake, kDial, kHunt };
  struct Candidate {
    absl::Time next_try = absl::InfinitePast();
    engine::Backoff backoff{absl::Seconds(1), absl::Seconds(60)};
    int links = 0;  // dialled
    bool banned = false;
  };
  struct Arrived {
    LinkId link;
    uint32_t from;
    ChunkPart part;
  };

  void OnEvent(uint32_t what) override;
  void OnLinkEvent(SimLink* link, session::PeerEvent& event) override;
  void OnLinkClosed(SimLink* link) override;
  // The halves of OnLinkEvent: what a fetch is told, what serving is asked.
  bool OnAnswer(SimLink* link, session::PeerEvent& event);
  void OnQuestion(SimLink* link, const session::PeerEvent& event);
  bool fetching() const { return swarm_ != nullptr && !swarm_->Complete(); }

  void ShedOne();
  void Hunt();
  void DialMore();
  Candidate* Find(uint32_t other);
  void Join(SimLink* link);
  void AddToSwarm(SimLink* link);
  void Ban(SimLink* link);
  void SchedulePump();
  void Pump();
  void Request(const swarm::RequestChunks& request);
  void CheckArrived();
  void TellHaves(const std::vector<ChunkPart>& fresh);
  void SendHaveSet(SimLink* link);
  void ServeChunk(SimLink* link, const ChunkPart& part);
  void SendPeers(SimLink* link);

  PeerWorld* const world_;
  EventQueue* const events_;
  const std::shared_ptr<const content::Layout> layout_;
  const PeerTraits traits_;
  ChunkSet everything_;
  const std::shared_ptr<SendTally> tally_;
  std::unique_ptr<swarm::Swarm> swarm_;
  std::mt19937_64 random_;
  // Ordered, for the same run each time.
  absl::btree_map<LinkId, SimLink*> links_;
  absl::btree_map<uint32_t, Candidate> book_;
  std::vector<Arrived> arrived_;
  bool online_ = false;
  bool pump_scheduled_ = false;
  bool dial_scheduled_ = false;
  absl::Time wake_ = absl::InfiniteFuture();
};

}  // namespace p2p::sim

// A swarm in virtual time: one seed and many peers, each with the daemon's own swarm policy and
// sessions, on hosts with rates and latencies. The same options give the same run.
//
// What is left out: manifests and hashes (every peer knows them), disks, and TCP's slow start and
// losses.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "tests/sim/sim_peer.h"

namespace p2p::sim {

struct SimOptions {
  uint64_t random_seed = 1;
  int peers = 10;  // without the seed
  uint32_t chunks = 256;
  // As the daemon chooses it where it is 0.
  uint32_t unit_leaves = 0;
  double mbit = 100;       // up and down, each peer
  double seed_mbit = 100;  // up
  absl::Duration round_trip = absl::Milliseconds(20);
  // Peers come within this time, evenly spread.
  absl::Duration join_spread = absl::Milliseconds(100);
  int wanted_links = limits::kWantedPeers;  // see PeerTraits
  int most_links = limits::kMostPeers;
  absl::Duration turn = absl::Milliseconds(1);  // see PeerTraits

  // Faults. Fractions are of the peers; who is hit is drawn from the seed. Times are fractions of
  // the fluid bound.
  double vanishing = 0;      // their processes end, one after another while the bound lasts
  double stalling = 0;       // from half the bound on they send nothing, and stay connected
  double lying = 0;          // say they have everything, and send wrong bytes
  double late = 0;           // all join together at half the bound
  double slow = 0;           // have a tenth of the upload
  bool seed_leaves = false;  // once there is a copy of every chunk at the peers
  double tracker_leaves = 2'000'000;
  // After so many bounds the run is given up.
  double patience = 20;
};

// What uplinks do, in parts of all uplinks' time.
struct UplinkUse {
  double sending = 0;
  double held_back = 0;  // has something to send; the receivers do not keep up
  double not_asked = 0;  // a neighbour lacks something that this host has, and does not ask it
  double no_use = 0;     // no neighbour lacks anything that this host has
  // Seconds that it takes to send what sessions have handed over: it can not be withdrawn, and what
  // is said after it waits.
  double committed_seconds = 0;
};

struct SimReport {
  double bound_seconds = 0;
  int complete = 0;
  int left = 0;  // peers that were there at the end, liars and stalled ones not counted
  double last_over_bound = 0;
  double median_over_bound = 0;
  // When the peers together had every chunk, and how many copies of the content the seed sent.
  double first_copy_over_bound = 0;
  double seed_copies = 0;
  // Payload that arrived, or was on the way, and was of no use: part of all that was sent.
  double wasted = 0;
  PeerCounters counters;
  int liars_banned = 0;  // pairs
  int liar_links = 0;    // connections with liars that stand at the end
  uint64_t payload_bytes = 0;
  uint64_t events = 0;
  // One for each twentieth of the bound.
  struct Slice {
    UplinkUse use;
    double mean_have = 0;  // part of the content, mean over the peers
    double least_have = 0;
  };
  std::vector<Slice> slices;
  // Over slices first..last-1.
  UplinkUse Mean(size_t first, size_t last) const;
};

class Simulator : private PeerWorld, private EventHandler {
 public:
  static constexpr int kSlicesPerBound = 20;

  explicit Simulator(const SimOptions& options);
  SimReport Run();
  // 0 is the seed.
  const SimPeer& peer(uint32_t number) const { return *peers_[number]; }

 private:
  enum class Role { kGood, kVanishes, kStalls, kLies };

  std::vector<uint32_t> AskTracker(uint32_t asking) override;
  SimLink* Dial(SimPeer* from, uint32_t to) override;
  SimLink* FindLink(LinkId id) override;
  bool IsLiar(uint32_t peer) const override { return roles_[peer] == Role::kLies; }
  void OnChunk(SimPeer* peer, ChunkIndex chunk) override;
  void OnEvent(uint32_t what) override;

  // Runs `action` at that part of the bound.
  void At(double part, std::function<void()> action);
  void MakePeers();
  void Join(uint32_t number);
  void PlanFaults();
  void Sample();
  UplinkUse UseOf(const SimPeer& peer) const;
  bool Counts(const SimPeer& peer) const;
  bool Over() const;
  SimReport Report() const;

  const SimOptions options_;
  std::mt19937_64 random_;
  EventQueue events_;
  const std::shared_ptr<ChunkPool> pool_;
  std::shared_ptr<const content::Layout> layout_;
  double bound_seconds_ = 0;
  std::vector<Role> roles_;
  std::vector<std::unique_ptr<SimPeer>> peers_;
  // Those that a tracker would tell.
  std::vector<uint32_t> announced_;
  // LinkIds count from 1; the two ends of a connection are neighbours.
  std::vector<std::unique_ptr<SimLink>> links_;
  std::vector<std::function<void()>> actions_;
  std::vector<uint32_t> copies_;
  uint32_t chunks_with_copies_ = 0;
  bool tracker_there_ = true;
  int samples_ = 0;
  bool over_ = false;
  SimReport report_;
};

}  // namespace p2p::sim

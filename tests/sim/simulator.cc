#include "tests/sim/simulator.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "core/base/limits.h"

namespace p2p::sim {
namespace {

constexpr double kBytesPerMbit = 1e6 / 8;
constexpr double kSlowPart = 0.1;
constexpr int kSamplesPerSlice = 5;

std::shared_ptr<const content::Layout> OneFile(uint32_t chunks) {
  content::LayoutFile file;
  file.path = "file";
  file.length = ByteCount(uint64_t{chunks} * limits::kChunkBytes);
  auto layout = content::Layout::Make("file", false, {file});
  if (!layout.ok()) std::abort();
  return std::make_shared<const content::Layout>(*std::move(layout));
}

void AddPart(const UplinkUse& use, double part, UplinkUse* sum) {
  sum->sending += use.sending * part;
  sum->held_back += use.held_back * part;
  sum->not_asked += use.not_asked * part;
  sum->no_use += use.no_use * part;
  sum->committed_seconds += use.committed_seconds * part;
}

// Whether `from` has a chunk that `to` lacks.
bool HasNews(const ChunkSet& from, const ChunkSet& to) {
  for (uint32_t chunk = to.NextGap(0); chunk < to.size(); chunk = to.NextGap(chunk + 1)) {
    chunk = from.NextMember(chunk);
    if (chunk < from.size() && !to.Has(ChunkIndex(chunk))) return true;
  }
  return false;
}

}  // namespace

UplinkUse SimReport::Mean(size_t first, size_t last) const {
  last = std::min(last, slices.size());
  UplinkUse mean;
  for (size_t i = first; i < last; ++i) AddPart(slices[i].use, 1.0 / (last - first), &mean);
  return mean;
}

Simulator::Simulator(const SimOptions& options)
    : options_(options),
      random_(options.random_seed),
      // Nobody touches the buffers, so they take no memory.
      pool_(ChunkPool::Create(size_t{1} << 46)),
      layout_(OneFile(options.chunks)),
      copies_(options.chunks, 0) {
  MakePeers();
  PlanFaults();
}

void Simulator::MakePeers() {
  const auto count = static_cast<uint32_t>(options_.peers);
  const double rate = options_.mbit * kBytesPerMbit;
  std::vector<uint32_t> order(count);
  for (uint32_t i = 0; i < count; ++i) order[i] = i + 1;
  std::shuffle(order.begin(), order.end(), random_);
  roles_.assign(count + 1, Role::kGood);
  auto next = order.begin();
  const auto take = [&](double part) {
    std::vector<uint32_t> taken;
    for (auto n = std::lround(part * count); n > 0 && next != order.end(); --n) {
      taken.push_back(*next++);
    }
    return taken;
  };
  for (const uint32_t peer : take(options_.vanishing)) roles_[peer] = Role::kVanishes;
  for (const uint32_t peer : take(options_.stalling)) roles_[peer] = Role::kStalls;
  for (const uint32_t peer : take(options_.lying)) roles_[peer] = Role::kLies;
  std::vector<bool> slow(count + 1), late(count + 1);
  for (const uint32_t peer : take(options_.slow)) slow[peer] = true;
  for (const uint32_t peer : take(options_.late)) late[peer] = true;

  const double seed_rate = options_.seed_mbit * kBytesPerMbit;
  double all_rates = seed_rate;
  PeerWorld* const world = this;
  PeerTraits traits;
  traits.wanted_links = options_.wanted_links;
  traits.most_links = options_.most_links;
  traits.turn = options_.turn;
  traits.unit_leaves = options_.unit_leaves > 0
                           ? options_.unit_leaves
                           : swarm::Swarm::UnitLeavesFor(layout_->total_bytes());
  for (uint32_t number = 0; number <= count; ++number) {
    const bool lies = roles_[number] == Role::kLies;
    const double up = number == 0 ? seed_rate : slow[number] ? kSlowPart * rate : rate;
    // Liars upload nothing of use.
    if (number > 0 && !lies) all_rates += up;
    traits.seed = number == 0 || lies;
    peers_.push_back(std::make_unique<SimPeer>(number, world, &events_, Host(&events_, up, rate),
                                               layout_, traits, random_()));
  }
  const double bytes = static_cast<double>(layout_->total_bytes().value());
  bound_seconds_ = std::max({bytes / seed_rate, bytes / rate, count * bytes / all_rates});

  Join(0);
  for (const uint32_t number : order) {
    const double spread = absl::ToDoubleSeconds(options_.join_spread) / bound_seconds_;
    At(late[number] ? 0.5 : spread * number / count, [this, number] { Join(number); });
  }
}

void Simulator::Join(uint32_t number) {
  // Without a tracker one address must be known, as from a link.
  if (!tracker_there_ && number > 0) {
    uint32_t known = number;
    while (known == number || !peers_[known]->online()) known = random_() % peers_.size();
    peers_[number]->AddToBook(known);
  }
  peers_[number]->Start();
  if (tracker_there_) announced_.push_back(number);
}

void Simulator::PlanFaults() {
  const auto vanishing = std::count(roles_.begin(), roles_.end(), Role::kVanishes);
  int nth = 0;
  for (uint32_t number = 0; number < roles_.size(); ++number) {
    SimPeer* peer = peers_[number].get();
    if (roles_[number] == Role::kVanishes) {
      At(++nth / (vanishing + 1.0), [this, peer] {
        peer->Vanish();
        const ChunkSet& had = peer->have();
        for (uint32_t c = had.NextMember(0); c < had.size(); c = had.NextMember(c + 1)) {
          if (--copies_[c] == 0) --chunks_with_copies_;
        }
      });
    } else if (roles_[number] == Role::kStalls) {
      At(0.5, [peer] { peer->host.Stall(); });
    }
  }
  At(options_.tracker_leaves, [this] { tracker_there_ = false; });
  At(1.0 / kSlicesPerBound / kSamplesPerSlice, [this] { Sample(); });
}

void Simulator::At(double part, std::function<void()> action) {
  actions_.push_back(std::move(action));
  const absl::Duration delay = absl::Seconds(part * bound_seconds_);
  events_.In(std::min(delay, absl::Hours(24 * 365)), this,
             static_cast<uint32_t>(actions_.size() - 1));
}

void Simulator::OnEvent(uint32_t what) {
  // An action may plan others.
  const std::function<void()> action = std::move(actions_[what]);
  action();
}

// --- The world of the peers

std::vector<uint32_t> Simulator::AskTracker(uint32_t asking) {
  std::vector<uint32_t> told;
  if (!tracker_there_) return told;
  std::sample(announced_.begin(), announced_.end(), std::back_inserter(told),
              limits::kMaxPeersPerAnswer, random_);
  told.erase(std::remove(told.begin(), told.end(), asking), told.end());
  return told;
}

SimLink* Simulator::Dial(SimPeer* from, uint32_t to) {
  SimPeer* other = peers_[to].get();
  if (!other->online() || !other->HasRoom()) return nullptr;
  // The other side may have connected already: that connection serves both.
  for (const auto& [id, link] : from->links()) {
    if (link->remote == to) return nullptr;
  }
  const auto make = [this](SimPeer* of, uint32_t remote) {
    links_.push_back(std::make_unique<SimLink>(LinkId(links_.size() + 1), &events_, of, remote));
    of->AddLink(links_.back().get());
    return links_.back().get();
  };
  SimLink* dialled = make(from, to);
  SimLink* accepted = make(other, from->number);
  SimLink::Connect(dialled, &from->host, accepted, &other->host, options_.round_trip / 2);
  session::PeerSessionOptions session;
  session.agent = "p2pd/simulated";
  session.listen_port = 1;
  session.dialled = true;
  dialled->Begin(session, pool_);
  session.dialled = false;
  accepted->Begin(session, pool_);
  return dialled;
}

SimLink* Simulator::FindLink(LinkId id) {
  SimLink* link = links_[id.value() - 1].get();
  return link->open() ? link : nullptr;
}

void Simulator::OnChunk(SimPeer*, ChunkIndex chunk) {
  if (copies_[chunk.value()]++ == 0) ++chunks_with_copies_;
  if (chunks_with_copies_ < options_.chunks) return;
  if (report_.first_copy_over_bound == 0) {
    report_.first_copy_over_bound = events_.seconds() / bound_seconds_;
  }
  if (options_.seed_leaves && peers_[0]->online()) peers_[0]->Vanish();
}

// --- What is measured

bool Simulator::Counts(const SimPeer& peer) const {
  return peer.number > 0 && peer.online() && roles_[peer.number] == Role::kGood;
}

bool Simulator::Over() const {
  if (events_.seconds() > options_.patience * bound_seconds_) return true;
  for (const auto& peer : peers_) {
    if (peer->number > 0 && roles_[peer->number] == Role::kGood && !peer->complete()) return false;
  }
  return true;
}

UplinkUse Simulator::UseOf(const SimPeer& peer) const {
  UplinkUse use;
  size_t unsent = 0;
  for (const auto& [id, link] : peer.links()) unsent += link->unsent_bytes();
  use.committed_seconds = unsent / peer.host.up_rate;
  if (peer.host.sending()) {
    use.sending = 1;
  } else if (unsent > 0) {
    use.held_back = 1;
  } else {
    const bool wanted =
        std::any_of(peer.links().begin(), peer.links().end(), [&](const auto& entry) {
          return HasNews(peer.have(), peers_[entry.second->remote]->have());
        });
    (wanted ? use.not_asked : use.no_use) = 1;
  }
  return use;
}

void Simulator::Sample() {
  UplinkUse sum;
  double have = 0;
  double least = 1;
  int hosts = 0;
  int peers = 0;
  for (const auto& peer : peers_) {
    if (!peer->online() || IsLiar(peer->number)) continue;
    ++hosts;
    AddPart(UseOf(*peer), 1, &sum);
    if (!Counts(*peer)) continue;
    ++peers;
    const double part = double{1} * peer->have().count() / options_.chunks;
    have += part;
    least = std::min(least, part);
  }
  if (samples_ % kSamplesPerSlice == 0) report_.slices.emplace_back();
  SimReport::Slice& slice = report_.slices.back();
  AddPart(sum, 1.0 / std::max(hosts, 1) / kSamplesPerSlice, &slice.use);
  slice.mean_have = have / std::max(peers, 1);
  slice.least_have = least;
  ++samples_;
  over_ = Over();
  At(1.0 / kSlicesPerBound / kSamplesPerSlice, [this] { Sample(); });
}

SimReport Simulator::Run() {
  while (!over_ && events_.HandleNext()) {
  }
  return Report();
}

SimReport Simulator::Report() const {
  SimReport report = report_;
  report.bound_seconds = bound_seconds_;
  report.events = events_.handled();
  std::vector<double> times;
  uint64_t useful = 0;
  for (const auto& peer : peers_) {
    report.payload_bytes += peer->host.payload_sent;
    report.counters.chunks_unwanted += peer->counters.chunks_unwanted;
    report.counters.chunks_bad += peer->counters.chunks_bad;
    report.counters.wrong_chunks_kept += peer->counters.wrong_chunks_kept;
    for (const auto& [id, link] : peer->links()) report.liar_links += IsLiar(link->remote) ? 1 : 0;
    for (uint32_t other = 1; other < peers_.size(); ++other) {
      report.liars_banned += IsLiar(other) && peer->HasBanned(other) ? 1 : 0;
    }
    if (peer->number > 0 && !IsLiar(peer->number)) {
      useful += uint64_t{peer->have().count()} * limits::kChunkBytes;
    }
    if (!Counts(*peer)) continue;
    ++report.left;
    if (!peer->complete()) continue;
    ++report.complete;
    times.push_back(absl::ToDoubleSeconds(peer->finished - absl::UnixEpoch()));
  }
  report.seed_copies = double{1} * peers_[0]->host.payload_sent / layout_->total_bytes().value();
  report.wasted = 1 - double{1} * useful / std::max<uint64_t>(report.payload_bytes, 1);
  std::sort(times.begin(), times.end());
  if (times.empty()) return report;
  report.last_over_bound = times.back() / bound_seconds_;
  report.median_over_bound = times[times.size() / 2] / bound_seconds_;
  return report;
}

}  // namespace p2p::sim

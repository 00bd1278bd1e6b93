#include "daemon/engine/name_lookup.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/base/clock.h"
#include "daemon/engine/transfer.h"

namespace p2p::engine {
namespace {

constexpr int kPeersAsked = 8;
// Longer than the longest wait of a daemon before it tries a lost tracker again.
constexpr absl::Duration kOutagePatience = absl::Seconds(45);
constexpr absl::Duration kPeerPatience = absl::Seconds(6);

}  // namespace

NameLookup::NameLookup(Runtime* runtime, Links* links, Trackers* trackers, TransferId id,
                       std::string name, std::shared_ptr<Transfer> transfer,
                       std::function<void(Result)> done)
    : runtime_(runtime),
      links_(links),
      trackers_(trackers),
      id_(id),
      name_(std::move(name)),
      transfer_(transfer),
      done_(std::move(done)),
      random_(std::random_device{}()),
      book_(random_(), &runtime->own),
      backoff_(absl::Seconds(1), absl::Seconds(15)),
      timer_(&runtime->engine_loop) {}

NameLookup::~NameLookup() = default;

void NameLookup::Start() {
  if (finished_) return;
  trackers_->FindName(id_, name_, [weak = weak_from_this()](NameAnswer answer) {
    if (const auto self = weak.lock()) self->OnAnswer(std::move(answer));
  });
}

void NameLookup::OnAnswer(NameAnswer answer) {
  if (finished_) return;
  problem_ = answer.problem;
  result_.versions = std::move(answer.versions);
  result_.originals = std::move(answer.originals);
  if (!result_.versions.empty()) return Finish(std::move(result_));
  if (!result_.originals.empty()) return AskPeers();
  const absl::Time now = MonotonicNow();
  if (answer.answered > 0 && now >= give_up_) return Finish(Result());
  if (answer.answered == 0) {
    give_up_ = now + kOutagePatience;  // it may come back
  } else {
    problem_ = "the tracker is back, but no peer has registered the name yet";
  }
  timer_.Arm(MonotonicNow() + backoff_.Next(&random_), [this] { Start(); });
}

// The tracker knows no content id, but the peers may be of ours.
void NameLookup::AskPeers() {
  const absl::Time now = MonotonicNow();
  for (const NameAnswer::Original& original : result_.originals) {
    for (const std::string& address : original.peers.addresses) {
      book_.Add(address, original.peers.teller, now);
    }
  }
  const auto transfer = transfer_.lock();
  const std::vector<PeerBook::Candidate*> peers = book_.Due(now, /*links_each=*/1, kPeersAsked);
  for (const PeerBook::Candidate* peer : peers) {
    one_host_ = one_host_ && peer->origin.host == peers.front()->origin.host;
    if (Link* link = links_->Dial(*peer, /*original=*/false, transfer)) {
      asked_[link->id()] = false;
      link->io->Do([name = name_](session::PeerSession& s) { s.AskWhich(name); });
    }
  }
  if (asked_.empty()) return Finish(std::move(result_));
  timer_.Arm(MonotonicNow() + kPeerPatience, [this] { Finish(std::move(result_)); });
}

void NameLookup::OnContents(const Link& link, const std::vector<ContentId>& content_ids) {
  result_.by_peers = true;
  voters_.insert(VoterOf(link));
  result_.votes = voters_.size();
  for (const ContentId& id : content_ids) {
    auto known = std::find_if(result_.versions.begin(), result_.versions.end(),
                              [&](const auto& v) { return v.content_id == id; });
    if (known == result_.versions.end()) {
      result_.versions.push_back({id, result_.originals.front().total_bytes, {}});
      known = std::prev(result_.versions.end());
    }
    // As who told its address did.
    for (const NameAnswer::Original& original : result_.originals) {
      const auto& told = original.peers.addresses;
      if (std::find(told.begin(), told.end(), link.address) == told.end()) continue;
      known->total_bytes = original.total_bytes;
      known->peers.push_back({original.peers.teller, {link.address}});
      break;
    }
  }
}

std::string NameLookup::VoterOf(const Link& link) const {
  return one_host_ ? link.address : net::FormatHost(link.remote);
}

bool NameLookup::OnLinkEvent(Link& link, session::PeerEvent& event) {
  if (finished_) return false;
  if (const auto* which = absl::get_if<session::WhichAnswered>(&event)) {
    if (!which->content_ids.empty()) OnContents(link, which->content_ids);
    OnPeerDone(link.id());
    return true;
  }
  if (absl::holds_alternative<session::PeerIsOriginal>(event)) {
    if (runtime_->extension_peers.Has(link.address)) result_.disbelieved = true;
    silent_voters_.insert(VoterOf(link));
    result_.silent_votes = silent_voters_.size();
    OnPeerDone(link.id());
    return true;
  }
  return false;
}

void NameLookup::OnLinkClosed(Link& link) { OnPeerDone(link.id()); }

void NameLookup::OnPeerDone(LinkId link) {
  const auto it = asked_.find(link);
  if (it == asked_.end() || finished_) return;
  it->second = true;
  if (std::all_of(asked_.begin(), asked_.end(), [](const auto& entry) { return entry.second; })) {
    Finish(std::move(result_));
  }
}

// What a peer that speaks the extension does not know by its content id, it is not asked for
// without hashes.
void NameLookup::ForgetSpeakers(Result* result) {
  for (NameAnswer::Original& original : result->originals) {
    std::vector<std::string>& peers = original.peers.addresses;
    peers.erase(std::remove_if(peers.begin(), peers.end(),
                               [this](const std::string& address) {
                                 return runtime_->extension_peers.Has(address);
                               }),
                peers.end());
  }
  result->originals.erase(
      std::remove_if(result->originals.begin(), result->originals.end(),
                     [](const auto& original) { return original.peers.addresses.empty(); }),
      result->originals.end());
}

void NameLookup::Finish(Result result) {
  if (std::exchange(finished_, true)) return;
  ForgetSpeakers(&result);
  timer_.Disarm();
  for (const auto& [link, classified] : asked_) links_->Close(link, "the name is looked up");
  // `done_` may destroy this object.
  const auto keep = shared_from_this();
  done_(std::move(result));
}

}  // namespace p2p::engine

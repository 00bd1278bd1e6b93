#include "daemon/engine/name_lookup.h"

#include <algorithm>
#include <utility>

#include "core/base/clock.h"
#include "daemon/engine/transfer.h"

namespace p2p::engine {
namespace {

constexpr size_t kPeersAsked = 8;
// Longer than the longest wait of a daemon before it tries a lost tracker again.
constexpr absl::Duration kOutagePatience = absl::Seconds(45);
constexpr absl::Duration kPeerPatience = absl::Seconds(6);

}  // namespace

NameLookup::NameLookup(Runtime* runtime, Links* links, Trackers* trackers, std::string name,
                       std::shared_ptr<Transfer> transfer, std::function<void(Result)> done)
    : runtime_(runtime),
      links_(links),
      trackers_(trackers),
      name_(std::move(name)),
      transfer_(transfer),
      done_(std::move(done)),
      random_(std::random_device{}()),
      backoff_(absl::Seconds(1), absl::Seconds(15)),
      timer_(&runtime->engine_loop) {}

NameLookup::~NameLookup() = default;

void NameLookup::Start() {
  if (finished_) return;
  trackers_->FindName(name_, [weak = weak_from_this()](NameAnswer answer) {
    if (const auto self = weak.lock()) self->OnAnswer(std::move(answer));
  });
}

void NameLookup::OnAnswer(NameAnswer answer) {
  if (finished_) return;
  problem_ = answer.problem;
  if (!answer.versions.empty()) {
    result_.versions = std::move(answer.versions);
    return Finish(std::move(result_));
  }
  if (answer.originals.has_value() && !answer.originals->peers.empty()) {
    return AskPeers(*answer.originals);
  }
  const absl::Time now = MonotonicNow();
  if (answer.answered > 0 && now >= give_up_) return Finish(Result());
  if (answer.answered == 0) {
    give_up_ = now + kOutagePatience;  // it may come back
  } else {
    problem_ = "the tracker is back, but no peer has registered the name yet";
  }
  timer_.Arm(MonotonicNow() + backoff_.Next(&random_), [this] { Start(); });
}

void NameLookup::AskPeers(const session::NameFound::Original& originals) {
  // The tracker knows no content id, but the peers may be of ours.
  result_.originals = originals;
  const auto transfer = transfer_.lock();
  for (const std::string& address : originals.peers) {
    if (asked_.size() >= kPeersAsked) break;
    if (Link* link = links_->Dial(address, /*original=*/false, transfer)) {
      asked_[link->id()] = false;
      link->io->Do([name = name_](session::PeerSession& s) { s.AskWhich(name); });
    }
  }
  if (asked_.empty()) return Finish(std::move(result_));
  timer_.Arm(MonotonicNow() + kPeerPatience, [this] { Finish(std::move(result_)); });
}

bool NameLookup::OnLinkEvent(Link& link, session::PeerEvent& event) {
  if (finished_) return false;
  if (const auto* which = absl::get_if<session::WhichAnswered>(&event)) {
    for (const ContentId& id : which->content_ids) {
      auto known = std::find_if(result_.versions.begin(), result_.versions.end(),
                                [&](const auto& v) { return v.content_id == id; });
      if (known == result_.versions.end()) {
        result_.versions.push_back({id, result_.originals->total_bytes, {}});
        known = std::prev(result_.versions.end());
      }
      known->peers.push_back(link.address);
    }
    OnPeerDone(link.id());
    return true;
  }
  if (absl::holds_alternative<session::PeerIsOriginal>(event)) {
    if (runtime_->extension_peers.Has(link.address)) result_.disbelieved = true;
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
  if (!result->originals.has_value()) return;
  std::vector<std::string>& peers = result->originals->peers;
  peers.erase(std::remove_if(peers.begin(), peers.end(),
                             [this](const std::string& address) {
                               return runtime_->extension_peers.Has(address);
                             }),
              peers.end());
  if (peers.empty()) result->originals.reset();
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

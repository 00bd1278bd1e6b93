// Finds out which content a name means: asks the trackers, and where they know no content id, the
// peers. Belongs to the engine loop; owned by its transfer, which routes the events of its links
// here.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/base/ids.h"
#include "daemon/engine/backoff.h"
#include "daemon/engine/links.h"
#include "daemon/engine/runtime.h"
#include "daemon/engine/trackers.h"

namespace p2p::engine {

class NameLookup : public std::enable_shared_from_this<NameLookup> {
 public:
  // One of three: content ids (more than one: the name is ambiguous), original peers, or nothing
  // (not found).
  struct Result {
    std::vector<session::NameFound::Version> versions;
    absl::optional<session::NameFound::Original> originals;
    // Nothing, but for peers that spoke the extension before and now only the original protocol.
    bool disbelieved = false;
  };

  NameLookup(Runtime* runtime, Links* links, Trackers* trackers, std::string name,
             std::shared_ptr<Transfer> transfer, std::function<void(Result)> done);
  ~NameLookup();

  void Start();
  bool OnLinkEvent(Link& link, session::PeerEvent& event);
  void OnLinkClosed(Link& link);

  // Why it takes so long, or "".
  const std::string& problem() const { return problem_; }

 private:
  void OnAnswer(NameAnswer answer);
  void AskPeers(const session::NameFound::Original& originals);
  void OnPeerDone(LinkId link);
  void ForgetSpeakers(Result* result);
  void Finish(Result result);

  Runtime* const runtime_;
  Links* const links_;
  Trackers* const trackers_;
  const std::string name_;
  const std::weak_ptr<Transfer> transfer_;
  const std::function<void(Result)> done_;
  std::mt19937_64 random_;
  Backoff backoff_;
  net::Timer timer_;
  std::string problem_;
  Result result_;
  // After an outage of the tracker the peers need a while to register again.
  absl::Time give_up_ = absl::InfinitePast();
  absl::flat_hash_map<LinkId, bool> asked_;  // links to peers, and whether they are classified
  bool finished_ = false;
};

}  // namespace p2p::engine

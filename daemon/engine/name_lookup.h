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
#include "absl/container/flat_hash_set.h"
#include "core/base/ids.h"
#include "daemon/engine/backoff.h"
#include "daemon/engine/links.h"
#include "daemon/engine/name_answers.h"
#include "daemon/engine/peer_book.h"
#include "daemon/engine/runtime.h"
#include "daemon/engine/trackers.h"

namespace p2p::engine {

class NameLookup : public std::enable_shared_from_this<NameLookup> {
 public:
  // What was answered. None of it is chosen here: more than one answer is a question to the user.
  struct Result {
    std::vector<NameAnswer::Version> versions;
    std::vector<NameAnswer::Original> originals;
    // The content id of `versions` is the word of peers, not of a tracker: that many gave it, and
    // so many share the name without giving one.
    bool by_peers = false;
    size_t votes = 0;
    size_t silent_votes = 0;
    // Some who spoke the extension before spoke only the original protocol now.
    bool disbelieved = false;
  };

  NameLookup(Runtime* runtime, Links* links, Trackers* trackers, TransferId id, std::string name,
             std::shared_ptr<Transfer> transfer, std::function<void(Result)> done);
  ~NameLookup();

  void Start();
  bool OnLinkEvent(Link& link, session::PeerEvent& event);
  void OnLinkClosed(Link& link);

  // Why it takes so long, or "".
  const std::string& problem() const { return problem_; }

 private:
  void OnAnswer(NameAnswer answer);
  void AskPeers();
  void OnContents(const Link& link, const std::vector<ContentId>& content_ids);
  void OnPeerDone(LinkId link);
  void ForgetSpeakers(Result* result);
  // Each host has one vote, however many ports; each port where all are of one host.
  std::string VoterOf(const Link& link) const;
  void Finish(Result result);

  Runtime* const runtime_;
  Links* const links_;
  Trackers* const trackers_;
  const TransferId id_;
  const std::string name_;
  const std::weak_ptr<Transfer> transfer_;
  const std::function<void(Result)> done_;
  std::mt19937_64 random_;
  PeerBook book_;  // of those that are asked
  Backoff backoff_;
  net::Timer timer_;
  std::string problem_;
  Result result_;
  // After an outage of the tracker the peers need a while to register again.
  absl::Time give_up_ = absl::InfinitePast();
  absl::flat_hash_map<LinkId, bool> asked_;  // links to peers, and whether they are classified
  absl::flat_hash_set<std::string> voters_;
  absl::flat_hash_set<std::string> silent_voters_;
  bool one_host_ = true;
  bool finished_ = false;
};

}  // namespace p2p::engine

// All trackers of the daemon: what is announced to them, what is asked of them, and how each of
// them fares. Belongs to the engine loop.
//
// A tracker of the configuration is told of all shares and asked for everything. One that a magnet
// link named is told and asked about the transfers of such links alone, and goes with the last of
// them.
//
// A tracker is connected to when there is something to tell or to ask, and again with growing waits
// after a failure; whatever is announced is announced anew on every connection and renewed before
// its ttl is over.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/base/ids.h"
#include "core/base/limits.h"
#include "daemon/engine/backoff.h"
#include "daemon/engine/engine.h"
#include "daemon/engine/name_answers.h"
#include "daemon/engine/runtime.h"
#include "daemon/engine/tracker_link.h"

namespace p2p::engine {

class Trackers : public TrackerLinkObserver {
 public:
  explicit Trackers(Runtime* runtime);
  ~Trackers() override;

  // The configured trackers, replacing the former ones.
  void Configure(const std::vector<std::string>& addresses);
  // Those that the link of `transfer` named, until Release.
  void Use(TransferId transfer, const std::vector<std::string>& addresses);
  // After Withdraw.
  void Release(TransferId transfer);
  bool HasAnyFor(TransferId transfer) const;

  // What this daemon shares: one announcement for each transfer that has something to offer.
  void Announce(TransferId transfer, session::Announcement announcement);
  void Withdraw(TransferId transfer);

  // Asks all trackers that can be reached, and the others when none of those knows the name.
  void FindName(TransferId transfer, const std::string& name, std::function<void(NameAnswer)> done);
  // `found` runs for each tracker that knows peers of the content.
  void FindPeers(TransferId transfer, const ContentId& content_id,
                 std::function<void(const ToldPeers&)> found);

  // Withdraws everything; `done` runs once every reached tracker answered.
  void Leave(std::function<void()> done);

  std::vector<TrackerInfo> Info() const;

 private:
  // What names a registration at a tracker.
  using RegistrationKey = std::pair<std::string, absl::optional<ContentId>>;

  struct Entry {
    bool original() const { return protocol == session::TrackerProtocol::kOriginal; }

    std::string address;
    bool own = false;                  // of the configuration
    std::set<TransferId> transfers;    // whose links named it
    absl::optional<net::Endpoint> at;  // where it was reached last
    session::TrackerProtocol protocol = session::TrackerProtocol::kUnknown;
    std::shared_ptr<TrackerLink> link;  // while there is one
    uint64_t link_id = 0;
    bool connected = false;
    bool announcing = false;  // told of shares and not answered yet
    bool ok = false;
    std::string problem;
    std::string fault;  // of its last answer to a question, when that was none of the protocol
    std::string told;   // the last warning, and when it may be repeated
    absl::Time tell_again = absl::InfinitePast();
    absl::Time next_try = absl::InfinitePast();
    absl::Duration ttl = limits::kRegistrationTtl;
    std::set<RegistrationKey> refused;  // of what was announced last
    Backoff backoff{absl::Seconds(1), absl::Seconds(30)};
    std::unique_ptr<net::Timer> retry_timer;
    std::unique_ptr<net::Timer> renew_timer;
    // Questions not answered yet, by token. Called with nullptr when the connection ended.
    std::map<uint64_t, std::function<void(const session::TrackerEvent*)>> questions;
  };

  void OnTrackerConnected(uint64_t link, net::Endpoint remote) override;
  void OnTrackerEvents(uint64_t link, std::vector<session::TrackerEvent> events,
                       session::TrackerProtocol protocol) override;
  void OnTrackerClosed(uint64_t link, std::string reason,
                       session::TrackerProtocol protocol) override;

  Entry* FindByLink(uint64_t link);
  Entry* Add(const std::string& address);
  void Drop(Entry* entry);
  // Lets go of those that nobody names any more.
  void DropUnused();
  static bool Serves(const Entry& entry, TransferId transfer) {
    return entry.own || entry.transfers.count(transfer) > 0;
  }
  static Teller TellerOf(const Entry& entry);
  // What the tracker is to be told.
  std::vector<session::Announcement> AnnouncementsFor(const Entry& entry) const;
  void AskForName(const std::string& name, const std::vector<std::string>& addresses,
                  NameAnswer so_far, std::function<void(NameAnswer)> done);
  // Whether it is connected, or may be connected to now: no back-off runs.
  static bool CanBeAsked(const Entry& entry);
  // Makes sure there is a connection or one is on its way. False while a back-off runs and
  // `now_please` is unset.
  bool Connect(Entry* entry, bool now_please);
  void AnnounceAll(Entry* entry);
  void AnnounceRefused(Entry* entry);
  void AnnounceTo(Entry* entry, std::vector<session::Announcement> announcements);
  void Renew(Entry* entry);
  // What the tracker has registered of ours once all was announced and it has refused some.
  uint64_t RegistrationCount(const Entry& entry) const;
  void OnAnnounced(Entry* entry, absl::Duration ttl);
  void OnSomeRefused(Entry* entry, const session::TrackerRefused& refusal);
  void OnEvent(Entry* entry, const session::TrackerEvent& event);
  void OnFault(Entry* entry, const std::string& reason);
  // Warns of what is wrong with it, once while it stays the same.
  static void Tell(Entry* entry, const std::string& problem);
  void OnClosedHere(Entry* entry, const std::string& reason, session::TrackerProtocol protocol);
  void Ask(Entry* entry, std::function<void(session::TrackerSession&, uint64_t token)> question,
           std::function<void(const session::TrackerEvent*)> answer);

  Runtime* const runtime_;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::map<uint64_t, std::shared_ptr<TrackerLink>>
      leaving_;  // of dropped trackers, until they are told
  std::map<TransferId, session::Announcement> announcements_;
  uint64_t next_id_ = 1;
};

}  // namespace p2p::engine

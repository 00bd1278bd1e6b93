// Which registrations the store has yet to be told of, a peer at a time: what changes twice
// meanwhile is told once, as it is then. Pure; one owner.
//
// Its memory is bounded. Where more waits, all is dropped but who unregistered, and from then on
// (lost()) everything that is registered has to be told.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/wire/peer_address.h"

namespace p2p::tracker {

class WaitingChanges {
 public:
  // What changed about a peer.
  struct Peer {
    absl::btree_map<std::string, absl::Time> fields;  // RecordField of each, and when it changed
    size_t field_bytes = 0;                           // of memory
    absl::Time renewed_until = absl::InfinitePast();
    absl::Time unregistered_at = absl::InfinitePast();
    bool rewrite = false;  // the store has something else than the registry

    // Else all that it has is told; what it has no more is among its fields.
    bool IsAboutFields() const { return unregistered_at == absl::InfinitePast() && !rewrite; }
    size_t count() const;
    void AddField(std::string field, absl::Time at);
    void ForgetFields();
  };
  using Item = std::pair<wire::PeerAddress, Peer>;

  explicit WaitingChanges(size_t max_bytes) : max_bytes_(max_bytes) {}

  // `at`: where it is gone by the time it is told, when it went; InfinitePast: it ended by itself
  // then, which all know.
  void AddChanged(const wire::PeerAddress& address, absl::string_view field, absl::Time at);
  void AddRenewed(const wire::PeerAddress& address, absl::Time until);
  void AddUnregistered(const wire::PeerAddress& address, absl::Time at);
  void AddRewrite(const wire::PeerAddress& address);
  // What was taken and could not be told; it is the last in turn.
  void PutBack(std::vector<Item> items);

  // The first in turn, with about `max_changes` changes.
  std::vector<Item> Take(size_t max_changes);
  // Whether what the store is to be told is newer than what it has of it since that moment.
  bool Covers(const wire::PeerAddress& address, absl::string_view field, absl::Time since) const;
  bool Knows(const wire::PeerAddress& address) const { return peers_.contains(address); }

  size_t count() const { return count_; }
  bool lost() const { return lost_; }
  void SetLost();
  // Everything that is registered will be told.
  void ForgetLoss() { lost_ = false; }

 private:
  struct InOrder {
    bool operator()(const wire::PeerAddress& a, const wire::PeerAddress& b) const {
      return a.ip.bytes != b.ip.bytes ? a.ip.bytes < b.ip.bytes : a.port < b.port;
    }
  };

  void Change(const wire::PeerAddress& address, absl::FunctionRef<void(Peer*)> change,
              bool even_if_lost = false);
  void Count(const Peer& peer, bool comes);

  const size_t max_bytes_;
  absl::btree_map<wire::PeerAddress, Peer, InOrder> peers_;
  std::deque<wire::PeerAddress> turn_;  // each of peers_ once
  size_t count_ = 0;
  size_t bytes_ = 0;
  bool lost_ = false;
};

}  // namespace p2p::tracker

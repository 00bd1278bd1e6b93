// Tells peers that ask (GET-PEERS) whom else one transfer knows. Belongs to the engine loop; owned
// by its transfer.
#pragma once

#include <string>
#include <vector>

#include "absl/random/random.h"
#include "absl/time/time.h"
#include "core/base/ids.h"
#include "daemon/engine/origin.h"
#include "daemon/engine/peer_book.h"

namespace p2p::engine {

// A peer that said HELLO, and where it takes connections.
struct Contact {
  PeerId peer_id;
  std::string address;
  Origin origin;
};

class PeerExchange {
 public:
  // A random sample of `connected`, fair by network and host, and, where these are few, of those
  // remembered: at most limits::kMaxPeersPerAnswer addresses, none twice. Without the asker, and
  // without what `book` (may be nullptr) knows to be dead or banned.
  std::vector<std::string> Answer(const std::vector<Contact>& connected, const Contact& asker,
                                  const PeerBook* book, absl::Time now);
  // A download that is complete lets go of peers that are complete, too; who comes later wants to
  // know them. They are told for an hour from `now`.
  void Remember(std::vector<Contact> connected, absl::Time now);

 private:
  absl::InsecureBitGen random_;
  std::vector<Contact> remembered_;
  absl::Time forget_ = absl::InfinitePast();
};

}  // namespace p2p::engine

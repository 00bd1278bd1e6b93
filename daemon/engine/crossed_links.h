// Which connections go when two peers have dialled each other. Pure; any thread.
#pragma once

#include <vector>

#include "absl/time/time.h"
#include "core/base/ids.h"

namespace p2p::engine {

// A connection to one peer about one content; both sides have said HELLO.
struct PairLink {
  LinkId id;
  bool dialled = false;  // by this side
  absl::Time since;
  uint64_t chunks_down = 0;
};

// Those of `links`, all to one peer, that this side dialled and should close: each side judges only
// its own, so that nothing need be agreed on and none is closed by both. What the peer with the
// smaller id dialled stays; but a new connection goes rather than one that has long been in use.
// `wanted` connections to the peer are wanted on purpose and stay. None where only one side
// dialled.
std::vector<LinkId> SurplusLinks(const PeerId& self, const PeerId& peer,
                                 std::vector<PairLink> links, int wanted, absl::Time now);

}  // namespace p2p::engine

// Which connections go when two peers have dialled each other. Pure; any thread.
#pragma once

#include <vector>

#include "absl/time/time.h"
#include "core/base/ids.h"

namespace p2p::engine {

// A connection about one content, either dialled to an address from here, or accepted from a peer
// that says that it takes connections there; both sides have said HELLO.
struct PairLink {
  LinkId id;
  bool dialled = false;  // by this side
  absl::Time since;
  uint64_t chunks_down = 0;
};

// Those of `links` that this side accepted and should close. What it dialled never goes for what an
// accepted one says of itself: whoever says that it is somebody else closes only its own
// connection. Each side judges only what it accepted, so that nothing need be agreed on and none is
// closed by both. What the peer with the smaller id dialled stays; but a new connection goes rather
// than one that has long been in use. `wanted` connections are wanted on purpose and stay. None
// where only one side dialled.
std::vector<LinkId> SurplusLinks(const PeerId& self, const PeerId& peer,
                                 std::vector<PairLink> links, int wanted, absl::Time now);

}  // namespace p2p::engine

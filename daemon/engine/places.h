// Who of those that others have dialled keeps a place of a content when all are taken. Pure; any
// thread.
#pragma once

#include <vector>

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "core/base/ids.h"
#include "daemon/engine/origin.h"

namespace p2p::engine {

// An accepted connection about the content.
struct SwarmPlace {
  LinkId link;
  Origin origin;
  double sent_rate = 0;  // bytes a second
  absl::Time last_use;   // when it last asked for something; else when it came
};

// The one of `places`, which are all that there are, that gives way to a newcomer from `newcomer`.
// Of the network that has most, if that is more than the newcomer's would then have; where networks
// are equal, of hosts likewise; otherwise only one that has not used its place for
// limits::kIdlePlaceTime, of those that share its network or host, or have as much. Of several the
// one that takes least, then the one that asked for nothing for longest. nullopt: nobody.
absl::optional<LinkId> WhoGivesWay(const std::vector<SwarmPlace>& places, const Origin& newcomer,
                                   absl::Time now);

}  // namespace p2p::engine

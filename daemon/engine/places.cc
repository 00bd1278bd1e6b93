#include "daemon/engine/places.h"

#include <algorithm>
#include <tuple>

#include "core/base/limits.h"
#include "daemon/engine/fair_share.h"

namespace p2p::engine {

absl::optional<LinkId> WhoGivesWay(const std::vector<SwarmPlace>& places, const Origin& newcomer,
                                   absl::Time now) {
  FairShare shares;
  for (const SwarmPlace& place : places) shares.Add(place.origin);
  FairShare with_newcomer = shares;
  with_newcomer.Add(newcomer);
  const FairShare::Load mine = with_newcomer.LoadOf(newcomer);
  const SwarmPlace* best = nullptr;
  FairShare::Load most;
  for (const SwarmPlace& place : places) {
    const bool same_network = place.origin.network == newcomer.network;
    const FairShare::Load load = shares.LoadOf(place.origin);
    const bool has_more = same_network ? load.second > mine.second : load.first > mine.first;
    const bool has_as_much = same_network || load.first >= mine.first;
    const bool is_idle = now - place.last_use >= limits::kIdlePlaceTime;
    if (!has_more && !(has_as_much && is_idle)) continue;
    const auto rank = [](const FairShare::Load& l, const SwarmPlace& p) {
      return std::make_tuple(-l.first, -l.second, p.sent_rate, p.last_use);
    };
    if (best != nullptr && rank(most, *best) <= rank(load, place)) continue;
    best = &place;
    most = load;
  }
  if (best == nullptr) return absl::nullopt;
  return best->link;
}

}  // namespace p2p::engine

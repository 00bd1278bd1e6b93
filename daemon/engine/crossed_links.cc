#include "daemon/engine/crossed_links.h"

#include <algorithm>

namespace p2p::engine {
namespace {

// Both dial at the same time only while neither has heard of the other: connecting may take so
// long.
constexpr absl::Duration kCrossingTime = absl::Seconds(10);
// Both sides measure: where one takes a connection for old, and closes the other one, the other
// side must not take it for new.
constexpr absl::Duration kLongInUse = absl::Seconds(20);

}  // namespace

std::vector<LinkId> SurplusLinks(const PeerId& self, const PeerId& peer,
                                 std::vector<PairLink> links, int wanted, absl::Time now) {
  const auto age = [now](const PairLink& link) { return now - link.since; };
  const auto dialled =
      std::partition(links.begin(), links.end(), [](const PairLink& l) { return !l.dialled; });
  if (dialled == links.end()) return {};
  if (peer < self && std::none_of(dialled, links.end(),
                                  [&](const PairLink& link) { return age(link) > kLongInUse; })) {
    return {};
  }
  // What has brought least goes first: little is on its way there.
  std::sort(links.begin(), dialled,
            [](const PairLink& a, const PairLink& b) { return a.chunks_down < b.chunks_down; });
  auto surplus = static_cast<int>(links.size()) - wanted;
  std::vector<LinkId> going;
  for (auto link = links.begin(); link != dialled && surplus > 0; ++link) {
    if (age(*link) > kCrossingTime) continue;
    going.push_back(link->id);
    --surplus;
  }
  return going;
}

}  // namespace p2p::engine

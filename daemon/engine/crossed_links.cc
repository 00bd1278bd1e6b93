#include "daemon/engine/crossed_links.h"

#include <algorithm>

namespace p2p::engine {
namespace {

// Both dial at the same time only while neither has heard of the other: connecting may take so
// long.
constexpr absl::Duration kCrossingTime = absl::Seconds(10);

}  // namespace

std::vector<LinkId> SurplusLinks(const PeerId& self, const PeerId& peer,
                                 std::vector<PairLink> links, int wanted, absl::Time now) {
  const auto is_old = [now](const PairLink& link) { return now - link.since > kCrossingTime; };
  const auto theirs =
      std::partition(links.begin(), links.end(), [](const PairLink& l) { return l.dialled; });
  if (theirs == links.end()) return {};
  if (self < peer && std::none_of(theirs, links.end(), is_old)) return {};
  // What has brought least goes first: little is on its way there.
  std::sort(links.begin(), theirs,
            [](const PairLink& a, const PairLink& b) { return a.chunks_down < b.chunks_down; });
  auto surplus = static_cast<int>(links.size()) - wanted;
  std::vector<LinkId> going;
  for (auto link = links.begin(); link != theirs && surplus > 0; ++link) {
    if (is_old(*link)) continue;
    going.push_back(link->id);
    --surplus;
  }
  return going;
}

}  // namespace p2p::engine

#include "daemon/engine/fair_share.h"

#include <algorithm>

namespace p2p::engine {

void FairShare::Add(const Origin& origin) {
  ++networks_[origin.network];
  ++hosts_[origin.host];
}

FairShare::Load FairShare::LoadOf(const Origin& origin) const {
  const auto network = networks_.find(origin.network);
  const auto host = hosts_.find(origin.host);
  return {network == networks_.end() ? 0 : network->second,
          host == hosts_.end() ? 0 : host->second};
}

std::vector<size_t> FairShare::Next(const std::vector<Origin>& origins, size_t most) {
  std::vector<size_t> left(origins.size());
  for (size_t i = 0; i < left.size(); ++i) left[i] = i;
  std::vector<size_t> next;
  while (!left.empty() && next.size() < most) {
    const auto least = std::min_element(left.begin(), left.end(), [&](size_t a, size_t b) {
      return LoadOf(origins[a]) < LoadOf(origins[b]);
    });
    Add(origins[*least]);
    next.push_back(*least);
    left.erase(least);
  }
  return next;
}

}  // namespace p2p::engine

// How many of something each network and each host has, so that whoever has many addresses gets no
// more than others as long as others wait. Plain value; one owner, one thread.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "daemon/engine/origin.h"

namespace p2p::engine {

class FairShare {
 public:
  // Of the network first, of the host where networks are equal. Compares as a whole.
  using Load = std::pair<int, int>;

  void Add(const Origin& origin);
  Load LoadOf(const Origin& origin) const;
  // Those of `origins` that are given something next, as indices: at most `most`, each time the
  // first of those that have least, what they are given here included.
  std::vector<size_t> Next(const std::vector<Origin>& origins, size_t most);

 private:
  absl::flat_hash_map<uint64_t, int> networks_;
  absl::flat_hash_map<uint64_t, int> hosts_;
};

}  // namespace p2p::engine

// Addresses of those who spoke the extension in this run. What one of them says later in the
// original protocol alone is not believed: somebody may stand in between, and there are no hashes
// in it. Belongs to the engine loop.
#pragma once

#include <deque>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "core/base/limits.h"

namespace p2p::engine {

class KnownSpeakers {
 public:
  void Add(const std::string& address) {
    if (!known_.insert(address).second) return;
    in_order_.push_back(address);
    if (in_order_.size() <= limits::kMaxKnownSpeakers) return;
    known_.erase(in_order_.front());
    in_order_.pop_front();
  }
  bool Has(absl::string_view address) const { return known_.contains(address); }

 private:
  absl::flat_hash_set<std::string> known_;
  std::deque<std::string> in_order_;
};

}  // namespace p2p::engine

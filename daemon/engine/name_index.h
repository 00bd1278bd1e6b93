// Which transfers may go by a name, so that a question for one costs what it finds and not what is
// shared. Belongs to the engine loop.
//
// A transfer may have had a name that it has no longer: who asks looks at what was found.
#pragma once

#include <string>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "core/base/ids.h"

namespace p2p::engine {

class NameIndex {
 public:
  void Add(const std::string& name, TransferId id) {
    if (!name.empty() && by_name_[name].insert(id).second) names_[id].push_back(name);
  }
  void Remove(TransferId id) {
    const auto names = names_.find(id);
    if (names == names_.end()) return;
    for (const std::string& name : names->second) {
      const auto ids = by_name_.find(name);
      ids->second.erase(id);
      if (ids->second.empty()) by_name_.erase(ids);
    }
    names_.erase(names);
  }
  // In order.
  std::vector<TransferId> Find(const std::string& name) const {
    const auto ids = by_name_.find(name);
    if (ids == by_name_.end()) return {};
    return {ids->second.begin(), ids->second.end()};
  }

 private:
  absl::flat_hash_map<std::string, absl::btree_set<TransferId>> by_name_;
  absl::flat_hash_map<TransferId, std::vector<std::string>> names_;
};

}  // namespace p2p::engine

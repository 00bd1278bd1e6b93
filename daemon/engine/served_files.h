// The files that a link was sent of: those are looked at when it goes. At most
// limits::kMaxServedFiles, the latest. Belongs to the engine loop.
#pragma once

#include <deque>

#include "absl/container/flat_hash_set.h"
#include "core/base/ids.h"
#include "core/base/limits.h"

namespace p2p::engine {

class ServedFiles {
 public:
  void Add(FileIndex file) {
    if (!files_.insert(file).second) return;
    order_.push_back(file);
    if (order_.size() <= limits::kMaxServedFiles) return;
    files_.erase(order_.front());
    order_.pop_front();
  }
  const std::deque<FileIndex>& files() const { return order_; }

 private:
  std::deque<FileIndex> order_;  // as they were first sent
  absl::flat_hash_set<FileIndex> files_;
};

}  // namespace p2p::engine

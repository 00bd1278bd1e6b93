// How many lines of a kind may be logged: whoever makes many faults gets no flood of lines. Time
// comes in as an argument. Thread-safe.
#pragma once

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"

namespace p2p {

class LineLimit {
 public:
  explicit LineLimit(int lines_per_second) : lines_per_second_(lines_per_second) {}

  // `line`, and behind it how many were left out before; nothing when it is to be left out itself.
  absl::optional<std::string> Pass(std::string line, absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const int lines_per_second_;
  absl::Mutex mutex_;
  absl::Time second_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  int lines_ ABSL_GUARDED_BY(mutex_) = 0;
  int left_out_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace p2p

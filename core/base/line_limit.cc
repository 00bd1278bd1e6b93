#include "core/base/line_limit.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace p2p {

absl::optional<std::string> LineLimit::Pass(std::string line, absl::Time now) {
  absl::MutexLock lock(&mutex_);
  if (now >= second_ + absl::Seconds(1)) {
    second_ = now;
    lines_ = 0;
  }
  if (lines_ >= lines_per_second_) {
    ++left_out_;
    return absl::nullopt;
  }
  ++lines_;
  if (const int before = std::exchange(left_out_, 0); before > 0) {
    absl::StrAppend(&line, " (and ", before, " more before)");
  }
  return line;
}

}  // namespace p2p

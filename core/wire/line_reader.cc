#include "core/wire/line_reader.h"

#include "absl/strings/strip.h"

namespace p2p::wire {

LineReader::Result LineReader::Next(absl::string_view* input, absl::string_view* line) {
  if (handed_out_) {
    // An idle connection keeps no memory for a line that is done with.
    std::string().swap(partial_);
    handed_out_ = false;
  }
  const size_t end = input->find('\n');
  const size_t taken = end == absl::string_view::npos ? input->size() : end + 1;
  // An unfinished line must leave room for its LF.
  const size_t whole = partial_.size() + taken + (end == absl::string_view::npos ? 1 : 0);
  if (whole > max_line_bytes_) return Result::kTooLong;
  if (end == absl::string_view::npos) {
    partial_.append(input->data(), input->size());
    input->remove_prefix(taken);
    return Result::kNeedMore;
  }
  absl::string_view text = input->substr(0, end);
  input->remove_prefix(taken);
  if (!partial_.empty()) {
    partial_.append(text.data(), text.size());
    handed_out_ = true;
    text = partial_;
  }
  *line = absl::StripSuffix(text, "\r");
  return Result::kLine;
}

absl::string_view LineReader::TakePartial() {
  handed_out_ = true;
  return absl::StripSuffix(absl::string_view(partial_), "\r");
}

}  // namespace p2p::wire

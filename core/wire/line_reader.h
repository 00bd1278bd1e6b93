// Cuts a stream of bytes into text lines. Holds at most one unfinished line. One owner, one thread.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "core/base/limits.h"

namespace p2p::wire {

class LineReader {
 public:
  enum class Result {
    kLine,      // `line` is a whole line without its LF or CRLF
    kNeedMore,  // all input is taken; the line is not whole yet
    kTooLong,   // the line exceeds the limit; the stream can not be read any further
  };

  explicit LineReader(size_t max_line_bytes = limits::kMaxLineBytes)
      : max_line_bytes_(max_line_bytes) {}

  // Takes bytes from the front of `input` up to the end of the next line. `line` is valid until the
  // next call and as long as `input`'s memory. Bytes after the line stay in `input` (payload, or
  // further lines).
  Result Next(absl::string_view* input, absl::string_view* line);

  // Whether an unfinished line is held.
  bool HasPartial() const { return !partial_.empty() && !handed_out_; }
  // Ends the unfinished line as if its LF had come: for a half-closed or pausing sender.
  absl::string_view TakePartial();

 private:
  size_t max_line_bytes_;
  std::string partial_;
  bool handed_out_ = false;  // partial_ is what the last call returned
};

}  // namespace p2p::wire

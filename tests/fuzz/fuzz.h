// What the fuzz targets share. A target is one function, LLVMFuzzerTestOneInput: libFuzzer calls it
// in builds with P2P_FUZZ, replay_main.cc with the inputs of corpus/ in all others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "tests/support/allocated_bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

// What must hold for every input: else the program ends, and the fuzzer keeps the input.
#define P2P_FUZZ_CHECK(condition) \
  ((condition) ? void() : ::p2p::fuzz::CheckFailed(__FILE__, __LINE__, #condition))

namespace p2p::fuzz {

using testing_support::AllocatedBytes;

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);

inline absl::string_view AsText(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Whether text may go to a log, a table or another program as it is: Printable would leave it so.
bool IsShowable(absl::string_view text);

// Cuts a line, without its LF, from the front of `rest`: all of it when there is no LF.
absl::string_view TakeLine(absl::string_view* rest);
// Cuts a word from the front, and the one space behind it.
absl::string_view TakeWord(absl::string_view* rest);
// The same, read as a decimal number; what is no digit counts as nothing, and large ones wrap.
uint32_t TakeNumber(absl::string_view* rest);

// Where a text is cut for the second of two runs that must come to the same: places that look
// random and follow from the text alone, so that every run of an input is the same.
class Pieces {
 public:
  explicit Pieces(absl::string_view text);
  // The next piece, not empty; "" at the end.
  absl::string_view Next();

 private:
  absl::string_view rest_;
  uint64_t state_;
};

}  // namespace p2p::fuzz

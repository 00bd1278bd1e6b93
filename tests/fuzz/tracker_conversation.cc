// Whatever comes to the tracker's port: a whole conversation, once in one read and once in pieces.
// The answers are the same, are plain text, and come to an end.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/fuzz/fuzz.h"
#include "tracker/conversation.h"

namespace p2p::tracker {
namespace {

const wire::PeerAddress kClient = {wire::IpAddress::FromV4({192, 0, 2, 7}), 51324};
const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);

// Peers are sampled at random, so the words of a line are sorted.
std::string Sorted(absl::string_view output) {
  std::vector<std::string> lines;
  for (absl::string_view line : absl::StrSplit(output, '\n')) {
    std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    std::sort(words.begin(), words.end());
    lines.push_back(absl::StrJoin(words, " "));
  }
  return absl::StrJoin(lines, "\n");
}

class Client {
 public:
  Client() : service_(Registry(), false), conversation_(&options_, &service_, kClient, kStart) {
    options_.on_fault = [](const wire::IpAddress&, absl::string_view,
                           const wire::WireError& error) {
      P2P_FUZZ_CHECK(fuzz::IsShowable(error.text));
    };
  }

  void Send(absl::string_view bytes) {
    conversation_.OnBytes(bytes, now_);
    Drain();
  }
  void EndOfStream() {
    conversation_.OnEndOfStream(now_);
    Drain();
    P2P_FUZZ_CHECK(conversation_.state() != Conversation::State::kOpen);
    P2P_FUZZ_CHECK(conversation_.WakeUpTime() == absl::InfiniteFuture());
  }
  // Says nothing more: a few wake-ups later the tracker closes.
  void FallSilent() {
    for (int wakes = 0; conversation_.state() == Conversation::State::kOpen; ++wakes) {
      P2P_FUZZ_CHECK(wakes < 8);
      now_ = std::max(now_, conversation_.WakeUpTime());
      P2P_FUZZ_CHECK(now_ < absl::InfiniteFuture());
      conversation_.OnTime(now_);
      Drain();
    }
  }
  const std::string& output() const { return output_; }

 private:
  // Few enough that every peer is in every answer.
  static RegistryOptions Registry() {
    RegistryOptions options;
    options.max_registrations_per_ip = 4;
    return options;
  }

  void Drain() {
    Take();
    // What would take long is answered in turns.
    while (conversation_.state() == Conversation::State::kOpen && !conversation_.WantsRead()) {
      P2P_FUZZ_CHECK(conversation_.WakeUpTime() <= now_ + absl::Milliseconds(1));
      now_ = conversation_.WakeUpTime();
      conversation_.OnTime(now_);
      Take();
    }
  }
  void Take() {
    for (std::string taken = conversation_.TakeOutput(); !taken.empty();
         taken = conversation_.TakeOutput()) {
      output_ += taken;
      conversation_.OnSent(taken.size(), 0, now_);
    }
  }

  ConversationOptions options_;
  Service service_;
  Conversation conversation_;
  absl::Time now_ = kStart;
  std::string output_;
};

void CheckOutput(const std::string& output) {
  P2P_FUZZ_CHECK(output.empty() || output.back() == '\n');
  for (char c : output) P2P_FUZZ_CHECK(c == '\n' || (c >= ' ' && c <= '~'));
}

}  // namespace
}  // namespace p2p::tracker

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using p2p::tracker::Client;
  const absl::string_view bytes = p2p::fuzz::AsText(data, size);
  Client whole;
  if (!bytes.empty()) whole.Send(bytes);
  Client in_pieces;
  p2p::fuzz::Pieces pieces(bytes);
  for (absl::string_view piece = pieces.Next(); !piece.empty(); piece = pieces.Next()) {
    in_pieces.Send(piece);
  }
  whole.EndOfStream();
  p2p::tracker::CheckOutput(whole.output());
  const std::string expected = p2p::tracker::Sorted(whole.output());
  if (p2p::fuzz::Pieces(bytes).Next().size() % 2 == 0) {
    in_pieces.EndOfStream();
    P2P_FUZZ_CHECK(p2p::tracker::Sorted(in_pieces.output()) == expected);
  } else {
    // After the first line end a pause does not end the last line.
    in_pieces.FallSilent();
    P2P_FUZZ_CHECK(absl::StartsWith(expected, p2p::tracker::Sorted(in_pieces.output())));
  }
  return 0;
}

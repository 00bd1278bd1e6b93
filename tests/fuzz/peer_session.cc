// Whole random sessions with a peer: what the other side says, what our driver does and how time
// passes, in any order. Nothing is told after the end, no number costs memory, no timer spins, and
// every buffer is given back.
//
// The input is a script. Its first line tells what our side is: "accept", "dial" or "original".
// Then a command a line:
//   >LINE          the other side sends LINE and a LF
//   =BYTES         the other side sends BYTES
//   +MS            time passes
//   .              the other side ends its stream
//   s N            the connection takes N bytes
//   y, n           we answer the oldest question, with what is wanted or not
//   o w m h u p    we OPEN (where we dialled), ask WHICH, for the manifest, hashes (FILE FIRST),
//   the have-set, peers r FIRST COUNT, l CHUNK FIRST COUNT, c CHUNK [FIRST COUNT]    we ask for
//   chunks, leaves; cancel g CHUNK        we ask for a chunk in the original protocol H L we have,
//   or have lost, chunk N
#include "core/base/send_tally.h"
#include "tests/fuzz/peer_driver.h"

namespace p2p::session {
namespace {

class Script {
 public:
  explicit Script(PeerDriver::Role role)
      : dialled_(role != PeerDriver::Role::kAccepted), driver_(role, /*answers_at_once=*/false) {
    driver_.session().UseSendTally(std::make_shared<SendTally>(PeerDriver::kChunks));
    if (role == PeerDriver::Role::kDialled) driver_.session().SetChunkCount(PeerDriver::kChunks);
  }

  void Play(absl::string_view script) {
    while (!script.empty()) {
      const absl::string_view line = fuzz::TakeLine(&script);
      if (line.empty()) continue;
      // A line of the other side keeps its LF, where the script has one.
      const absl::string_view with_lf(line.data() + 1,
                                      static_cast<size_t>(script.data() - line.data()) - 1);
      if (line.front() == '>') {
        driver_.Feed(with_lf);
      } else {
        Command(line.front(), line.substr(1));
      }
      driver_.Drain();
      // What had to wait may go on now.
      driver_.Read();
    }
    // Silence ends every session in which our side owes nothing. It may end a request, too.
    for (int i = 0; i < 3; ++i) {
      driver_.AnswerAll();
      driver_.Advance(absl::Hours(1));
    }
    P2P_FUZZ_CHECK(driver_.session().ended());
    P2P_FUZZ_CHECK(driver_.session().WakeUpTime() == absl::InfiniteFuture());
  }

 private:
  void Command(char what, absl::string_view rest) {
    PeerSession& session = driver_.session();
    switch (what) {
      case '=':
        return driver_.Feed(rest);
      case '+':
        return driver_.Advance(absl::Milliseconds(fuzz::TakeNumber(&rest) % 200'000));
      case '.':
        return driver_.EndOfStream();
      case 's':
        return driver_.Sent(fuzz::TakeNumber(&rest));
      case 'y':
      case 'n':
        return driver_.Answer(what == 'y');
      case 'o':
        if (dialled_) session.Open(PeerDriver::SomeContent());
        return;
      case 'w':
        return session.AskWhich(rest);
      case 'm':
        return session.AskManifest(fuzz::TakeNumber(&rest) % limits::kMaxHashesPerMessage);
      case 'u':
        return session.Subscribe();
      case 'p':
        return session.AskPeers();
      default:
        return AboutChunks(what, rest);
    }
  }

  void AboutChunks(char what, absl::string_view rest) {
    PeerSession& session = driver_.session();
    const uint32_t a = fuzz::TakeNumber(&rest) % PeerDriver::kChunks;
    const uint32_t b = fuzz::TakeNumber(&rest);
    const uint32_t c = fuzz::TakeNumber(&rest);
    const ChunkIndex chunk(a);
    const ChunkPart leaves(chunk, b % 32, c % 17);
    switch (what) {
      case 'h':
        return session.AskHashes(FileIndex(a), b);
      case 'r':
        return RequestRun(a, 1 + b % 8);
      case 'l':
        if (leaves.whole()) return;
        return session.RequestLeaves(leaves, PeerDriver::LengthOf(leaves), driver_.now());
      case 'c':
        return session.Cancel(leaves);
      case 'g':
        return session.RequestOriginalChunk(PeerDriver::kName, chunk, PeerDriver::LengthOf(chunk),
                                            driver_.now());
      case 'H':
        return session.SendHave(chunk, 1 + b % (PeerDriver::kChunks - a));
      case 'L':
        return session.SendLost(chunk, 1 + b % (PeerDriver::kChunks - a));
    }
  }

  void RequestRun(uint32_t first, uint32_t count) {
    std::vector<uint32_t> lengths;
    for (uint32_t i = first; i < std::min(first + count, PeerDriver::kChunks); ++i) {
      lengths.push_back(PeerDriver::LengthOf(ChunkIndex(i)));
    }
    driver_.session().RequestChunks(ChunkIndex(first), lengths, driver_.now());
  }

  const bool dialled_;
  PeerDriver driver_;
};

}  // namespace
}  // namespace p2p::session

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using p2p::session::PeerDriver;
  absl::string_view script = p2p::fuzz::AsText(data, size);
  const absl::string_view kind = p2p::fuzz::TakeLine(&script);
  p2p::session::Script(kind == "dial"       ? PeerDriver::Role::kDialled
                       : kind == "original" ? PeerDriver::Role::kDialledOriginal
                                            : PeerDriver::Role::kAccepted)
      .Play(script);
  return 0;
}

// A conversation with a tracker that answers whatever it likes, once read as it was sent and once
// in pieces. Each question gets one answer, in order, no address comes through that may not be
// dialled, and the session ends.
//
// The input is a script, a command a line:
//   ?KIND       asks: a(nnounce), j(oin), w(ithdraw), u(nregister), f(ind a name), p(eers)
//   +MS         time passes
//   .           the tracker closes the connection
//   >LINE       the tracker sends LINE and a LF
//   =BYTES      the tracker sends BYTES
#include "daemon/session/tracker_session.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/limits.h"
#include "core/base/names.h"
#include "core/wire/peer_address.h"
#include "tests/fuzz/fuzz.h"

namespace p2p::session {
namespace {

constexpr char kSelf[] = "192.0.2.1:9001";

ContentId SomeContent() {
  ContentId id;
  id.hash.bytes.fill(0xcc);
  return id;
}

class Run {
 public:
  Run(bool original, bool in_pieces)
      : in_pieces_(in_pieces),
        session_(kSelf, now_, original ? TrackerProtocol::kOriginal : TrackerProtocol::kUnknown) {}

  void Play(absl::string_view script) {
    while (!script.empty()) {
      absl::string_view line = fuzz::TakeLine(&script);
      const char what = line.empty() ? ' ' : line.front();
      if (!line.empty()) line.remove_prefix(1);
      Command(what, line, script.data());
      Drain();
    }
    session_.OnEndOfStream(now_);
    Drain();
    P2P_FUZZ_CHECK(session_.ended() && session_.WakeUpTime() == absl::InfiniteFuture());
    P2P_FUZZ_CHECK(answered_ == asked_ && tracker_ended_ == 1);
  }
  const std::string& log() const { return log_; }

 private:
  void Command(char what, absl::string_view line, const char* end) {
    if (what == '?') return Ask(line.empty() ? ' ' : line.front(), line);
    if (what == '+') return Advance(absl::Milliseconds(fuzz::TakeNumber(&line) % 100'000));
    if (what == '.') return session_.OnEndOfStream(now_);
    // With the LF that ended the line in the script, where there was one.
    const size_t with_lf = static_cast<size_t>(end - line.data());
    if (what == '>') return Send({line.data(), with_lf});
    if (what == '=') return Send(line);
  }

  void Ask(char kind, absl::string_view text) {
    const uint64_t token = ++asked_;
    const std::string name = text.size() > 1 ? std::string(text.substr(1)) : "a name";
    const auto id = kind == 'a' ? absl::optional<ContentId>() : SomeContent();
    switch (kind) {
      case 'a':
      case 'j':
        return session_.Announce(
            token, {{name, ByteCount(7), id, kind == 'j'}, {"other", ByteCount(8), id, false}},
            now_);
      case 'w':
        return session_.Withdraw(token, SomeContent(), now_);
      case 'u':
        return session_.WithdrawAll(token, now_);
      case 'f':
        return session_.FindName(token, name, now_);
      default:
        return session_.FindPeers(token, SomeContent(), now_);
    }
  }

  void Send(absl::string_view bytes) {
    if (!in_pieces_) return session_.OnBytes(bytes, now_);
    fuzz::Pieces pieces(bytes);
    for (absl::string_view piece = pieces.Next(); !piece.empty(); piece = pieces.Next()) {
      session_.OnBytes(piece, now_);
    }
  }

  void Advance(absl::Duration duration) {
    const absl::Time until = now_ + duration;
    for (int wakes = 0; session_.WakeUpTime() <= until; ++wakes) {
      P2P_FUZZ_CHECK(wakes < 16);
      now_ = std::max(now_, session_.WakeUpTime());
      session_.OnTime(now_);
      Drain();
    }
    now_ = until;
  }

  void Drain() {
    absl::StrAppend(&log_, session_.TakeOutput());
    for (const TrackerEvent& event : session_.TakeEvents()) {
      absl::visit([this](const auto& e) { On(e); }, event);
    }
  }

  void Answered(uint64_t token, absl::string_view what) {
    P2P_FUZZ_CHECK(token == ++answered_);
    absl::StrAppend(&log_, token, " ", what, "\n");
  }
  void On(const Announced& e) {
    P2P_FUZZ_CHECK(e.ttl >= absl::Seconds(1) && e.ttl <= absl::Hours(24));
    Answered(e.token, absl::StrCat("announced ", absl::ToInt64Seconds(e.ttl)));
  }
  void On(const Withdrawn& e) { Answered(e.token, "withdrawn"); }
  void On(const NameFound& e) {
    P2P_FUZZ_CHECK(e.versions.size() <= limits::kMaxVersionsPerAnswer);
    std::string found = "found";
    for (const NameFound::Version& v : e.versions) {
      absl::StrAppend(&found, " ", v.content_id.Hex(), " ", v.total_bytes.value(), Peers(v.peers));
    }
    if (e.originals.has_value()) {
      absl::StrAppend(&found, " -", e.originals->total_bytes.value(), Peers(e.originals->peers));
    }
    Answered(e.token, found);
  }
  void On(const PeersFound& e) { Answered(e.token, Peers(e.peers)); }
  void On(const TrackerRefused& e) {
    P2P_FUZZ_CHECK(fuzz::IsShowable(e.reason) && (e.code == 0 || e.code >= 100));
    Answered(e.token, absl::StrCat("refused ", e.code, " ", e.reason));
  }
  void On(const TrackerEnded& e) {
    P2P_FUZZ_CHECK(fuzz::IsShowable(e.reason));
    ++tracker_ended_;
    absl::StrAppend(&log_, "ended ", e.reason, "\n");
  }

  static std::string Peers(const std::vector<std::string>& peers) {
    P2P_FUZZ_CHECK(peers.size() <= static_cast<size_t>(limits::kMaxPeersPerAnswer));
    for (const std::string& peer : peers) {
      const auto address = wire::PeerAddress::Parse(peer);
      // Which of them are dialled is decided behind it.
      P2P_FUZZ_CHECK(address.has_value() && peer != kSelf);
    }
    return absl::StrCat(" ", absl::StrJoin(peers, " "));
  }

  const bool in_pieces_;
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  TrackerSession session_;
  std::string log_;
  uint64_t asked_ = 0;
  uint64_t answered_ = 0;
  int tracker_ended_ = 0;
};

}  // namespace
}  // namespace p2p::session

// A first line "original": the tracker is known to speak only the original protocol.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  absl::string_view script = p2p::fuzz::AsText(data, size);
  const bool original = p2p::fuzz::TakeLine(&script) == "original";
  p2p::session::Run whole(original, /*in_pieces=*/false);
  whole.Play(script);
  p2p::session::Run in_pieces(original, /*in_pieces=*/true);
  in_pieces.Play(script);
  P2P_FUZZ_CHECK(in_pieces.log() == whole.log());
  return 0;
}

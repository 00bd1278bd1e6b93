// What a peer sends, as one stream: read at once and read in pieces it means the same. The first
// line tells what our side is: "accept", "dial" (it has asked for everything there is), or
// "original" (it has asked for one chunk).
#include "tests/fuzz/peer_driver.h"

namespace p2p::session {
namespace {

void AskForEverything(PeerSession* session, absl::Time now) {
  session->Open(PeerDriver::SomeContent());
  session->SetChunkCount(PeerDriver::kChunks);
  session->AskWhich(PeerDriver::kName);
  session->AskManifest(8);
  session->AskHashes(FileIndex(0), 0);
  session->Subscribe();
  session->AskPeers();
  std::vector<uint32_t> lengths;
  for (uint32_t i = 0; i < 8; ++i) lengths.push_back(PeerDriver::LengthOf(ChunkIndex(i)));
  session->RequestChunks(ChunkIndex(0), lengths, now);
  session->Cancel(ChunkIndex(7));
}

// Leaves can be asked for only once the other side said that it knows of them.
void AskForLeaves(PeerSession* session, absl::Time now) {
  const ChunkPart part(ChunkIndex(9), 4, 4);
  session->RequestLeaves(part, PeerDriver::LengthOf(part), now);
}

class Reading {
 public:
  explicit Reading(PeerDriver::Role role) : driver(role, /*answers_at_once=*/true) {
    if (role == PeerDriver::Role::kDialled) AskForEverything(&driver.session(), driver.now());
    if (role == PeerDriver::Role::kDialledOriginal) {
      driver.session().RequestOriginalChunk(PeerDriver::kName, ChunkIndex(0),
                                            PeerDriver::LengthOf(ChunkIndex(0)), driver.now());
    }
    driver.Drain();
  }

  PeerDriver driver;
};

// The line that says HELLO, if there is one, is read on its own in both runs.
void Feed(PeerDriver* driver, absl::string_view bytes, bool in_pieces) {
  const absl::string_view hello = bytes.substr(0, bytes.find('\n') + 1);
  driver->Feed(hello);
  AskForLeaves(&driver->session(), driver->now());
  driver->Drain();
  bytes.remove_prefix(hello.size());
  if (!in_pieces) return driver->Feed(bytes);
  fuzz::Pieces pieces(bytes);
  for (absl::string_view piece = pieces.Next(); !piece.empty(); piece = pieces.Next()) {
    driver->Feed(piece);
  }
}

}  // namespace
}  // namespace p2p::session

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using p2p::session::PeerDriver;
  absl::string_view bytes = p2p::fuzz::AsText(data, size);
  const absl::string_view kind = p2p::fuzz::TakeLine(&bytes);
  const PeerDriver::Role role = kind == "dial"       ? PeerDriver::Role::kDialled
                                : kind == "original" ? PeerDriver::Role::kDialledOriginal
                                                     : PeerDriver::Role::kAccepted;
  p2p::session::Reading whole(role);
  p2p::session::Feed(&whole.driver, bytes, /*in_pieces=*/false);
  whole.driver.EndOfStream();
  p2p::session::Reading in_pieces(role);
  p2p::session::Feed(&in_pieces.driver, bytes, /*in_pieces=*/true);
  in_pieces.driver.EndOfStream();
  P2P_FUZZ_CHECK(in_pieces.driver.log() == whole.driver.log());
  return 0;
}

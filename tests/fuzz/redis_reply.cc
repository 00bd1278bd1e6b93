// Bytes that should be replies of Redis: however they are cut, they are read alike.
#include "tracker/redis_reply.h"

#include <string>
#include <vector>

#include "tests/fuzz/fuzz.h"
#include "tracker/cluster_slots.h"

namespace p2p::tracker {
namespace {

struct Read {
  size_t replies = 0;
  bool good = true;
};

void Feed(absl::string_view piece, RedisReplyReader* reader, Read* read) {
  reader->Feed(piece);
  while (read->good) {
    const auto reply = reader->Next();
    read->good = reply.ok();
    if (!reply.ok() || !reply->has_value()) return;
    ++read->replies;
    (void)ParseClusterSlots(**reply, "host");
    (void)ParseAsk((*reply)->text);
  }
}

}  // namespace
}  // namespace p2p::tracker

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace p2p::tracker;
  const absl::string_view text = p2p::fuzz::AsText(data, size);
  RedisReplyReader whole;
  Read at_once;
  Feed(text, &whole, &at_once);
  RedisReplyReader reader;
  Read in_pieces;
  p2p::fuzz::Pieces pieces(text);
  for (absl::string_view piece = pieces.Next(); !piece.empty(); piece = pieces.Next()) {
    Feed(piece, &reader, &in_pieces);
  }
  P2P_FUZZ_CHECK(at_once.replies == in_pieces.replies && at_once.good == in_pieces.good);
  return 0;
}

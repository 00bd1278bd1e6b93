// What the other side asked for and that has not left: parts that wait, and a window of those that
// are being prepared or stand in the connection. Part of a session; on its loop.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "core/base/chunk_part.h"
#include "core/base/ids.h"
#include "core/base/limits.h"
#include "core/base/send_tally.h"

namespace p2p::session {

struct ChunkRun {
  uint32_t first = 0;
  uint32_t count = 0;
};

// Chunks and leaves in the order in which they were asked for, found by what they are: whatever is
// asked for, cancelled or taken costs the same however much waits.
class ServeQueue {
 public:
  // Takes chunks from the front of the run until `size()` is `most`; returns how many it took.
  uint32_t Add(ChunkRun run, uint32_t most);
  // Leaves of a chunk. False when `size()` is `most` already.
  bool Add(const ChunkPart& part, uint32_t most);
  // Takes those of the run out that wait, and returns them.
  std::vector<ChunkRun> Cancel(ChunkRun run);
  // Likewise just these leaves, once; whether they waited.
  bool Cancel(const ChunkPart& part);
  // Of the first that wait the one that was sent least often; without a tally the first.
  absl::optional<ChunkPart> TakeNext(const SendTally* tally);
  uint32_t size() const { return static_cast<uint32_t>(waiting_.size()); }

 private:
  // Its place in the queue: a part may wait several times.
  using Place = uint64_t;
  using Waiting = absl::btree_map<Place, ChunkPart>;
  // Whole chunks by number, and then leaves.
  struct Key {
    ChunkPart part;
    Place place;
    friend bool operator<(const Key& a, const Key& b) {
      if (a.part.whole() != b.part.whole()) return a.part.whole();
      return a.part != b.part ? a.part < b.part : a.place < b.place;
    }
  };

  void Push(const ChunkPart& part);
  ChunkPart Take(Waiting::iterator at);

  Waiting waiting_;
  absl::btree_set<Key> index_;
  Place next_place_ = 0;
};

// Bounds what is prepared ahead of the wire: about what leaves in kAhead, so that little has become
// useless or stands before something urgent. Positions are Outbox's put and sent bytes.
class ServeWindow {
 public:
  bool HasRoom() const;
  void OnAsked() { ++preparing_; }
  void OnRefused() { --preparing_; }
  void OnPrepared(uint32_t length, uint64_t end_position, absl::Time now);
  void OnSentUpTo(uint64_t position, absl::Time now);
  int preparing() const { return preparing_; }
  // How much may be prepared.
  uint64_t ahead_bytes() const { return ahead_bytes_; }

 private:
  struct Prepared {
    uint32_t length;
    uint64_t end_position;
  };
  void BeginRound(absl::Time now);

  int preparing_ = 0;
  std::deque<Prepared> prepared_;
  uint64_t prepared_bytes_ = 0;
  // What one that is being prepared will probably have: lengths are known only then.
  uint32_t expected_bytes_ = limits::kChunkBytes;

  uint64_t ahead_bytes_ = limits::kMinSendAheadBytes;
  absl::Time round_started_;
  uint64_t round_bytes_ = 0;
  uint64_t counted_up_to_ = 0;
};

}  // namespace p2p::session

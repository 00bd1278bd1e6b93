// The chunks that the other side asked for and that have not left: those that wait, as runs, and a
// window of those that are being prepared or stand in the connection. Part of a session; on its
// loop.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "absl/types/optional.h"
#include "core/base/ids.h"
#include "core/base/limits.h"

namespace p2p::session {

struct ChunkRun {
  uint32_t first = 0;
  uint32_t count = 0;
};

class ServeQueue {
 public:
  // Takes chunks from the front of the run until `size()` is `most`; returns how many it took.
  uint32_t Add(ChunkRun run, uint32_t most);
  // Takes those of the run out that wait, and returns them.
  std::vector<ChunkRun> Cancel(ChunkRun run);
  absl::optional<ChunkIndex> TakeNext();
  uint32_t size() const { return size_; }

 private:
  std::deque<ChunkRun> runs_;
  uint32_t size_ = 0;
};

// Bounds what is prepared ahead of the wire, in chunks and in bytes. Positions are Outbox's put and
// sent bytes.
class ServeWindow {
 public:
  bool HasRoom() const;
  void OnAsked() { ++preparing_; }
  void OnRefused() { --preparing_; }
  void OnPrepared(uint32_t length, uint64_t end_position);
  void OnSentUpTo(uint64_t position);
  int preparing() const { return preparing_; }

 private:
  struct Prepared {
    uint32_t length;
    uint64_t end_position;
  };
  int preparing_ = 0;
  std::deque<Prepared> prepared_;
  uint64_t prepared_bytes_ = 0;
  // What one that is being prepared will probably have: the lengths of chunks are known only then.
  uint32_t expected_bytes_ = limits::kChunkBytes;
};

}  // namespace p2p::session

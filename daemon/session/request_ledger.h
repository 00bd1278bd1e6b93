// What we asked for and that is not answered, with their lengths. Part of a session; on
// its loop.
#pragma once

#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/types/optional.h"
#include "core/base/chunk_part.h"

namespace p2p::session {

class RequestLedger {
 public:
  // False when it is already asked for: there is nothing to send. What was
  // cancelled may be asked for again; each request gets its own answer.
  bool Add(const ChunkPart& part, uint32_t length);
  // Whether a CANCEL makes sense.
  bool Cancel(const ChunkPart& part);
  // Its length, when it is asked for.
  absl::optional<uint32_t> Length(const ChunkPart& part) const;
  void OnArrived(const ChunkPart& part);
  // kStillAsked: the answer to a cancelled request for what was asked for again since.
  enum class Rejection { kNotAsked, kStillAsked, kOver };
  Rejection OnRejected(const ChunkPart& part);
  int size() const { return size_; }
  // Of what is asked for; 0 when nothing is.
  uint64_t MeanLength() const { return size_ == 0 ? 0 : bytes_ / static_cast<uint64_t>(size_); }

 private:
  struct Entry {
    uint32_t length = 0;
    int asked = 0;      // requests that are not answered
    int cancelled = 0;  // of those
  };
  void OnAnswer(absl::flat_hash_map<ChunkPart, Entry>::iterator at, bool cancelled);

  absl::flat_hash_map<ChunkPart, Entry> entries_;
  int size_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace p2p::session

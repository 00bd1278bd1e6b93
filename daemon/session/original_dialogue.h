// The two sides of the original protocol on one connection: answering GET_CHUNK, and asking with
// it. Parts of a session; on its loop.
#pragma once

#include <deque>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/variant.h"
#include "core/wire/original_messages.h"
#include "daemon/session/chunk_receiver.h"
#include "daemon/session/serve_queue.h"
#include "daemon/session/session_core.h"

namespace p2p::session {

// Answers requests in their order, errors included.
class OriginalServer {
 public:
  explicit OriginalServer(SessionCore* core) : core_(core) {}

  void OnLine(absl::string_view line);
  void OnTooLongLine();
  // The other side sends no more: the session ends when all is answered.
  void OnEndOfStream();
  void OnSent() { ServeNext(); }
  void SendChunk(FileSlice slice);
  void SendError(int code, absl::string_view reason);

  // No further line may be handed in.
  bool full() const { return queue_.size() >= limits::kMaxPipelinedRequests; }
  // The last answer is queued: whatever else comes is thrown away.
  bool closing() const { return closing_; }
  bool has_had_request() const { return has_had_request_; }
  int queued() const { return static_cast<int>(queue_.size()); }

 private:
  struct Refusal {
    wire::WireError error;
    bool last = false;
  };
  using Item = absl::variant<wire::peer::OriginalRequest, Refusal>;

  void Refuse(wire::WireError error, bool last);
  void ServeNext();

  SessionCore* const core_;
  std::deque<Item> queue_;
  ServeWindow window_;
  bool front_is_asked_ = false;  // the driver prepares the answer to queue_.front()
  bool closing_ = false;
  bool ended_by_other_side_ = false;
  bool has_had_request_ = false;
  int bad_lines_ = 0;
};

// Asks for one chunk at a time.
class OriginalClient {
 public:
  OriginalClient(SessionCore* core, ChunkReceiver* receiver) : core_(core), receiver_(receiver) {}

  void Request(absl::string_view name, ChunkIndex chunk, uint32_t length);
  // Takes the answer's first line from the front of `input`; what follows may be payload.
  void OnBytes(absl::string_view* input);
  void OnChunkArrived() { asked_ = false; }
  bool asked() const { return asked_; }

 private:
  SessionCore* const core_;
  ChunkReceiver* const receiver_;
  wire::peer::OriginalAnswerReader reader_;
  bool asked_ = false;
  ChunkIndex chunk_;
  uint32_t length_ = 0;
};

}  // namespace p2p::session

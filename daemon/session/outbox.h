// What a session has to send, in order, and how much of it has left. Part of a session; on its
// loop.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "core/base/buffers.h"
#include "daemon/session/peer_session.h"

namespace p2p::session {

class Outbox {
 public:
  void Text(std::string text);
  // May overtake chunks.
  void Urgent(std::string text);
  // The same, but not what was put in before it and is no chunk.
  void InOrder(std::string text);
  // A long text, handed out in parts as the connection drains, each behind a header: what is sent
  // to a hundred peers is held once. Urgent text goes between its parts. One at a time.
  using PartHeader = std::string (*)(size_t total, size_t first, size_t size);
  void SharedText(std::shared_ptr<const std::string> text, PartHeader header);
  bool HasSharedText() const { return shared_ > 0; }
  void File(FileSlice slice);
  void Chunk(std::string header, FileSlice slice);

  std::vector<Output> Take();
  void OnSent(size_t sent, size_t unsent_text_bytes, size_t unsent_bytes);
  // Nothing more will drain: what is left of shared texts is dropped, the rest Take() gives at
  // once.
  void Finish();

  // Text here, without what is shared, and in the connection.
  size_t waiting_text_bytes() const { return kept_text_bytes_ + unsent_text_bytes_; }
  // Everything ever put in, and how much of that has left the connection.
  uint64_t put_bytes() const { return put_bytes_; }
  uint64_t sent_bytes() const { return sent_bytes_; }
  bool Drained() const { return sent_bytes_ == put_bytes_; }

 private:
  struct Shared {
    std::shared_ptr<const std::string> text;
    PartHeader header;
    size_t offset = 0;
  };
  struct Item {
    absl::variant<Output, Shared> what;
    bool overtakes_parts = false;
  };

  static size_t TextBytes(const Output& output);
  static size_t Bytes(const Output& output);
  void Put(Output output, bool overtakes_parts);

  // True when all of it is taken.
  bool TakeShared(Shared* shared, std::vector<Output>* taken);

  std::deque<Item> items_;
  int shared_ = 0;                // of these
  size_t kept_text_bytes_ = 0;    // in items_
  size_t unsent_text_bytes_ = 0;  // in the connection
  uint64_t put_bytes_ = 0;
  uint64_t taken_bytes_ = 0;
  uint64_t sent_bytes_ = 0;
};

}  // namespace p2p::session

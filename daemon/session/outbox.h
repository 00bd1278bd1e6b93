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
  // A long text, handed out in pieces as the connection drains: what is sent to a hundred peers is
  // held once.
  void SharedText(std::shared_ptr<const std::string> text);
  void File(FileSlice slice);
  void Chunk(std::string header, FileSlice slice);

  std::vector<Output> Take();
  void OnSent(size_t sent, size_t unsent_text_bytes, size_t unsent_bytes);
  // Nothing more will drain: keeps only what Take() can give at once.
  void Finish();

  // Text here and in the connection.
  size_t waiting_text_bytes() const { return kept_text_bytes_ + unsent_text_bytes_; }
  // Everything ever put in, and how much of that has left the connection.
  uint64_t put_bytes() const { return put_bytes_; }
  uint64_t sent_bytes() const { return sent_bytes_; }
  bool Drained() const { return sent_bytes_ == put_bytes_; }

 private:
  struct Shared {
    std::shared_ptr<const std::string> text;
    size_t offset = 0;
  };
  using Item = absl::variant<Output, Shared>;

  static size_t TextBytes(const Output& output);
  static size_t Bytes(const Output& output);
  void Put(Output output);

  void TakeShared(Shared* shared, std::vector<Output>* taken);

  std::deque<Item> items_;
  size_t kept_text_bytes_ = 0;    // in items_
  size_t unsent_text_bytes_ = 0;  // in the connection
  uint64_t put_bytes_ = 0;
  uint64_t taken_bytes_ = 0;
  uint64_t sent_bytes_ = 0;
};

}  // namespace p2p::session

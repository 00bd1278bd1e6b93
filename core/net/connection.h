// One TCP connection: moves bytes between a socket and its handler, text from memory and payload from files
// (sendfile). Knows no protocol. Belongs to one loop's thread for life.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "asio/ip/tcp.hpp"
#include "core/base/buffers.h"
#include "core/net/address.h"
#include "core/net/event_loop.h"

namespace p2p::net {

// What a connection asks and tells. Called on the loop's thread; any call may end in Connection::Close.
class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;
  // Where the next bytes go. An empty span stops reading until Connection::ResumeReading().
  virtual absl::Span<uint8_t> ReadBuffer() = 0;
  // `size` bytes (at least 1) are in the last ReadBuffer().
  virtual void OnRead(size_t size) = 0;
  // The other side will send no more; it may still read.
  virtual void OnEndOfStream() = 0;
  // Unsent bytes fell below the low-water mark given to the connection, or some were sent (progress).
  virtual void OnSent(size_t sent_bytes) = 0;
  // A file slice could not be read (disk error or shortened file); its header may have left already. The
  // connection closes after this call.
  virtual void OnFileError(const absl::Status& status) = 0;
  // The connection is gone. Last call. OK when Close() was called or both sides ended.
  virtual void OnClosed(const absl::Status& status) = 0;
};

struct ConnectionOptions {
  // Unsent bytes that the kernel may hold beyond what is on the wire (TCP_NOTSENT_LOWAT): control messages wait
  // behind no more than this.
  uint32_t not_sent_low_water_bytes = 512 << 10;
  std::string congestion_control;  // "" leaves the system's
};

class Connection {
 public:
  // Takes a connected, non-blocking socket. Reading starts with Start().
  Connection(EventLoop* loop, asio::ip::tcp::socket socket, const ConnectionOptions& options,
             ConnectionHandler* handler);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Start();
  void ResumeReading();

  // Queue in order. Sent as soon as the socket takes them.
  void SendText(std::string text);
  void SendFile(FileSlice slice);
  // Bytes queued and not yet taken by the kernel: text alone, and all.
  size_t unsent_text_bytes() const { return unsent_text_bytes_; }
  size_t unsent_bytes() const { return unsent_bytes_; }

  // Sends what is queued, then ends the sending side.
  void FinishSending();
  // Closes now; OnClosed(OK) follows from the loop, not from within this call.
  void Close();

  const Endpoint& remote() const { return remote_; }
  const Endpoint& local() const { return local_; }

 private:
  struct Impl;
  friend struct Impl;
  Endpoint remote_;
  Endpoint local_;
  size_t unsent_text_bytes_ = 0;
  size_t unsent_bytes_ = 0;
  std::shared_ptr<Impl> impl_;
};

// Connects to `to` from `loop`; `done` runs on `loop` with the socket or the reason. Gives up after `timeout`.
// Returns a function that cancels (then `done` is not called).
std::function<void()> Connect(EventLoop* loop, const Endpoint& to, absl::Duration timeout,
                              std::function<void(absl::StatusOr<asio::ip::tcp::socket>)> done);

}  // namespace p2p::net

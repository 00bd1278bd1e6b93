// One TCP connection: moves bytes between a socket and its handler, text from memory and payload
// from files (sendfile; where it is slow, see file_sender.h). Knows no protocol. Belongs to one
// loop's thread for life.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "asio/ip/tcp.hpp"
#include "core/base/buffers.h"
#include "core/base/limits.h"
#include "core/net/address.h"
#include "core/net/congestion_control.h"
#include "core/net/event_loop.h"

namespace p2p::net {

// What a connection asks and tells. Called on the loop's thread; any call may end in
// Connection::Close.
class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;
  // Where the next bytes go. An empty span stops reading until Connection::ResumeReading().
  virtual absl::Span<uint8_t> ReadBuffer() = 0;
  // `size` bytes (at least 1) are in the last ReadBuffer().
  virtual void OnRead(size_t size) = 0;
  // The other side will send no more; it may still read.
  virtual void OnEndOfStream() = 0;
  // Unsent bytes fell below the low-water mark given to the connection, or some were sent
  // (progress).
  virtual void OnSent(size_t sent_bytes) = 0;
  // A file slice could not be read (disk error or shortened file); its header may have left
  // already. The connection closes after this call.
  virtual void OnFileError(const absl::Status& status) = 0;
  // The connection is gone. Last call. OK when Close() was called or both sides ended.
  virtual void OnClosed(const absl::Status& status) = 0;
};

struct ConnectionOptions {
  // Unsent bytes that the kernel may hold beyond what is on the wire (TCP_NOTSENT_LOWAT): control
  // messages wait behind no more than this. With 24 KiB or less the connection counts as slow.
  uint32_t not_sent_low_water_bytes = 512 << 10;
  std::string congestion_control = kCongestionSystem;
  absl::Duration close_linger = limits::kCloseLinger;
  absl::Duration slow_reader_timeout = limits::kSlowReaderTimeout;
};

class Connection {
 public:
  // Takes a connected, non-blocking socket. Reading starts with Start().
  Connection(EventLoop* loop, asio::ip::tcp::socket socket, const ConnectionOptions& options,
             ConnectionHandler* handler);
  // Closes without OnClosed when that was not called yet. Allowed inside any call of the handler.
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Start();
  void ResumeReading();

  // Queue, in order where nothing else is said. Sent as soon as the socket takes them, after the
  // running handler; dropped when the connection is closed or FinishSending was called.
  void SendText(std::string text);
  // `header` leaves right before the slice.
  void SendFile(FileSlice slice, std::string header = "");
  // Overtakes slices that have a header and have not begun to leave: control messages do not wait
  // behind bulk.
  void SendUrgentText(std::string text);
  // Changes what the options said. Cheap where it is about the same as before.
  void SetNotSentLowWater(uint32_t bytes);
  // Chooses the congestion control again, by the round trip that there is now.
  void ChooseCongestionControlAgain();
  // Bytes queued and not yet taken by the kernel: text alone, and all.
  size_t unsent_text_bytes() const;
  // How much text should wait in one connection before its handler stops reading what makes more:
  // limits::kMaxSendBacklogBytes, and little while all connections of the process hold much. Any
  // thread.
  static size_t BacklogLimit();
  size_t unsent_bytes() const;

  // Sends what is queued, then ends the sending side. What comes in from now on is read and
  // dropped: unread bytes would make the system reset the connection, and the last bytes sent could
  // be lost. OnClosed follows when the other side ends too, or does not within `close_linger` of
  // the last byte (OK), or takes less than limits::kMinTransferBytes in `slow_reader_timeout`
  // (DeadlineExceeded).
  void FinishSending();
  // Closes now; OnClosed(OK) follows from the loop, not from within this call.
  void Close();

  const Endpoint& remote() const;
  const Endpoint& local() const;
  // As TCP measures it; zero where unknown.
  absl::Duration RoundTripTime() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// Connects to `to` from `loop`'s thread; `done` runs on `loop`, later, with the socket or the
// reason. Gives up after `timeout`. Returns a function that cancels (then `done` is not called).
// Codes of the reason: Unavailable: refused or not reachable; DeadlineExceeded: no answer; Aborted:
// reset; ResourceExhausted: this process has no descriptor left.
std::function<void()> Connect(EventLoop* loop, const Endpoint& to, absl::Duration timeout,
                              std::function<void(absl::StatusOr<asio::ip::tcp::socket>)> done);

}  // namespace p2p::net

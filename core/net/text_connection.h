// Connections for short questions and answers, of which a server has very many: text in, text out,
// some hundred bytes of memory each while nothing happens. (connection.h is for few that move
// much.) A set and its connections belong to one loop's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asio/ip/tcp.hpp"
#include "core/net/address.h"
#include "core/net/event_loop.h"
#include "core/net/ready_set.h"
#include "core/net/waiting_text.h"

namespace p2p::net {

class TextConnection;

// What a connection tells. Called on the loop's thread; any call may end in TextConnection::Close.
class TextConnectionHandler {
 public:
  virtual ~TextConnectionHandler() = default;
  // `bytes` are valid during the call.
  virtual void OnRead(absl::string_view bytes) = 0;
  // The other side will send no more; it may still read.
  virtual void OnEndOfStream() = 0;
  // So much of what Send had to keep left since.
  virtual void OnSent(size_t sent_bytes) = 0;
  // The time given to TextConnection::WakeUpAt has come.
  virtual void OnTime() = 0;
  // The connection is gone. Last call, and the moment to destroy it.
  virtual void OnClosed() = 0;
};

// The connections of one loop. Outlives them.
class TextConnectionSet {
 public:
  explicit TextConnectionSet(EventLoop* loop) : loop_(loop), ready_(loop), timer_(loop) {}
  TextConnectionSet(const TextConnectionSet&) = delete;
  TextConnectionSet& operator=(const TextConnectionSet&) = delete;

 private:
  friend class TextConnection;

  void WakeUpAt(absl::Time when, TextConnection* connection);
  void Forget(TextConnection* connection);
  void Follow();
  void OnTimer();
  // Tells the handler, from a later task.
  void TellClosed(TextConnection* connection);

  EventLoop* const loop_;
  ReadySet ready_;
  // When each is looked at next: not later than it wants. A deadline that moves with every event
  // costs nothing at that event.
  absl::btree_set<std::pair<absl::Time, TextConnection*>> deadlines_;
  Timer timer_;
  std::vector<TextConnection*> closed_;  // to be told
};

class TextConnection : private ReadySet::Member {
 public:
  // Takes a connected, non-blocking socket. Nothing is read before SetReading(true).
  TextConnection(TextConnectionSet* set, asio::ip::tcp::socket socket,
                 TextConnectionHandler* handler);
  // Closes without OnClosed. Not inside a call of the handler but OnClosed.
  ~TextConnection() override;
  TextConnection(const TextConnection&) = delete;
  TextConnection& operator=(const TextConnection&) = delete;

  void SetReading(bool reading);
  // Sends at once what the socket takes and keeps the rest.
  void Send(absl::string_view text);
  size_t unsent_bytes() const { return unsent_.size() - unsent_begin_; }
  // Sends what is kept, then ends the sending side. What comes in from now on is read and dropped:
  // unread bytes would make the system reset the connection, and the last bytes sent could be lost.
  // OnClosed follows when the other side ends too, or does not within limits::kCloseLinger of the
  // last byte, or takes less than limits::kMinTransferBytes in limits::kSlowReaderTimeout.
  void FinishSending();
  // Closes now; OnClosed follows from the loop, not from within this call.
  void Close();
  // One time, which takes the place of a former one. absl::InfiniteFuture() for none.
  void WakeUpAt(absl::Time when);

  const Endpoint& remote() const { return remote_; }

 private:
  friend class TextConnectionSet;

  void OnReady(bool readable, bool writable, bool failed) override;
  void Read();
  void Write();
  void Written(size_t bytes);
  void EndSending();
  void OnDeadline(absl::Time now);
  void Follow();

  TextConnectionSet* const set_;
  TextConnectionHandler* const handler_;
  int fd_;
  const Endpoint remote_;
  std::string unsent_;
  size_t unsent_begin_ = 0;
  WaitingText waiting_;
  uint64_t sent_since_check_ = 0;
  absl::Time due_ = absl::InfiniteFuture();
  absl::Time looked_at_ = absl::InfiniteFuture();  // its entry in the set's deadlines
  bool reading_ = false;                           // what the handler wants
  bool watch_read_ = false;                        // what is waited for
  bool watch_write_ = false;
  bool read_ended_ = false;     // the other side's end was seen
  bool finishing_ = false;      // FinishSending was called
  bool sending_ended_ = false;  // and all is sent
  bool broken_ = false;         // nothing can be sent any more; what came before is still read
};

}  // namespace p2p::net

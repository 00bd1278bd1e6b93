// Accepts TCP connections on one address, with limits per source address. Belongs to its loop's thread;
// accepted sockets may be handed to other loops.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "asio/ip/tcp.hpp"
#include "core/net/address.h"
#include "core/net/event_loop.h"

namespace p2p::net {

struct ListenerOptions {
  int max_connections_per_address;      // limits::kMaxConnectionsPerAddress by default
  int max_new_connections_per_second;   // per address
  int max_connections;                  // of this listener
  ListenerOptions();
};

// Counts an accepted connection against its address until destroyed (thread-safe).
using Admission = std::shared_ptr<void>;

class Listener {
 public:
  // `accept` runs on `loop` for each admitted connection; `pick_loop` says which loop the socket will live on.
  // Descriptors running out (EMFILE) pauses accepting for 100 ms instead of spinning.
  static absl::StatusOr<std::unique_ptr<Listener>> Listen(
      EventLoop* loop, const Endpoint& at, const ListenerOptions& options,
      std::function<EventLoop*()> pick_loop,
      std::function<void(EventLoop*, asio::ip::tcp::socket, Admission)> accept);
  // Stops accepting. Call on the loop's thread or when the loop has stopped.
  ~Listener();

  // The address with the real port.
  const Endpoint& local() const { return local_; }

 private:
  struct Impl;
  explicit Listener(std::shared_ptr<Impl> impl, Endpoint local);
  std::shared_ptr<Impl> impl_;
  Endpoint local_;
};

}  // namespace p2p::net

// Accepts TCP connections on one address, with limits per source address. Belongs to its loop's
// thread; accepted sockets may be handed to other loops.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "asio/ip/tcp.hpp"
#include "core/net/address.h"
#include "core/net/admission.h"
#include "core/net/event_loop.h"

namespace p2p::net {

class Listener {
 public:
  // `accept` runs on `loop` for each admitted connection; `pick_loop` says which loop the socket
  // will live on. A newcomer beyond the limits is told `refusal`, as far as the socket takes it at
  // once, and closed. When descriptors run out
  // (EMFILE), newcomers are closed with the help of one in reserve, and accepting pauses for
  // limits::kAcceptPause instead of spinning. `[::]` takes IPv4 connections too. The status is a
  // sentence with advice.
  static absl::StatusOr<std::unique_ptr<Listener>> Listen(
      EventLoop* loop, const Endpoint& at, const ListenerOptions& options, std::string refusal,
      std::function<EventLoop*()> pick_loop,
      std::function<void(EventLoop*, asio::ip::tcp::socket, Admission)> accept);
  // Stops. Call on the loop's thread or when the loop has stopped.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // The address with the real port.
  const Endpoint& local() const { return local_; }
  // Other limits, for newcomers from now on. Any thread.
  void SetOptions(const ListenerOptions& options);
  // Accepts no more. On the loop's thread.
  void Stop();
  // Newcomers closed because of a limit. Any thread.
  uint64_t refused() const;

 private:
  struct Impl;
  explicit Listener(std::shared_ptr<Impl> impl, Endpoint local);
  std::shared_ptr<Impl> impl_;
  Endpoint local_;
};

}  // namespace p2p::net

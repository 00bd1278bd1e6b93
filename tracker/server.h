// The tracker's sockets: accepts connections, spreads them over one or two loops, and moves bytes
// between each and its Conversation. Owned by main; Start, local and the destructor belong to the
// thread that owns it.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/net/address.h"
#include "core/net/listener.h"
#include "tracker/conversation.h"
#include "tracker/registry.h"
#include "tracker/service.h"

namespace p2p::tracker {

struct ServerOptions {
  RegistryOptions registry;
  bool trust_addresses = false;
  ConversationOptions conversation;  // on_fault is the server's own: it logs
  net::ListenerOptions listener;
  int loops = 0;  // 0: one a core, two at most
};

class Server {
 public:
  // Listens on the first of `at` that this machine has; an address that is there and refuses (port
  // in use, not permitted) ends the search.
  static absl::StatusOr<std::unique_ptr<Server>> Start(absl::Span<const net::Endpoint> at,
                                                       const ServerOptions& options);
  // Closes every connection.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  const net::Endpoint& local() const { return listener_->local(); }
  const Service& service() const { return service_; }

 private:
  class Client;
  class FaultLog;
  struct Worker;

  explicit Server(const ServerOptions& options);
  absl::Status Listen(absl::Span<const net::Endpoint> at);
  void Accept(net::EventLoop* loop, asio::ip::tcp::socket socket, net::Admission admission);
  void SweepLater();

  ServerOptions options_;
  std::unique_ptr<FaultLog> fault_log_;
  Service service_;
  std::vector<std::unique_ptr<Worker>> workers_;
  size_t next_worker_ = 0;  // the first worker's loop
  std::unique_ptr<net::Timer> sweep_timer_;
  std::unique_ptr<net::Listener> listener_;
};

}  // namespace p2p::tracker

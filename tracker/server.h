// The tracker's sockets: accepts connections, spreads them over a loop for each core, and moves
// bytes between each and its Conversation. Owned by main; Start, local and the destructor belong to
// the thread that owns it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
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

struct Worker;

struct ServerOptions {
  RegistryOptions registry;
  bool trust_addresses = false;
  bool public_stats = false;  // else STATS is answered to loopback only
  bool access_log = false;
  ConversationOptions conversation;  // its functions are the server's own: they log
  net::ListenerOptions listener;
  int loops = 0;  // 0: one a core, sixteen at most
};

class Server {
 public:
  // Makes a server and lets it listen.
  static absl::StatusOr<std::unique_ptr<Server>> Start(absl::Span<const net::Endpoint> at,
                                                       const ServerOptions& options);

  // `figures` adds to the answer of STATS, on any thread; may be empty.
  explicit Server(const ServerOptions& options, std::function<wire::Figures()> figures = nullptr);
  // Closes every connection.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Once, on the first of `at` that this machine has; an address that is there and refuses (port in
  // use, not permitted) ends the search. Nobody can ask the service before.
  absl::Status Listen(absl::Span<const net::Endpoint> at);
  // For newcomers, and requests from now on: limits, ttl, trust, who may ask STATS, access log.
  void SetOptions(const ServerOptions& options);
  // Closes every connection and ends the loops; the registry stays.
  void Stop();

  const net::Endpoint& local() const { return listener_->local(); }
  Service& service() { return service_; }

 private:
  class FaultLog;

  void Accept(net::EventLoop* loop, asio::ip::tcp::socket socket, net::Admission admission);
  void Sweep();
  void LogRequest(const wire::IpAddress& source, absl::string_view line,
                  absl::string_view answer) const;
  wire::Figures Figures() const;
  uint64_t RequestCount() const;

  ServerOptions options_;
  std::unique_ptr<FaultLog> fault_log_;
  std::atomic<bool> access_log_;
  const absl::Time started_;
  const std::function<wire::Figures()> more_figures_;
  Service service_;
  std::vector<std::unique_ptr<Worker>> workers_;
  size_t next_worker_ = 0;  // the first worker's loop
  std::unique_ptr<net::Timer> sweep_timer_;
  // The first worker's loop: requests since the last full second or two, for their rate.
  absl::Time counted_at_;
  uint64_t counted_ = 0;
  std::atomic<uint64_t> requests_per_second_{0};
  bool stopped_ = false;
  std::unique_ptr<net::Listener> listener_;
};

}  // namespace p2p::tracker

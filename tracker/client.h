// One client's connection: moves bytes between it and its Conversation. Belongs to its worker's
// loop.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "asio/ip/tcp.hpp"
#include "core/net/admission.h"
#include "core/net/event_loop.h"
#include "core/net/text_connection.h"
#include "tracker/conversation.h"
#include "tracker/service.h"

namespace p2p::tracker {

class Client;

// One loop and its clients, which belong to the loop's thread.
struct Worker {
  explicit Worker(std::string thread_name) : loop(std::move(thread_name)), connections(&loop) {}

  net::EventLoop loop;
  net::TextConnectionSet connections;
  absl::flat_hash_map<Client*, std::unique_ptr<Client>> clients;
  std::string spare;  // what answers were written in last, for the next ones
  // Read by other threads.
  std::atomic<uint64_t> requests{0};
  std::atomic<size_t> client_count{0};
};

class Client : public net::TextConnectionHandler {
 public:
  // Adds a client to its worker, which owns it until the connection has ended.
  static void Add(Worker* worker, const ConversationOptions* options, Service* service,
                  asio::ip::tcp::socket socket, net::Admission admission);

  Client(Worker* worker, const ConversationOptions* options, Service* service,
         asio::ip::tcp::socket socket, net::Admission admission);

  void OnRead(absl::string_view bytes) override;
  void OnEndOfStream() override;
  void OnSent(size_t sent_bytes) override;
  void OnTime() override;
  void OnClosed() override;

 private:
  // Does what the conversation wants after each of its inputs.
  void Follow(absl::Time now);
  // Of requests that count from now on, before anybody has their answers.
  std::string TakeOutput();

  Worker* const worker_;
  const net::Admission admission_;
  net::TextConnection connection_;
  Conversation conversation_;
};

}  // namespace p2p::tracker

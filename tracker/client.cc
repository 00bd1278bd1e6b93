#include "tracker/client.h"

#include <utility>

#include "core/base/clock.h"
#include "core/net/waiting_text.h"

namespace p2p::tracker {
namespace {

// A buffer that grew beyond this is not kept for the next answers.
constexpr size_t kMaxSpareBytes = 256 << 10;

wire::IpAddress IpOf(const net::Endpoint& endpoint) {
  if (endpoint.address().is_v4()) {
    return wire::IpAddress::FromV4(endpoint.address().to_v4().to_bytes());
  }
  wire::IpAddress ip;
  ip.bytes = endpoint.address().to_v6().to_bytes();
  return ip;
}

}  // namespace

void Client::Add(Worker* worker, const ConversationOptions* options, Service* service,
                 asio::ip::tcp::socket socket, net::Admission admission) {
  auto client =
      std::make_unique<Client>(worker, options, service, std::move(socket), std::move(admission));
  Client* const raw = client.get();
  worker->clients.emplace(raw, std::move(client));
  worker->client_count.store(worker->clients.size(), std::memory_order_relaxed);
  raw->Follow(MonotonicNow());
}

Client::Client(Worker* worker, const ConversationOptions* options, Service* service,
               asio::ip::tcp::socket socket, net::Admission admission)
    : worker_(worker),
      admission_(std::move(admission)),
      connection_(&worker->connections, std::move(socket), this),
      conversation_(options, service, {IpOf(connection_.remote()), connection_.remote().port()},
                    MonotonicNow()) {}

void Client::OnRead(absl::string_view bytes) {
  const absl::Time now = MonotonicNow();
  conversation_.LimitBacklog(net::WaitingText::Limit());
  conversation_.LendBuffer(std::move(worker_->spare));
  conversation_.OnBytes(bytes, now);
  Follow(now);
}

void Client::OnEndOfStream() {
  conversation_.OnEndOfStream(MonotonicNow());
  Follow(MonotonicNow());
}

void Client::OnSent(size_t sent_bytes) {
  conversation_.OnSent(sent_bytes, connection_.unsent_bytes(), MonotonicNow());
  Follow(MonotonicNow());
}

void Client::OnTime() {
  conversation_.OnTime(MonotonicNow());
  Follow(MonotonicNow());
}

void Client::OnClosed() {
  Worker* const worker = worker_;
  worker->clients.erase(this);
  worker->client_count.store(worker->clients.size(), std::memory_order_relaxed);
}

std::string Client::TakeOutput() {
  worker_->requests.fetch_add(conversation_.TakeRequestCount(), std::memory_order_relaxed);
  return conversation_.TakeOutput();
}

void Client::Follow(absl::Time now) {
  std::string output = TakeOutput();
  while (!output.empty()) {
    const size_t before = connection_.unsent_bytes() + output.size();
    connection_.Send(output);
    output.clear();
    const size_t unsent = connection_.unsent_bytes();
    conversation_.LendBuffer(std::move(output));
    conversation_.OnSent(before - unsent, unsent, now);
    output = TakeOutput();
  }
  if (output.capacity() <= kMaxSpareBytes) worker_->spare = std::move(output);
  switch (conversation_.state()) {
    case Conversation::State::kOpen:
      connection_.SetReading(conversation_.WantsRead());
      return connection_.WakeUpAt(conversation_.WakeUpTime());
    case Conversation::State::kFinished:
      return connection_.FinishSending();
    case Conversation::State::kAbandoned:
      return connection_.Close();
  }
}

}  // namespace p2p::tracker

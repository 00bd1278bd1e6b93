#include "tracker/server.h"

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/net/connection.h"
#include "core/net/event_loop.h"
#include "spdlog/spdlog.h"

namespace p2p::tracker {
namespace {

// Registrations also expire with every request; this only keeps an idle tracker small.
constexpr absl::Duration kSweepInterval = absl::Seconds(5);
constexpr int kMaxLogLinesPerSecond = 10;
constexpr size_t kMaxLoggedLineBytes = 80;

wire::IpAddress IpOf(const net::Endpoint& endpoint) {
  wire::IpAddress ip;
  if (endpoint.address().is_v4()) {
    return wire::IpAddress::FromV4(endpoint.address().to_v4().to_bytes());
  }
  ip.bytes = endpoint.address().to_v6().to_bytes();
  return ip;
}

}  // namespace

// One log line for each line that was no request, as long as there are not too many. Thread-safe.
class Server::FaultLog {
 public:
  void Add(const wire::IpAddress& source, absl::string_view line, const wire::WireError& error)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    int left_out = 0;
    if (!MayLog(MonotonicNow(), &left_out)) return;
    if (left_out > 0) spdlog::warn("{} refused requests were not logged", left_out);
    spdlog::warn("{}: refused with {} ({}): {}", source.ToString(), error.code, error.text,
                 Printable(line, kMaxLoggedLineBytes));
  }

 private:
  bool MayLog(absl::Time now, int* left_out) {
    absl::MutexLock lock(&mutex_);
    if (now >= second_ + absl::Seconds(1)) {
      *left_out = std::max(0, lines_ - kMaxLogLinesPerSecond);
      second_ = now;
      lines_ = 0;
    }
    return ++lines_ <= kMaxLogLinesPerSecond;
  }

  absl::Mutex mutex_;
  absl::Time second_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  int lines_ ABSL_GUARDED_BY(mutex_) = 0;
};

// One loop and its connections, which belong to the loop's thread.
struct Server::Worker {
  explicit Worker(std::string thread_name) : loop(std::move(thread_name)) {}

  net::EventLoop loop;
  absl::flat_hash_map<Client*, std::unique_ptr<Client>> clients;
};

// One connection. Belongs to its worker's loop.
class Server::Client : public net::ConnectionHandler {
 public:
  Client(Worker* worker, const ConversationOptions* options, Service* service,
         asio::ip::tcp::socket socket, net::Admission admission)
      : worker_(worker),
        admission_(std::move(admission)),
        connection_(&worker->loop, std::move(socket), net::ConnectionOptions(), this),
        conversation_(options, service, IpOf(connection_.remote()), MonotonicNow()),
        timer_(&worker->loop) {}

  void Start() {
    connection_.Start();
    Follow();
  }

  absl::Span<uint8_t> ReadBuffer() override {
    paused_ = !conversation_.WantsRead();
    return paused_ ? absl::Span<uint8_t>() : worker_->loop.Scratch();
  }

  void OnRead(size_t size) override {
    const auto* bytes = reinterpret_cast<const char*>(worker_->loop.Scratch().data());
    conversation_.OnBytes(absl::string_view(bytes, size), MonotonicNow());
    Follow();
  }

  void OnEndOfStream() override {
    conversation_.OnEndOfStream(MonotonicNow());
    Follow();
  }

  void OnSent(size_t sent_bytes) override {
    conversation_.OnSent(sent_bytes, connection_.unsent_bytes(), MonotonicNow());
    Follow();
  }

  void OnFileError(const absl::Status&) override {}  // no file is ever sent

  void OnClosed(const absl::Status&) override { worker_->clients.erase(this); }

 private:
  // Does what the conversation wants after each of its inputs.
  void Follow() {
    std::string output = conversation_.TakeOutput();
    if (!output.empty()) connection_.SendText(std::move(output));
    switch (conversation_.state()) {
      case Conversation::State::kOpen:
        break;
      case Conversation::State::kFinished:
        return connection_.FinishSending();
      case Conversation::State::kTimedOut:
        return connection_.Close();
    }
    if (paused_ && conversation_.WantsRead()) connection_.ResumeReading();
    timer_.Arm(conversation_.WakeUpTime(), [this] {
      conversation_.OnTime(MonotonicNow());
      Follow();
    });
  }

  Worker* const worker_;
  const net::Admission admission_;
  net::Connection connection_;
  Conversation conversation_;
  net::Timer timer_;
  bool paused_ = false;
};

Server::Server(const ServerOptions& options)
    : options_(options),
      fault_log_(std::make_unique<FaultLog>()),
      service_(options.registry, options.trust_addresses) {
  options_.conversation.on_fault =
      [log = fault_log_.get()](const wire::IpAddress& source, absl::string_view line,
                               const wire::WireError& error) { log->Add(source, line, error); };
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  const int loops = options.loops > 0 ? options.loops : std::clamp(cores, 1, 2);
  for (int i = 0; i < loops; ++i) {
    workers_.push_back(std::make_unique<Worker>(absl::StrCat("tracker-", i)));
    workers_.back()->loop.Start();
  }
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(absl::Span<const net::Endpoint> at,
                                                      const ServerOptions& options) {
  std::unique_ptr<Server> server(new Server(options));
  const absl::Status status = server->Listen(at);
  if (!status.ok()) return status;
  return server;
}

absl::Status Server::Listen(absl::Span<const net::Endpoint> at) {
  absl::Status status = absl::InvalidArgumentError("no address to listen on was given");
  net::EventLoop* const loop = &workers_.front()->loop;
  for (const net::Endpoint& endpoint : at) {
    auto listener = net::Listener::Listen(
        loop, endpoint, options_.listener,
        [this] { return &workers_[next_worker_++ % workers_.size()]->loop; },
        [this](net::EventLoop* of, asio::ip::tcp::socket socket, net::Admission admission) {
          Accept(of, std::move(socket), std::move(admission));
        });
    status = listener.status();
    if (status.ok()) {
      listener_ = *std::move(listener);
      loop->RunAndWait([this, loop] {
        sweep_timer_ = std::make_unique<net::Timer>(loop);
        SweepLater();
      });
      return status;
    }
    if (!absl::IsInvalidArgument(status)) return status;
  }
  return status;
}

Server::~Server() {
  workers_.front()->loop.RunAndWait([this] {
    listener_.reset();
    sweep_timer_.reset();
  });
  for (auto& worker : workers_) {
    worker->loop.RunAndWait([&worker] { worker->clients.clear(); });
    worker->loop.Stop();
  }
}

void Server::Accept(net::EventLoop* loop, asio::ip::tcp::socket socket, net::Admission admission) {
  const auto worker = std::find_if(workers_.begin(), workers_.end(),
                                   [loop](const auto& w) { return &w->loop == loop; });
  // std::function wants to be copied; a socket does not.
  auto moved = std::make_shared<asio::ip::tcp::socket>(std::move(socket));
  loop->Post([this, to = worker->get(), moved, admission = std::move(admission)] {
    auto client = std::make_unique<Client>(to, &options_.conversation, &service_, std::move(*moved),
                                           admission);
    Client* const raw = client.get();
    to->clients.emplace(raw, std::move(client));
    raw->Start();
  });
}

void Server::SweepLater() {
  sweep_timer_->Arm(MonotonicNow() + kSweepInterval, [this] {
    service_.Expire(MonotonicNow());
    SweepLater();
  });
}

}  // namespace p2p::tracker

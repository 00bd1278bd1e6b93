#include "tracker/server.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/line_limit.h"
#include "core/base/text.h"
#include "core/net/event_loop.h"
#include "spdlog/spdlog.h"
#include "tracker/client.h"

namespace p2p::tracker {
namespace {

// Registrations also expire with every request; this only keeps an idle tracker small, and little
// from being over at once.
constexpr absl::Duration kSweepInterval = absl::Milliseconds(250);
constexpr absl::Duration kCountInterval = absl::Seconds(1);
constexpr int kMaxLoops = 16;
constexpr size_t kMaxLoggedLineBytes = 160;

// Memory of this process; 0 where the system does not tell it here.
uint64_t ResidentBytes() {
  uint64_t all_pages = 0;
  uint64_t resident_pages = 0;
  std::ifstream("/proc/self/statm") >> all_pages >> resident_pages;
  return resident_pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

// One log line for each line that was no request, as long as there are not too many. Thread-safe.
class Server::FaultLog {
 public:
  void Add(const wire::IpAddress& source, absl::string_view line, const wire::WireError& error) {
    const auto logged =
        limit_.Pass(absl::StrCat(source.ToString(), ": refused with ", error.code, " (", error.text,
                                 "): ", Printable(line, kMaxLoggedLineBytes)),
                    MonotonicNow());
    if (logged.has_value()) spdlog::warn("{}", *logged);
  }

 private:
  LineLimit limit_{limits::kMaxFaultLinesPerSecond};
};

Server::Server(const ServerOptions& options, std::function<wire::Figures()> figures)
    : options_(options),
      fault_log_(std::make_unique<FaultLog>()),
      access_log_(options.access_log),
      started_(MonotonicNow()),
      more_figures_(std::move(figures)),
      service_(options.registry, options.trust_addresses) {
  service_.SetPublicStats(options.public_stats);
  service_.SetFigures([this] { return Figures(); });
  options_.conversation.on_fault =
      [log = fault_log_.get()](const wire::IpAddress& source, absl::string_view line,
                               const wire::WireError& error) { log->Add(source, line, error); };
  options_.conversation.on_request = [this](const wire::IpAddress& source, absl::string_view line,
                                            absl::string_view payload, absl::string_view answer) {
    if (!access_log_.load(std::memory_order_relaxed)) return;
    LogRequest(source, payload.empty() ? std::string(line) : absl::StrCat(line, " ", payload),
               answer);
  };
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  const int loops = options.loops > 0 ? options.loops : std::clamp(cores, 1, kMaxLoops);
  for (int i = 0; i < loops; ++i) {
    workers_.push_back(std::make_unique<Worker>(absl::StrCat("tracker-", i)));
    workers_.back()->loop.Start();
  }
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(absl::Span<const net::Endpoint> at,
                                                      const ServerOptions& options) {
  auto server = std::make_unique<Server>(options);
  const absl::Status status = server->Listen(at);
  if (!status.ok()) return status;
  return server;
}

absl::Status Server::Listen(absl::Span<const net::Endpoint> at) {
  absl::Status status = absl::InvalidArgumentError("no address to listen on was given");
  net::EventLoop* const loop = &workers_.front()->loop;
  for (const net::Endpoint& endpoint : at) {
    auto listener = net::Listener::Listen(
        loop, endpoint, options_.listener, Conversation::NoRoomText(),
        [this] { return &workers_[next_worker_++ % workers_.size()]->loop; },
        [this](net::EventLoop* of, asio::ip::tcp::socket socket, net::Admission admission) {
          Accept(of, std::move(socket), std::move(admission));
        });
    status = listener.status();
    if (status.ok()) {
      listener_ = *std::move(listener);
      loop->RunAndWait([this, loop] {
        sweep_timer_ = std::make_unique<net::Timer>(loop);
        Sweep();
      });
      return status;
    }
    if (!absl::IsInvalidArgument(status)) return status;
  }
  return status;
}

Server::~Server() { Stop(); }

void Server::Stop() {
  if (std::exchange(stopped_, true)) return;
  // Clients on other loops may still ask how much the listener refused.
  workers_.front()->loop.RunAndWait([this] {
    if (listener_ != nullptr) listener_->Stop();
    sweep_timer_.reset();
  });
  for (auto& worker : workers_) {
    worker->loop.RunAndWait([&worker] { worker->clients.clear(); });
    worker->loop.Stop();
  }
}

void Server::SetOptions(const ServerOptions& options) {
  service_.registry().SetOptions(options.registry);
  service_.SetTrustAddresses(options.trust_addresses);
  service_.SetPublicStats(options.public_stats);
  access_log_ = options.access_log;
  options_.listener = options.listener;  // for a Listen that is yet to come
  if (listener_ != nullptr) listener_->SetOptions(options.listener);
}

void Server::Accept(net::EventLoop* loop, asio::ip::tcp::socket socket, net::Admission admission) {
  const auto worker = std::find_if(workers_.begin(), workers_.end(),
                                   [loop](const auto& w) { return &w->loop == loop; });
  // std::function wants to be copied; a socket does not.
  auto moved = std::make_shared<asio::ip::tcp::socket>(std::move(socket));
  loop->Post([this, to = worker->get(), moved, admission = std::move(admission)] {
    Client::Add(to, &options_.conversation, &service_, std::move(*moved), admission);
  });
}

void Server::Sweep() {
  const absl::Time now = MonotonicNow();
  const bool done = service_.registry().ExpireSome(now);
  if (now - counted_at_ >= kCountInterval) {
    const uint64_t requests = RequestCount();
    requests_per_second_ = static_cast<uint64_t>(static_cast<double>(requests - counted_) /
                                                 absl::ToDoubleSeconds(now - counted_at_));
    counted_ = requests;
    counted_at_ = now;
  }
  // While more is over, other handlers of the loop have their turn in between.
  sweep_timer_->Arm(done ? now + kSweepInterval : now, [this] { Sweep(); });
}

void Server::LogRequest(const wire::IpAddress& source, absl::string_view line,
                        absl::string_view answer) const {
  spdlog::info("{}: {} -> {}", source.ToString(), Printable(line, kMaxLoggedLineBytes),
               Printable(answer.substr(0, answer.find('\n')), kMaxLoggedLineBytes));
}

uint64_t Server::RequestCount() const {
  uint64_t requests = 0;
  for (const auto& worker : workers_) requests += worker->requests.load(std::memory_order_relaxed);
  return requests;
}

wire::Figures Server::Figures() const {
  const Registry::Counts counts = service_.registry().counts();
  size_t connections = 0;
  for (const auto& worker : workers_) {
    connections += worker->client_count.load(std::memory_order_relaxed);
  }
  wire::Figures figures;
  const auto add = [&figures](const char* name, uint64_t value) {
    figures.emplace_back(name, absl::StrCat(value));
  };
  figures.emplace_back("version", P2P_VERSION);
  add("uptime_seconds", static_cast<uint64_t>(absl::ToInt64Seconds(MonotonicNow() - started_)));
  add("hosts", counts.hosts);
  add("names", counts.names);
  add("registrations", counts.registrations);
  add("connections", connections);
  add("refused_connections", listener_->refused());
  add("requests", RequestCount());
  add("requests_per_second", requests_per_second_);
  add("registry_bytes", service_.registry().bytes());
  add("max_registry_bytes", service_.registry().options().max_bytes);
  add("resident_bytes", ResidentBytes());
  if (!more_figures_) return figures;
  for (auto& figure : more_figures_()) figures.push_back(std::move(figure));
  return figures;
}

}  // namespace p2p::tracker

// Load for a tracker: connections from many addresses of 127.0.0.0/8, each of which has so many
// requests under way at a time. Prints one JSON object. For bench/run.sh tracker.
//
//   bench_tracker_load PORT WORK [NAME=NUMBER...]
//
// WORK      lookup, register, mix (80 % lookups, 15 % registrations, 5 % unregistrations), fill
//           (`names` names with `peers` peers each, 1,000 a host), or announce (the UDP protocol of
//           BitTorrent trackers, BEP 15)
// NUMBERs   connections=64 depth=1 seconds=5 names=1000 peers=10 idle=0 (so many connections more,
//           which only stay open)
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kConnectionsPerHost = 32;
constexpr int kRegistrationsPerHost = 1'000;
constexpr int kPeerPort = 9001;

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "bench_tracker_load: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

struct Options {
  int port = 0;
  std::string work;
  std::map<std::string, int> numbers = {{"connections", 64}, {"depth", 1},  {"seconds", 5},
                                        {"names", 1'000},    {"peers", 10}, {"idle", 0}};
  int of(const char* name) const { return numbers.at(name); }
  bool IsUdp() const { return work == "announce"; }
};

// The n-th host: 127.1.0.1, 127.1.0.2, ...
sockaddr_in HostAddress(int n) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr =
      htonl(127u << 24 | 1u << 16 | static_cast<uint32_t>(n / 250 << 8 | (n % 250 + 1)));
  return address;
}

std::string HostText(int n) {
  const sockaddr_in address = HostAddress(n);
  char text[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, &address.sin_addr, text, sizeof text);
  return text;
}

int Connect(const Options& options, int host) {
  const int fd = socket(AF_INET, options.IsUdp() ? SOCK_DGRAM : SOCK_STREAM, 0);
  if (fd < 0) Fail("socket");
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  sockaddr_in from = HostAddress(host);
  if (bind(fd, reinterpret_cast<sockaddr*>(&from), sizeof from) != 0) Fail("bind");
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(options.port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) Fail("connect");
  if (!options.IsUdp()) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

struct Connection {
  int fd = -1;
  int host = 0;
  int answers_due = 0;
  int filled = 0;  // of what this host registers
  Clock::time_point asked;
  uint64_t udp_id = 0;
};

class Load {
 public:
  explicit Load(const Options& options)
      : options_(options),
        udp_(options.IsUdp()),
        depth_(options.of("depth")),
        names_(static_cast<uint32_t>(options.of("names"))),
        epoll_(epoll_create1(0)) {}

  void Run() {
    for (int i = 0; i < options_.of("idle"); ++i) AddIdle(i);
    const Clock::time_point began = Clock::now();
    const bool fills = options_.work == "fill";
    if (fills)
      to_fill_ = (int64_t{options_.of("names")} * options_.of("peers")) / kRegistrationsPerHost;
    end_ = fills ? Clock::time_point::max() : began + std::chrono::seconds(options_.of("seconds"));
    connections_.resize(static_cast<size_t>(options_.of("connections")));
    for (auto& connection : connections_) Start(&connection);
    while (open_ > 0) Turn();
    Print(std::chrono::duration<double>(Clock::now() - began).count());
  }

 private:
  // It asks once, so that it is no connection without a request.
  void AddIdle(int number) {
    const int fd = Connect(options_, 10'000 + number / kConnectionsPerHost);
    const std::string request = "LOOKUP none\n";
    char answer[256];
    if (send(fd, request.data(), request.size(), 0) < 0 ||
        recv(fd, answer, sizeof answer, 0) <= 0) {
      Fail("an idle connection");
    }
  }

  void Start(Connection* connection) {
    if (options_.work == "fill") {
      if (next_host_ >= to_fill_) return;
      connection->filled = 0;
    }
    connection->host = next_host_++;
    const int host =
        options_.work == "fill" ? connection->host : connection->host / kConnectionsPerHost;
    connection->host = host;
    connection->fd = Connect(options_, host);
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.ptr = connection;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, connection->fd, &event) != 0) Fail("epoll_ctl");
    ++open_;
    Ask(connection);
  }

  void Turn() {
    epoll_event events[256];
    const int count = epoll_wait(epoll_, events, 256, 1000);
    for (int i = 0; i < count; ++i) Receive(static_cast<Connection*>(events[i].data.ptr));
  }

  void Receive(Connection* connection) {
    const ssize_t got = recv(connection->fd, buffer_, sizeof buffer_, 0);
    if (got <= 0) Fail("the tracker ended a connection");
    if (udp_) {
      if (connection->udp_id == 0) std::memcpy(&connection->udp_id, buffer_ + 8, 8);
      --connection->answers_due;
    } else {
      for (const char* at = buffer_;
           (at = static_cast<const char*>(
                std::memchr(at, '\n', static_cast<size_t>(buffer_ + got - at)))) != nullptr;
           ++at) {
        --connection->answers_due;
      }
      if (std::memcmp(buffer_, "ERROR 4", 7) == 0) ++refused_;
      if (std::memcmp(buffer_, "ERROR 5", 7) == 0) ++refused_;
    }
    if (connection->answers_due > 0) return;
    const Clock::time_point now = Clock::now();
    latencies_.push_back(static_cast<float>(
        std::chrono::duration<double, std::milli>(now - connection->asked).count()));
    if (now < end_ && !(options_.work == "fill" && connection->filled >= kRegistrationsPerHost)) {
      return Ask(connection);
    }
    close(connection->fd);
    --open_;
    if (now < end_) Start(connection);
  }

  void Ask(Connection* connection) {
    text_.clear();
    for (int i = 0; i < depth_; ++i) AddRequest(connection);
    connection->answers_due = depth_;
    requests_ += static_cast<uint64_t>(depth_);
    connection->asked = Clock::now();
    for (size_t sent = 0; sent < text_.size();) {
      const ssize_t n =
          send(connection->fd, text_.data() + sent, text_.size() - sent, MSG_NOSIGNAL);
      if (n < 0) Fail("send");
      sent += static_cast<size_t>(n);
    }
  }

  void AddRequest(Connection* connection) {
    const std::string& work = options_.work;
    if (udp_) return AddAnnounce(connection);
    if (work == "fill") {
      const int64_t at = int64_t{connection->host} * kRegistrationsPerHost + connection->filled++;
      return AddRegister(connection, static_cast<uint32_t>(at % names_));
    }
    const uint32_t dice = work == "mix" ? random_() % 100 : 0;
    const uint32_t name = random_() % names_;
    if (work == "register" || (dice >= 80 && dice < 95)) return AddRegister(connection, name);
    if (dice >= 95) {
      text_ += "UNREGISTER " + HostText(connection->host) + ":" + std::to_string(kPeerPort) + "\n";
    } else {
      AddLookup(name);
    }
  }

  // With no more work than the tracker's own: they share the processors.
  void AddLookup(uint32_t name) {
    char line[32] = "LOOKUP file-";
    constexpr size_t kPrefix = sizeof "LOOKUP file-" - 1;
    char* end = std::to_chars(line + kPrefix, std::end(line), name).ptr;
    *end++ = '\n';
    text_.append(line, end);
  }

  void AddRegister(const Connection* connection, uint32_t name) {
    text_ += "REGISTER file-" + std::to_string(name) + " 1000000 " + HostText(connection->host) +
             ":" + std::to_string(kPeerPort) + "\n";
  }

  // BEP 15: connect once, then announce one of the contents again and again.
  void AddAnnounce(const Connection* connection) {
    const bool connects = connection->udp_id == 0;
    char packet[98] = {};
    if (connects) {
      const unsigned char magic[] = {0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80};
      std::memcpy(packet, magic, sizeof magic);
    } else {
      std::memcpy(packet, &connection->udp_id, 8);
      packet[11] = 1;
      const uint32_t name = random_() % names_;
      std::memcpy(packet + 16, &name, sizeof name);
      std::memcpy(packet + 36, &connection->host, sizeof connection->host);
      packet[95] = 10;  // peers wanted
      packet[96] = 0x23;
      packet[97] = 0x29;
    }
    text_.append(packet, connects ? 16 : sizeof packet);
  }

  void Print(double seconds) {
    std::sort(latencies_.begin(), latencies_.end());
    const auto at = [this](double part) {
      return latencies_[static_cast<size_t>(part * static_cast<double>(latencies_.size() - 1))];
    };
    std::printf(
        "{\"rate\": %.0f, \"median_ms\": %.3f, \"p99_ms\": %.3f, \"p999_ms\": %.3f, "
        "\"max_ms\": %.3f, \"refused\": %llu}\n",
        static_cast<double>(requests_) / seconds, at(0.5), at(0.99), at(0.999), at(1),
        static_cast<unsigned long long>(refused_));
  }

  const Options options_;
  const bool udp_;
  const int depth_;  // requests under way
  const uint32_t names_;
  const int epoll_;
  std::vector<Connection> connections_;
  int open_ = 0;
  int next_host_ = 0;
  int64_t to_fill_ = 0;
  Clock::time_point end_;
  std::minstd_rand random_{1};
  std::string text_;
  char buffer_[256 << 10];
  std::vector<float> latencies_;
  uint64_t requests_ = 0;
  uint64_t refused_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  bool understood = argc >= 3;
  if (understood) {
    options.port = std::atoi(argv[1]);
    options.work = argv[2];
  }
  for (int i = 3; i < argc; ++i) {
    const std::string word = argv[i];
    const auto number = options.numbers.find(word.substr(0, word.find('=')));
    understood = understood && number != options.numbers.end() && word.find('=') != word.npos;
    if (understood) number->second = std::atoi(word.c_str() + word.find('=') + 1);
  }
  if (!understood) {
    std::fprintf(stderr, "usage: bench_tracker_load PORT WORK [NAME=NUMBER...]\n");
    return 2;
  }
  std::make_unique<Load>(options)->Run();
  return 0;
}

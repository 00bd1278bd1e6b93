// A wide-area link between two test hosts on one machine: rate, delay and random loss, for kernels
// without netem. It makes two network namespaces joined by a relay in user space.
//
//   bench_wan NAME RATE_MBIT RTT_MS LOSS_PERCENT
//
// Makes NAME-a (10.78.0.1) and NAME-b (10.78.0.2), prints "wan ready" and runs until it is killed;
// `ip netns del` removes them afterwards. Each direction has its own token-rate queue (one
// bandwidth-delay product, at least 128 KiB, drop-tail), half of RTT_MS as delay, and drops
// LOSS_PERCENT of the packets at random. Needs root and iproute2.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Nanoseconds = std::chrono::nanoseconds;

constexpr size_t kMaxPacketBytes = 2'048;
constexpr double kMinQueueBytes = 128.0 * 1'024;
// How many packets one direction takes before the other gets its turn.
constexpr int kBatchPackets = 64;
constexpr Nanoseconds kLongestWait = std::chrono::milliseconds(5);

void Must(bool good, const char* what) {
  if (good) return;
  std::perror(what);
  std::exit(1);
}

void Run(const std::string& command) {
  if (std::system(command.c_str()) == 0) return;
  std::fprintf(stderr, "bench_wan: this failed: %s\n", command.c_str());
  std::exit(1);
}

void MakeNamespace(const std::string& name) {
  Run("ip netns add " + name + " && ip -n " + name + " link set lo up");
}

// The relay's end of a new device eth0 in the namespace.
int OpenTunIn(const std::string& name) {
  const int home = open("/proc/self/ns/net", O_RDONLY);
  const int there = open(("/run/netns/" + name).c_str(), O_RDONLY);
  Must(home >= 0 && there >= 0 && setns(there, CLONE_NEWNET) == 0, "enter namespace");
  const int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  ifreq request{};
  std::strcpy(request.ifr_name, "eth0");
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  Must(tun >= 0 && ioctl(tun, TUNSETIFF, &request) == 0, "make tun device");
  Must(setns(home, CLONE_NEWNET) == 0, "leave namespace");
  close(home);
  close(there);
  return tun;
}

void SetAddress(const std::string& name, const std::string& address) {
  Run("ip -n " + name + " addr add " + address + "/24 dev eth0 && ip -n " + name +
      " link set eth0 up txqueuelen 1000");
}

// A link is not late because its ends keep the processor busy. Where that is not allowed, it goes
// without.
void BecomeRealTime() {
  sched_param first{};
  first.sched_priority = 1;
  if (sched_setscheduler(0, SCHED_FIFO, &first) != 0) std::perror("bench_wan: real time");
}

struct Link {
  double bytes_per_ns;
  Nanoseconds one_way;
  double loss;  // 0 to 1
  double queue_bytes;
};

class Direction {
 public:
  Direction(int from, int to, const Link& link, unsigned seed)
      : from_(from), to_(to), link_(link), random_(seed) {}

  void TakeIn() {
    char buffer[kMaxPacketBytes];
    for (int i = 0; i < kBatchPackets; ++i) {
      const ssize_t n = read(from_, buffer, sizeof buffer);
      if (n <= 0) return;
      if (std::uniform_real_distribution<>(0, 1)(random_) < link_.loss) continue;
      const Clock::time_point now = Clock::now();
      const Clock::time_point start = std::max(now, free_at_);
      const double queued =
          std::chrono::duration<double, std::nano>(start - now).count() * link_.bytes_per_ns;
      const auto bytes = static_cast<double>(n);
      if (queued + bytes > link_.queue_bytes) continue;
      free_at_ = start + Nanoseconds(static_cast<int64_t>(bytes / link_.bytes_per_ns));
      in_flight_.push_back({free_at_ + link_.one_way, {buffer, buffer + n}});
    }
  }

  void Deliver() {
    const Clock::time_point now = Clock::now();
    while (!in_flight_.empty() && in_flight_.front().due <= now) {
      const std::vector<char>& bytes = in_flight_.front().bytes;
      // A packet that the receiver has no room for is lost, as on any link.
      (void)!write(to_, bytes.data(), bytes.size());
      in_flight_.pop_front();
    }
  }

  Nanoseconds UntilNextDue() const {
    if (in_flight_.empty()) return kLongestWait;
    return std::clamp<Nanoseconds>(in_flight_.front().due - Clock::now(), Nanoseconds(0),
                                   kLongestWait);
  }

 private:
  struct Packet {
    Clock::time_point due;
    std::vector<char> bytes;
  };

  int from_;
  int to_;
  Link link_;
  std::mt19937_64 random_;
  Clock::time_point free_at_ = Clock::now();
  std::deque<Packet> in_flight_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5 || std::atof(argv[2]) <= 0) {
    std::fprintf(stderr, "usage: bench_wan NAME RATE_MBIT RTT_MS LOSS_PERCENT\n");
    return 2;
  }
  const std::string a = std::string(argv[1]) + "-a";
  const std::string b = std::string(argv[1]) + "-b";
  const double bytes_per_ns = std::atof(argv[2]) * 1e6 / 8 / 1e9;
  const double rtt_ns = std::atof(argv[3]) * 1e6;
  const Link link{bytes_per_ns, Nanoseconds(static_cast<int64_t>(rtt_ns / 2)),
                  std::atof(argv[4]) / 100, std::max(bytes_per_ns * rtt_ns, kMinQueueBytes)};
  MakeNamespace(a);
  MakeNamespace(b);
  const int tun_a = OpenTunIn(a);
  const int tun_b = OpenTunIn(b);
  SetAddress(a, "10.78.0.1");
  SetAddress(b, "10.78.0.2");
  BecomeRealTime();
  Direction directions[] = {{tun_a, tun_b, link, 42}, {tun_b, tun_a, link, 43}};
  std::printf("wan ready\n");
  std::fflush(stdout);
  pollfd readable[] = {{tun_a, POLLIN, 0}, {tun_b, POLLIN, 0}};
  for (;;) {
    Nanoseconds wait = kLongestWait;
    for (const Direction& direction : directions) {
      wait = std::min(wait, direction.UntilNextDue());
    }
    const timespec timeout{0, static_cast<long>(wait.count())};
    ppoll(readable, 2, &timeout, nullptr);
    for (Direction& direction : directions) {
      direction.TakeIn();
      direction.Deliver();
    }
  }
}

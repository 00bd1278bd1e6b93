// The practical limit of a verified transfer on this machine, and nothing else: a server that sends
// with sendfile, and a client whose threads each receive a chunk, hash its leaves with the
// product's own hash, and write it.
//
//   bench_limit SRC DST THREADS [best|library|none] [system|unpaced]
//
// system: the system's congestion control; unpaced: the one that our daemons take on such a short
// path where the system's is BBR.
// Prints: wall=SECONDS cpu_client=SECONDS cpu_server=SECONDS hash=NAME
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "core/base/limits.h"
#include "core/content/sha256.h"
#include "core/net/congestion_control.h"

namespace {

constexpr int64_t kChunk = p2p::limits::kChunkBytes;
constexpr int64_t kLeaf = p2p::limits::kLeafBytes;
// Chunks that each thread has asked for and not received.
constexpr int kWindow = 4;

void Must(bool good, const char* what) {
  if (good) return;
  std::perror(what);
  std::exit(1);
}

int OpenSocket(bool unpaced) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  Must(fd >= 0, "socket");
  if (unpaced) p2p::net::PostponeBbr(fd);
  return fd;
}

void Serve(int connection, int source, int64_t size) {
  int64_t index;
  while (recv(connection, &index, sizeof index, MSG_WAITALL) == sizeof index) {
    off_t offset = index * kChunk;
    int64_t left = std::min(kChunk, size - static_cast<int64_t>(offset));
    while (left > 0) {
      const ssize_t n = sendfile(connection, source, &offset, static_cast<size_t>(left));
      if (n <= 0) return;
      left -= n;
    }
  }
}

[[noreturn]] void ServeAndExit(int listener, int source, int64_t size, int threads) {
  std::vector<std::thread> pool;
  for (int i = 0; i < threads; ++i) {
    const int connection = accept(listener, nullptr, nullptr);
    pool.emplace_back(Serve, connection, source, size);
  }
  for (std::thread& thread : pool) thread.join();
  _exit(0);
}

using HashChunk = void (*)(const uint8_t* data, int64_t size);

void HashBest(const uint8_t* data, int64_t size) {
  p2p::Hash256 leaves[p2p::limits::kLeavesPerChunk];
  p2p::content::HashLeaves({data, static_cast<size_t>(size)}, leaves);
}

void HashByLibrary(const uint8_t* data, int64_t size) {
  for (int64_t at = 0; at < size; at += kLeaf) {
    const auto length = static_cast<size_t>(std::min(kLeaf, size - at));
    p2p::content::Sha256(absl::Span<const uint8_t>(data + at, length));
  }
}

// Asks for chunks of its own choice until none is left.
void Fetch(const sockaddr_in& server, int destination, int64_t size, bool unpaced, HashChunk hash,
           std::atomic<int64_t>* next) {
  const int connection = OpenSocket(unpaced);
  const int one = 1;
  Must(connect(connection, reinterpret_cast<const sockaddr*>(&server), sizeof server) == 0,
       "connect");
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  const int64_t chunks = (size + kChunk - 1) / kChunk;
  std::vector<uint8_t> buffer(kChunk);
  int64_t asked[kWindow], head = 0, tail = 0;
  const auto ask = [&] {
    const int64_t index = (*next)++;
    if (index >= chunks) return;
    asked[head++ % kWindow] = index;
    Must(send(connection, &index, sizeof index, 0) == sizeof index, "send");
  };
  for (int i = 0; i < kWindow; ++i) ask();
  while (tail < head) {
    const int64_t index = asked[tail++ % kWindow];
    const int64_t n = std::min(kChunk, size - index * kChunk);
    Must(recv(connection, buffer.data(), static_cast<size_t>(n), MSG_WAITALL) == n, "recv");
    ask();
    if (hash != nullptr) hash(buffer.data(), n);
    Must(pwrite(destination, buffer.data(), static_cast<size_t>(n), index * kChunk) == n, "pwrite");
  }
  close(connection);
}

double CpuSeconds(int who) {
  rusage usage{};
  getrusage(who, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

sockaddr_in ListenOnLoopback(int listener, int backlog) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  Must(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "bind");
  Must(listen(listener, backlog) == 0, "listen");
  Must(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) == 0, "getsockname");
  return address;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4 || std::atoi(argv[3]) < 1) {
    std::fprintf(stderr,
                 "usage: bench_limit SRC DST THREADS [best|library|none] [system|unpaced]\n");
    return 2;
  }
  const int threads = std::atoi(argv[3]);
  const std::string name = argc > 4 ? argv[4] : "best";
  const HashChunk hash = name == "none" ? nullptr : name == "library" ? HashByLibrary : HashBest;
  const bool unpaced = argc > 5 && std::string(argv[5]) == "unpaced";
  const int source = open(argv[1], O_RDONLY);
  Must(source >= 0, argv[1]);
  struct stat info {};
  fstat(source, &info);
  const int64_t size = info.st_size;
  const int listener = OpenSocket(unpaced);
  const sockaddr_in server = ListenOnLoopback(listener, threads);
  const pid_t child = fork();
  if (child == 0) ServeAndExit(listener, source, size, threads);
  const int destination = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0644);
  Must(destination >= 0, argv[2]);
  const auto start = std::chrono::steady_clock::now();
  std::atomic<int64_t> next{0};
  std::vector<std::thread> pool;
  for (int i = 0; i < threads; ++i)
    pool.emplace_back(Fetch, server, destination, size, unpaced, hash, &next);
  for (std::thread& thread : pool) thread.join();
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  waitpid(child, nullptr, 0);
  std::printf("wall=%.3f cpu_client=%.2f cpu_server=%.2f hash=%s\n", wall.count(),
              CpuSeconds(RUSAGE_SELF), CpuSeconds(RUSAGE_CHILDREN),
              hash == HashBest ? p2p::content::BestHashImplementation().name : name.c_str());
}

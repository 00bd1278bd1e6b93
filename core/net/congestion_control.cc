#include "core/net/congestion_control.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/text.h"
#include "core/net/socket.h"

namespace p2p::net {
namespace {

// What the kernel keeps of a name, without its NUL.
constexpr size_t kMaxNameBytes = 15;
constexpr char kBbr[] = "bbr";
constexpr absl::Duration kFar = absl::Milliseconds(2);

bool Set(int fd, absl::string_view name) {
#ifdef TCP_CONGESTION
  return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(),
                    static_cast<socklen_t>(name.size())) == 0;
#else
  (void)fd;
  (void)name;
  return false;
#endif
}

std::string Current(int fd) {
#ifdef TCP_CONGESTION
  char name[kMaxNameBytes + 1] = {};
  socklen_t size = sizeof name;
  if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &size) == 0) return name;
#else
  (void)fd;
#endif
  return "";
}

// A socket to try things on.
class Probe {
 public:
  Probe() : fd_(OpenSocket(AF_INET)) {}
  ~Probe() {
    if (fd_ >= 0) CloseSocket(fd_);
  }
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

std::string AllowedNames() {
  std::string names;
  std::ifstream allowed("/proc/sys/net/ipv4/tcp_allowed_congestion_control");
  std::getline(allowed, names);
  return names;
}

}  // namespace

absl::Status CheckCongestionName(absl::string_view choice) {
  const bool plain = std::all_of(choice.begin(), choice.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
  });
  if (plain && !choice.empty() && choice.size() <= kMaxNameBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "must be auto, system or a name such as bbr or cubic, not \"", Printable(choice, 64), "\""));
}

absl::Status CheckCongestionControl(const std::string& choice) {
  if (choice == kCongestionAuto || choice == kCongestionSystem) return absl::OkStatus();
  const Probe probe;
  if (Set(probe.fd(), choice)) return absl::OkStatus();
  const std::string allowed = AllowedNames();
  return absl::FailedPreconditionError(
      absl::StrCat("congestion control \"", Printable(choice), "\" can not be used here",
                   allowed.empty() ? "" : absl::StrCat(" (allowed are: ", allowed, ")"),
                   "; choose another, or load its kernel module and add it to "
                   "net.ipv4.tcp_allowed_congestion_control"));
}

std::string DescribeCongestionControl(const std::string& choice) {
  const Probe probe;
  const std::string of_system = Current(probe.fd());
  if (choice == kCongestionSystem) return of_system;
  if (choice != kCongestionAuto) return choice;
  PostponeBbr(probe.fd());
  const std::string near = Current(probe.fd());
  if (!Set(probe.fd(), kBbr)) return absl::StrCat(of_system, " (bbr is not available)");
  return absl::StrCat("bbr from ", absl::ToInt64Milliseconds(kFar), " ms on, ", near, " below");
}

void PostponeBbr(int fd) {
  if (!absl::StartsWith(Current(fd), kBbr)) return;
  if (!Set(fd, "cubic")) (void)Set(fd, "reno");
}

void ApplyCongestionControl(int fd, const std::string& choice) {
  if (choice == kCongestionSystem) {
    (void)Set(fd, Current(Probe().fd()));
  } else if (choice != kCongestionAuto) {
    (void)Set(fd, choice);
  } else if (TcpRoundTripTime(fd) >= kFar) {
    (void)Set(fd, kBbr);
  }
}

}  // namespace p2p::net

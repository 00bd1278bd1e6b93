#include "core/net/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"

namespace p2p::net {
namespace {

// More than all limits together ask for; some systems have no limit at all.
constexpr rlim_t kMostDescriptors = 1 << 20;
// An idle p2pd has 28 with two I/O loops, three more for each other one, and eight loops at most; a
// tracker has less. The rest is for files and connections.
constexpr int kFewestDescriptors = 64;

}  // namespace

void HoldStandardDescriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // The lowest free number is taken: this one, since those before it are open.
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) (void)open("/dev/null", O_RDWR);
  }
}

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min(limit.rlim_max, kMostDescriptors);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int DescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return static_cast<int>(kMostDescriptors);
  return static_cast<int>(std::min(limit.rlim_cur, kMostDescriptors));
}

absl::Status CheckDescriptorLimit() {
  const int limit = DescriptorLimit();
  if (limit >= kFewestDescriptors) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("only ", limit, " files may be open at once, ", kFewestDescriptors,
                   " are needed at least; raise the hard limit (ulimit -n, LimitNOFILE=)"));
}

}  // namespace p2p::net

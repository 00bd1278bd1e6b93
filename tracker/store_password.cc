#include "tracker/store_password.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace p2p::tracker {
namespace {

constexpr size_t kMaxPasswordBytes = 4096;

}  // namespace

absl::StatusOr<std::string> ReadStorePassword(const std::string& file) {
  if (file.empty()) {
    const char* const password = std::getenv("P2P_STORE_PASSWORD");
    return std::string(password == nullptr ? "" : password);
  }
  // O_NONBLOCK: a FIFO must not hold up the start.
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("cannot read the password in ", file));
  const absl::Cleanup closer = [fd] { close(fd); };
  char buffer[kMaxPasswordBytes];
  const ssize_t n = read(fd, buffer, sizeof buffer);
  if (n < 0) return ErrnoStatus(errno, absl::StrCat("cannot read the password in ", file));
  std::string line(buffer, static_cast<size_t>(n));
  line.resize(std::min(line.size(), line.find_first_of("\r\n")));
  if (line.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(file, ": its first line has no password"));
  }
  return line;
}

}  // namespace p2p::tracker

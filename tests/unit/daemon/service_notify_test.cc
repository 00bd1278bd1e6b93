#include "daemon/service_notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace p2p::daemon {
namespace {

// A service manager that listens at `path`; '@' stands for an abstract name.
class FakeManager {
 public:
  explicit FakeManager(const std::string& path) : path_(path) {
    socket_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    if (path[0] == '@') address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    EXPECT_EQ(bind(socket_, reinterpret_cast<const sockaddr*>(&address), length), 0);
    setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }
  ~FakeManager() {
    unsetenv("NOTIFY_SOCKET");
    close(socket_);
    if (path_[0] != '@') unlink(path_.c_str());
  }
  // The next message, "" when there is none.
  std::string Next() {
    char buffer[256];
    const ssize_t n = recv(socket_, buffer, sizeof buffer, 0);
    return n < 0 ? "" : std::string(buffer, static_cast<size_t>(n));
  }

 private:
  const std::string path_;
  int socket_;
};

TEST(ServiceNotify, TellsTheManagerAtItsSocket) {
  FakeManager manager(absl::StrCat(::testing::TempDir(), "/notify-", getpid()));
  NotifyServiceManager("READY=1\nSTATUS=good");
  EXPECT_EQ(manager.Next(), "READY=1\nSTATUS=good");
  EXPECT_EQ(manager.Next(), "");
}

TEST(ServiceNotify, KnowsAbstractSocketNames) {
  FakeManager manager(absl::StrCat("@p2pd-notify-test-", getpid()));
  NotifyServiceManager("STOPPING=1");
  EXPECT_EQ(manager.Next(), "STOPPING=1");
}

TEST(ServiceNotify, GoesOnWhereNobodyListensOrTheNameIsTooLong) {
  unsetenv("NOTIFY_SOCKET");
  NotifyServiceManager("READY=1");
  for (const std::string& path : {std::string("/nowhere/notify"), std::string(), std::string("@"),
                                  std::string("@") + std::string(500, 'x')}) {
    setenv("NOTIFY_SOCKET", path.c_str(), 1);
    NotifyServiceManager("READY=1");
  }
  unsetenv("NOTIFY_SOCKET");
  EXPECT_EQ(access("/nowhere/notify", F_OK), -1);
}

}  // namespace
}  // namespace p2p::daemon

// What the tests of core/net share: plain blocking sockets for the other side, files, and a handler
// that records what it is told. All waits end after kPatience, and then the test fails.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/types/optional.h"
#include "core/base/clock.h"
#include "core/net/connection.h"

namespace p2p::net {

constexpr absl::Duration kPatience = absl::Seconds(30);

// A blocking socket whose calls give up after kPatience.
class RawSocket {
 public:
  RawSocket() = default;
  explicit RawSocket(int fd) : fd_(fd) {
    const timeval patience = {absl::ToInt64Seconds(kPatience), 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  }
  RawSocket(RawSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  RawSocket& operator=(RawSocket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~RawSocket() { Close(); }

  static RawSocket Unconnected(int family = AF_INET) {
    return RawSocket(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  }
  bool ConnectTo(const Endpoint& to) const {
    return connect(fd_, to.data(), static_cast<socklen_t>(to.size())) == 0;
  }
  static RawSocket To(const Endpoint& to) {
    RawSocket raw = Unconnected(to.address().is_v4() ? AF_INET : AF_INET6);
    EXPECT_TRUE(raw.ConnectTo(to)) << strerror(errno);
    return raw;
  }

  int fd() const { return fd_; }
  void SendAll(const std::string& data) const {
    size_t sent = 0;
    while (sent < data.size()) {
      const ssize_t n = send(fd_, &data[sent], data.size() - sent, MSG_NOSIGNAL);
      ASSERT_GT(n, 0) << strerror(errno);
      sent += static_cast<size_t>(n);
    }
  }
  // Up to `size` bytes: fewer when the other side ends. An error is told as "<...>" behind them.
  std::string Read(size_t size) const {
    std::string data(size, '\0');
    size_t got = 0;
    while (got < size) {
      const ssize_t n = recv(fd_, &data[got], size - got, 0);
      if (n == 0) break;
      if (n < 0) return data.substr(0, got) + "<" + strerror(errno) + ">";
      got += static_cast<size_t>(n);
    }
    data.resize(got);
    return data;
  }
  std::string ReadToEnd() const {
    std::string data;
    while (true) {
      const std::string part = Read(64 << 10);
      data += part;
      if (part.size() < (64 << 10)) return data;
    }
  }
  void FinishSending() const { shutdown(fd_, SHUT_WR); }
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }
  void Reset() {
    const linger now = {1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    Close();
  }

 private:
  int fd_ = -1;
};

// A listening socket on the loopback address and a free port.
struct RawListener {
  explicit RawListener(int backlog = 16) {
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const Endpoint any(asio::ip::address_v4::loopback(), 0);
    EXPECT_EQ(bind(fd, any.data(), static_cast<socklen_t>(any.size())), 0);
    EXPECT_EQ(listen(fd, backlog), 0);
    socklen_t size = static_cast<socklen_t>(at.capacity());
    EXPECT_EQ(getsockname(fd, at.data(), &size), 0);
  }
  ~RawListener() { close(fd); }
  RawSocket Accept() const { return RawSocket(accept4(fd, nullptr, nullptr, SOCK_CLOEXEC)); }
  int fd = -1;
  Endpoint at;
};

// The byte that test data has at `offset`: no period that a chunk or page size divides.
inline char PatternByte(uint64_t offset) {
  return static_cast<char>((offset * 0x9e3779b97f4a7c15u) >> 56);
}

inline std::string Pattern(uint64_t offset, size_t size) {
  std::string data(size, '\0');
  for (size_t i = 0; i < size; ++i) data[i] = PatternByte(offset + i);
  return data;
}

// A file without a name, of `size` pattern bytes. The descriptor is closed when the last slice is
// gone.
class PatternFile {
 public:
  explicit PatternFile(size_t size) {
    std::string path = ::testing::TempDir() + "p2p_net_test_XXXXXX";
    fd_ = mkstemp(&path[0]);
    EXPECT_GE(fd_, 0);
    unlink(path.c_str());
    const std::string data = Pattern(0, size);
    EXPECT_EQ(pwrite(fd_, data.data(), size, 0), static_cast<ssize_t>(size));
    owner_ = std::shared_ptr<void>(nullptr, [fd = fd_](void*) { close(fd); });
  }
  FileSlice Slice(uint64_t offset, uint32_t length) const { return {owner_, fd_, offset, length}; }
  int fd() const { return fd_; }
  // How many slices are held by others.
  long slices() const { return owner_.use_count() - 1; }

 private:
  int fd_ = -1;
  std::shared_ptr<void> owner_;
};

// Records what it is told; a hook runs after the recording. Hooks are set before the connection is
// made.
class Recorder : public ConnectionHandler {
 public:
  explicit Recorder(size_t buffer_bytes = 64 << 10) : buffer_(buffer_bytes) {}

  std::function<absl::Span<uint8_t>()> on_read_buffer;
  std::function<void()> on_read, on_end_of_stream, on_sent, on_file_error, on_closed;

  absl::Span<uint8_t> ReadBuffer() override {
    return on_read_buffer ? on_read_buffer() : absl::MakeSpan(buffer_);
  }
  void OnRead(size_t size) override {
    {
      absl::MutexLock lock(&mutex_);
      received_.append(reinterpret_cast<const char*>(buffer_.data()), size);
    }
    if (on_read) on_read();
  }
  void OnEndOfStream() override {
    {
      absl::MutexLock lock(&mutex_);
      ended_ = true;
    }
    if (on_end_of_stream) on_end_of_stream();
  }
  void OnSent(size_t sent_bytes) override {
    {
      absl::MutexLock lock(&mutex_);
      sent_ += sent_bytes;
    }
    if (on_sent) on_sent();
  }
  void OnFileError(const absl::Status& status) override {
    {
      absl::MutexLock lock(&mutex_);
      file_error_ = status;
    }
    if (on_file_error) on_file_error();
  }
  void OnClosed(const absl::Status& status) override {
    {
      absl::MutexLock lock(&mutex_);
      EXPECT_FALSE(closed_) << "told twice";
      closed_ = status;
    }
    if (on_closed) on_closed();
  }

  absl::Span<uint8_t> buffer() { return absl::MakeSpan(buffer_); }

  std::string AwaitReceived(size_t size) {
    return Await([this, size]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return received_.size() >= size; },
                 &received_);
  }
  bool AwaitEnd() {
    return Await([this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return ended_; }, &ended_);
  }
  size_t AwaitSent(size_t size) {
    return Await([this, size]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return sent_ >= size; }, &sent_);
  }
  absl::Status AwaitClosed() {
    const auto closed =
        Await([this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return closed_.has_value(); }, &closed_);
    return closed.value_or(absl::UnknownError("not closed"));
  }
  std::string received() { return Now(&received_); }
  size_t sent() { return Now(&sent_); }
  bool ended() { return Now(&ended_); }
  absl::Status file_error() { return Now(&file_error_); }
  bool closed() { return Now(&closed_).has_value(); }

 private:
  template <typename Condition, typename Value>
  Value Await(Condition condition, const Value* value) {
    absl::MutexLock lock(&mutex_);
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&condition), kPatience));
    return *value;
  }
  template <typename Value>
  Value Now(const Value* value) {
    absl::MutexLock lock(&mutex_);
    return *value;
  }

  std::vector<uint8_t> buffer_;
  absl::Mutex mutex_;
  std::string received_ ABSL_GUARDED_BY(mutex_);
  size_t sent_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status file_error_ ABSL_GUARDED_BY(mutex_);
  absl::optional<absl::Status> closed_ ABSL_GUARDED_BY(mutex_);
};

// Lets `loop` do once all that it does: UBSan needs a descriptor when it sees a type for the first
// time, which a test that takes all descriptors would not leave it.
inline void WarmUp(EventLoop* loop) {
  absl::Notification fired;
  std::unique_ptr<Timer> timer;
  loop->RunAndWait([&] {
    timer = std::make_unique<Timer>(loop);
    timer->Arm(MonotonicNow() + absl::Milliseconds(1), [&] { fired.Notify(); });
  });
  fired.WaitForNotification();
  loop->RunAndWait([&] { timer.reset(); });
}

// One connection on a loop of its own, and the raw socket at its other end.
class ConnectionTest : public ::testing::Test {
 protected:
  ConnectionTest() { loop_.Start(); }
  ~ConnectionTest() override { Destroy(); }

  // Makes the pair; reading starts unless `start` is false.
  void Open(const ConnectionOptions& options = ConnectionOptions(), bool start = true) {
    const RawListener listener;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(connect(fd, listener.at.data(), static_cast<socklen_t>(listener.at.size())), 0);
    other_ = listener.Accept();
    fcntl(fd, F_SETFL, O_NONBLOCK);
    InLoop([&] {
      asio::ip::tcp::socket socket(loop_.context());
      asio::error_code error;
      socket.assign(asio::ip::tcp::v4(), fd, error);
      ASSERT_FALSE(error);
      connection_ = std::make_unique<Connection>(&loop_, std::move(socket), options, &recorder_);
      if (start) connection_->Start();
    });
  }
  void InLoop(std::function<void()> task) { loop_.RunAndWait(std::move(task)); }
  // For tests whose hooks use variables of their own.
  void Destroy() {
    InLoop([this] { connection_.reset(); });
  }

  EventLoop loop_{"test-loop"};
  Recorder recorder_;
  RawSocket other_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace p2p::net

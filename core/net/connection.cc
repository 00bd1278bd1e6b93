#include "core/net/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <utility>

#include "absl/types/optional.h"
#include "asio/post.hpp"
#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/net/file_sender.h"
#include "core/net/socket.h"
#include "core/net/waiting_text.h"

namespace p2p::net {
namespace {

// What one connection moves before the others of its loop have their turn: it is over after
// limits::kMaxReadTurn, too, as lines of few bytes may mean much work.
constexpr size_t kReadTurnBytes = 1 << 20;
constexpr size_t kWriteTurnBytes = 2 << 20;
// Texts handed to the kernel in one call.
constexpr size_t kMaxPieces = 64;

}  // namespace

// Shared with the asio handlers that are under way, so that they find it closed rather than gone.
// `handler` is null once the Connection is destroyed or OnClosed was called.
struct Connection::Impl : std::enable_shared_from_this<Connection::Impl> {
  enum class Reading { kNotStarted, kWaiting, kPosted, kRunning, kPaused, kEnded };
  enum class Writing { kIdle, kPosted, kRunning, kWaiting };
  enum class Sent { kAll, kTurnOver, kBlocked, kSocketError, kFileError };

  Impl(EventLoop* its_loop, asio::ip::tcp::socket its_socket, ConnectionOptions its_options,
       ConnectionHandler* its_handler)
      : loop(its_loop),
        socket(std::move(its_socket)),
        fd(socket.native_handle()),
        options(std::move(its_options)),
        handler(its_handler),
        remote(RemoteEndpoint(fd)),
        local(LocalEndpoint(fd)),
        site(SiteOf(BytesOf(remote.address()))) {
    TuneConnection(fd, options.not_sent_low_water_bytes);
    ApplyCongestionControl(fd, options.congestion_control);
  }

  // --- Reading
  void WaitToRead() {
    if (!broken.ok()) return CloseWith(broken);
    reading = Reading::kWaiting;
    socket.async_wait(asio::ip::tcp::socket::wait_read,
                      [self = shared_from_this()](const asio::error_code&) { self->PostRead(); });
  }

  void PostRead() {
    reading = Reading::kPosted;
    loop->turns().Add(site, [self = shared_from_this()] { self->Read(); });
  }

  void Read() {
    if (closed) return;
    reading = Reading::kRunning;
    size_t moved = 0;
    const absl::Time turn_ends = MonotonicNow() + limits::kMaxReadTurn;
    while (moved < kReadTurnBytes && (moved == 0 || MonotonicNow() < turn_ends)) {
      resume_asked = false;
      absl::Span<uint8_t> buffer;
      if (!finishing) buffer = handler->ReadBuffer();
      if (closed) return;
      if (finishing) buffer = loop->Scratch();
      if (buffer.empty()) return resume_asked ? PostRead() : PauseReading();
      const ssize_t got = Receive(fd, buffer);
      if (got == -EAGAIN) return WaitToRead();
      if (got < 0) return CloseWith(broken.ok() ? SocketStatus(static_cast<int>(-got)) : broken);
      if (got == 0) return StreamEnded();
      if (!finishing) handler->OnRead(static_cast<size_t>(got));
      if (closed) return;
      moved += static_cast<size_t>(got);
      // The socket was drained: asking again would only tell EAGAIN.
      if (static_cast<size_t>(got) < buffer.size()) return WaitToRead();
    }
    PostRead();
  }

  void PauseReading() {
    if (!broken.ok()) return CloseWith(broken);
    reading = Reading::kPaused;
    WatchForReset();
  }

  void StreamEnded() {
    reading = Reading::kEnded;
    if (!broken.ok() || sending_ended) return CloseWith(broken);
    if (!finishing) handler->OnEndOfStream();
    if (!closed) WatchForReset();
  }

  // A connection that is not read learns only by this that the other side is gone.
  void WatchForReset() {
    if (watching) return;
    watching = true;
    socket.async_wait(asio::ip::tcp::socket::wait_error,
                      [self = shared_from_this()](const asio::error_code&) {
                        self->watching = false;
                        self->CheckReset();
                      });
  }

  // Where it is read, what came before the reset is read first. Without an error the wait is not
  // repeated: urgent data ends it too, again and again.
  void CheckReset() {
    if (closed || (reading != Reading::kPaused && reading != Reading::kEnded)) return;
    const int error_number = TakeSocketError(fd);
    if (error_number != 0) CloseWith(SocketStatus(error_number));
  }

  // --- Writing
  // Text, then bytes of a file; either may be missing.
  struct Item {
    std::string text;
    absl::optional<FileSlice> file;
  };

  void Queue(Item item, bool urgent) {
    if (item.file.has_value() && item.file->length == 0) item.file.reset();
    const size_t bytes = item.text.size() + (item.file.has_value() ? item.file->length : 0);
    if (closed || finishing || !broken.ok() || bytes == 0) return;
    unsent_bytes += bytes;
    unsent_text.Set(unsent_text.bytes() + item.text.size());
    auto at = queue.end();
    while (urgent && at != queue.begin() && MayWait(at - 1)) --at;
    queue.insert(at, std::move(item));
    if (writing == Writing::kIdle) PostWrite();
  }

  bool MayWait(std::deque<Item>::iterator item) const {
    const bool begun = item == queue.begin() && front_sent > 0;
    return item->file.has_value() && !item->text.empty() && !begun;
  }

  void PostWrite() {
    writing = Writing::kPosted;
    loop->turns().Add(site, [self = shared_from_this()] { self->Write(); });
  }

  void WaitToWrite() {
    writing = Writing::kWaiting;
    socket.async_wait(asio::ip::tcp::socket::wait_write,
                      [self = shared_from_this()](const asio::error_code&) { self->PostWrite(); });
  }

  void Write() {
    if (closed || !broken.ok()) return;
    writing = Writing::kRunning;
    const size_t before = unsent_bytes;
    const Sent outcome = SendTurn();
    const size_t sent = before - unsent_bytes;
    sent_since_check += sent;
    if (sent > 0) handler->OnSent(sent);
    if (closed) return;
    switch (outcome) {
      case Sent::kAll:
      case Sent::kTurnOver:
        return WriteTurnOver();
      case Sent::kBlocked:
        return WaitToWrite();
      case Sent::kSocketError:
        return Break(SocketStatus(send_error));
      case Sent::kFileError:
        return FileFailed();
    }
  }

  void WriteTurnOver() {
    if (!queue.empty()) return PostWrite();
    writing = Writing::kIdle;
    if (finishing) EndSending();
  }

  Sent SendTurn() {
    const size_t stop_at = unsent_bytes - std::min(unsent_bytes, kWriteTurnBytes);
    while (!queue.empty()) {
      const Sent outcome = front_sent < queue.front().text.size() ? SendTexts() : SendFile();
      if (outcome != Sent::kAll) return outcome;
      if (unsent_bytes <= stop_at) return Sent::kTurnOver;
    }
    return Sent::kAll;
  }

  Sent SocketRefused(int error_number) {
    send_error = error_number;
    return error_number == EAGAIN ? Sent::kBlocked : Sent::kSocketError;
  }

  Sent SendTexts() {
    std::array<iovec, kMaxPieces> pieces;
    size_t count = 0;
    size_t skip = front_sent;
    bool file_follows = false;
    for (auto item = queue.begin(); item != queue.end() && count < kMaxPieces && !file_follows;
         ++item) {
      if (!item->text.empty()) {
        pieces[count++] = {&item->text[skip], item->text.size() - skip};
        skip = 0;
      }
      file_follows = item->file.has_value();
    }
    const ssize_t sent =
        SendPieces(fd, {pieces.data(), count}, file_follows ? Follows::kMore : Follows::kNothing);
    if (sent < 0) return SocketRefused(static_cast<int>(-sent));
    unsent_bytes -= static_cast<size_t>(sent);
    unsent_text.Set(unsent_text.bytes() - static_cast<size_t>(sent));
    front_sent += static_cast<size_t>(sent);
    file_sender.OnText(static_cast<size_t>(sent));
    while (!queue.empty() && !queue.front().file.has_value() &&
           front_sent >= queue.front().text.size()) {
      front_sent -= queue.front().text.size();
      queue.pop_front();
    }
    return Sent::kAll;
  }

  Sent SendFile() {
    FileSlice& slice = *queue.front().file;
    const FileSent sent =
        file_sender.Send(slice, options.not_sent_low_water_bytes, loop->Scratch());
    if (sent.of_file) {
      file_status = sent.error_number == 0
                        ? absl::FailedPreconditionError("the file became shorter")
                        : ErrnoStatus(sent.error_number, "cannot read the file");
      return Sent::kFileError;
    }
    unsent_bytes -= sent.bytes;
    slice.offset += sent.bytes;
    slice.length -= static_cast<uint32_t>(sent.bytes);
    if (sent.error_number != 0) return SocketRefused(sent.error_number);
    if (slice.length == 0) {
      queue.pop_front();
      front_sent = 0;
    }
    return Sent::kAll;
  }

  void FileFailed() {
    const absl::Status status = file_status;
    handler->OnFileError(status);
    CloseWith(status);
  }

  // Nothing more can be sent. What the other side said before it went is still read: often the
  // reason.
  void Break(const absl::Status& status) {
    DropQueue();
    broken = status;
    if (reading == Reading::kWaiting || reading == Reading::kPosted) return Read();
    CloseWith(status);
  }

  // --- Ending
  void FinishSending() {
    if (closed || finishing) return;
    finishing = true;
    if (reading == Reading::kNotStarted || reading == Reading::kPaused) PostRead();
    if (!queue.empty()) return WatchProgress();
    if (writing == Writing::kIdle) EndSending();
  }

  void WatchProgress() {
    sent_since_check = 0;
    ArmTimer(options.slow_reader_timeout, [this] {
      if (sent_since_check >= limits::kMinTransferBytes) return WatchProgress();
      CloseWith(absl::DeadlineExceededError("the other side stopped reading"));
    });
  }

  void EndSending() {
    if (!broken.ok()) return;
    shutdown(fd, SHUT_WR);
    sending_ended = true;
    if (reading == Reading::kEnded) return CloseWith(absl::OkStatus());
    ArmTimer(options.close_linger, [this] { CloseWith(absl::OkStatus()); });
  }

  void ArmTimer(absl::Duration after, std::function<void()> fire) {
    if (!timer) timer.emplace(loop);
    timer->Arm(MonotonicNow() + after, std::move(fire));
  }

  void DropQueue() {
    queue.clear();
    front_sent = 0;
    unsent_bytes = 0;
    unsent_text.Set(0);
  }

  void CloseWith(const absl::Status& status) {
    if (closed) return;
    closed = true;
    timer.reset();
    DropQueue();
    asio::error_code ignored;
    socket.close(ignored);
    if (handler == nullptr) return;
    asio::post(loop->context(), [self = shared_from_this(), status] {
      ConnectionHandler* const to = std::exchange(self->handler, nullptr);
      if (to != nullptr) to->OnClosed(status);
    });
  }

  EventLoop* const loop;
  asio::ip::tcp::socket socket;
  const int fd;
  ConnectionOptions options;
  ConnectionHandler* handler;
  const Endpoint remote;
  const Endpoint local;
  const uint64_t site;

  Reading reading = Reading::kNotStarted;
  Writing writing = Writing::kIdle;
  bool resume_asked = false;   // ResumeReading was called while ReadBuffer ran
  bool watching = false;       // a wait for reset is under way
  bool finishing = false;      // FinishSending was called
  bool sending_ended = false;  // and all is sent
  bool closed = false;
  absl::Status broken;  // why nothing more can be sent

  std::deque<Item> queue;
  size_t front_sent = 0;  // bytes of the text at the front
  FileSender file_sender{fd};
  size_t unsent_bytes = 0;
  WaitingText unsent_text;
  uint64_t sent_since_check = 0;
  int send_error = 0;
  absl::Status file_status;
  absl::optional<Timer> timer;
};

Connection::Connection(EventLoop* loop, asio::ip::tcp::socket socket,
                       const ConnectionOptions& options, ConnectionHandler* handler)
    : impl_(std::make_shared<Impl>(loop, std::move(socket), options, handler)) {}

Connection::~Connection() {
  impl_->handler = nullptr;
  impl_->CloseWith(absl::OkStatus());
}

void Connection::Start() {
  if (!impl_->closed && impl_->reading == Impl::Reading::kNotStarted) impl_->WaitToRead();
}

void Connection::ResumeReading() {
  impl_->resume_asked = true;
  if (!impl_->closed && impl_->reading == Impl::Reading::kPaused) impl_->PostRead();
}

void Connection::SendText(std::string text) {
  impl_->Queue({std::move(text), absl::nullopt}, /*urgent=*/false);
}

void Connection::SendUrgentText(std::string text) {
  impl_->Queue({std::move(text), absl::nullopt}, /*urgent=*/true);
}

void Connection::SendFile(FileSlice slice, std::string header) {
  impl_->Queue({std::move(header), std::move(slice)}, /*urgent=*/false);
}

void Connection::SetNotSentLowWater(uint32_t bytes) {
  uint32_t& now = impl_->options.not_sent_low_water_bytes;
  const bool differs = bytes > now + now / 4 || bytes < now - now / 4;
  if (impl_->closed || !differs) return;
  now = bytes;
  net::SetNotSentLowWater(impl_->fd, bytes);
}

void Connection::ChooseCongestionControlAgain() {
  if (!impl_->closed) ApplyCongestionControl(impl_->fd, impl_->options.congestion_control);
}

size_t Connection::unsent_text_bytes() const { return impl_->unsent_text.bytes(); }
size_t Connection::BacklogLimit() { return WaitingText::Limit(); }
size_t Connection::unsent_bytes() const { return impl_->unsent_bytes; }
void Connection::FinishSending() { impl_->FinishSending(); }
void Connection::Close() { impl_->CloseWith(absl::OkStatus()); }
const Endpoint& Connection::remote() const { return impl_->remote; }
const Endpoint& Connection::local() const { return impl_->local; }

absl::Duration Connection::RoundTripTime() const {
  return impl_->closed ? absl::ZeroDuration() : TcpRoundTripTime(impl_->fd);
}

}  // namespace p2p::net

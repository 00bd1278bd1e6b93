#include "core/net/text_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "asio/post.hpp"
#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/net/socket.h"

namespace p2p::net {
namespace {

// What one connection is read before the others have their turn: some thousand requests.
constexpr size_t kReadTurnBytes = 16 << 10;

}  // namespace

void TextConnectionSet::WakeUpAt(absl::Time when, TextConnection* connection) {
  if (when >= connection->looked_at_) return;
  Forget(connection);
  connection->looked_at_ = when;
  deadlines_.emplace(when, connection);
  Follow();
}

void TextConnectionSet::Forget(TextConnection* connection) {
  if (connection->looked_at_ == absl::InfiniteFuture()) return;
  deadlines_.erase({connection->looked_at_, connection});
  connection->looked_at_ = absl::InfiniteFuture();
}

void TextConnectionSet::Follow() {
  if (deadlines_.empty() || timer_.due() <= deadlines_.begin()->first) return;
  timer_.Arm(deadlines_.begin()->first, [this] { OnTimer(); });
}

void TextConnectionSet::OnTimer() {
  const absl::Time now = MonotonicNow();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    TextConnection* const connection = deadlines_.begin()->second;
    Forget(connection);
    connection->OnDeadline(now);
  }
  Follow();
}

void TextConnectionSet::TellClosed(TextConnection* connection) {
  closed_.push_back(connection);
  if (closed_.size() > 1) return;
  asio::post(loop_->context(), [this] {
    while (!closed_.empty()) {
      TextConnection* const last = closed_.back();
      closed_.pop_back();
      last->handler_->OnClosed();
    }
  });
}

TextConnection::TextConnection(TextConnectionSet* set, asio::ip::tcp::socket socket,
                               TextConnectionHandler* handler)
    : set_(set), handler_(handler), fd_(-1), remote_([&socket] {
        asio::error_code ignored;
        return Unmapped(socket.remote_endpoint(ignored));
      }()) {
  asio::error_code error;
  fd_ = socket.release(error);
  TuneConnection(fd_, /*not_sent_low_water_bytes=*/0);
  if (error || !set_->ready_.Add(fd_, this, false, false)) Close();
}

TextConnection::~TextConnection() {
  if (fd_ < 0) {
    auto& closed = set_->closed_;
    closed.erase(std::remove(closed.begin(), closed.end(), this), closed.end());
    return;
  }
  set_->Forget(this);
  set_->ready_.Remove(fd_);
  CloseSocket(fd_);
}

void TextConnection::SetReading(bool reading) {
  reading_ = reading;
  Follow();
}

void TextConnection::Send(absl::string_view text) {
  if (fd_ < 0 || finishing_ || broken_) return;
  if (unsent_bytes() == 0) {
    const iovec piece = {const_cast<char*>(text.data()), text.size()};
    const ssize_t sent = SendPieces(fd_, {&piece, 1}, Follows::kNothing);
    broken_ = sent < 0 && sent != -EAGAIN;
    if (broken_) return Follow();
    text.remove_prefix(static_cast<size_t>(std::max<ssize_t>(0, sent)));
  }
  if (text.empty()) return;
  unsent_.append(text.data(), text.size());
  waiting_.Set(unsent_bytes());
  Follow();
}

void TextConnection::FinishSending() {
  if (fd_ < 0 || finishing_) return;
  finishing_ = true;
  if (unsent_bytes() == 0) return EndSending();
  due_ = MonotonicNow() + limits::kSlowReaderTimeout;
  set_->WakeUpAt(due_, this);
  Follow();
}

void TextConnection::EndSending() {
  sending_ended_ = true;
  if (broken_ || read_ended_) return Close();
  shutdown(fd_, SHUT_WR);
  due_ = MonotonicNow() + limits::kCloseLinger;
  set_->WakeUpAt(due_, this);
  Follow();
}

void TextConnection::Close() {
  if (fd_ < 0) return;
  set_->Forget(this);
  set_->ready_.Remove(fd_);
  CloseSocket(fd_);
  fd_ = -1;
  set_->TellClosed(this);
}

void TextConnection::WakeUpAt(absl::Time when) {
  if (fd_ < 0 || finishing_) return;
  due_ = when;
  set_->WakeUpAt(when, this);
}

void TextConnection::OnDeadline(absl::Time now) {
  if (now < due_) return set_->WakeUpAt(due_, this);
  due_ = absl::InfiniteFuture();
  if (!finishing_) return handler_->OnTime();
  if (sending_ended_ || sent_since_check_ < limits::kMinTransferBytes) return Close();
  sent_since_check_ = 0;
  due_ = now + limits::kSlowReaderTimeout;
  set_->WakeUpAt(due_, this);
}

void TextConnection::OnReady(bool readable, bool writable, bool failed) {
  if (fd_ < 0) return;
  if (writable) Write();
  // What came before a reset is read first.
  if (fd_ >= 0 && watch_read_ && (readable || failed)) return Read();
  if (fd_ >= 0 && failed && !watch_read_) Close();
}

void TextConnection::Read() {
  const absl::Span<uint8_t> buffer = set_->loop_->Scratch().subspan(0, kReadTurnBytes);
  const ssize_t got = Receive(fd_, buffer);
  if (got == -EAGAIN) return;
  if (got < 0) return Close();
  if (got > 0) {
    if (finishing_) return;
    return handler_->OnRead(
        absl::string_view(reinterpret_cast<const char*>(buffer.data()), static_cast<size_t>(got)));
  }
  read_ended_ = true;
  if (broken_ || sending_ended_) return Close();
  if (!finishing_) handler_->OnEndOfStream();
  Follow();
}

void TextConnection::Write() {
  const iovec piece = {&unsent_[unsent_begin_], unsent_bytes()};
  const ssize_t sent = SendPieces(fd_, {&piece, 1}, Follows::kNothing);
  if (sent == -EAGAIN) return;
  if (sent < 0) {
    broken_ = true;
    unsent_begin_ = unsent_.size();
  }
  Written(static_cast<size_t>(std::max<ssize_t>(0, sent)));
}

void TextConnection::Written(size_t bytes) {
  unsent_begin_ += bytes;
  waiting_.Set(unsent_bytes());
  sent_since_check_ += bytes;
  // Gives the memory back, too.
  if (unsent_bytes() == 0) {
    std::string().swap(unsent_);
    unsent_begin_ = 0;
  } else if (unsent_begin_ > unsent_.size() / 2) {
    unsent_.erase(0, std::exchange(unsent_begin_, 0));
  }
  if (!finishing_) {
    handler_->OnSent(bytes);
  } else if (unsent_bytes() == 0) {
    return EndSending();
  }
  Follow();
}

// Waits for what is wanted now.
void TextConnection::Follow() {
  if (fd_ < 0) return;
  const bool read = (reading_ || finishing_ || broken_) && !read_ended_;
  const bool write = unsent_bytes() > 0;
  if (read == watch_read_ && write == watch_write_) return;
  watch_read_ = read;
  watch_write_ = write;
  set_->ready_.Change(fd_, this, read, write);
}

}  // namespace p2p::net

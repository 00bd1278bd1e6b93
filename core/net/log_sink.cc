#include "core/net/log_sink.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/timed_wait.h"

namespace p2p::net {
namespace {

// Some thousand lines: what a reader that pauses for a moment may be behind.
constexpr size_t kMostWaitingBytes = 256 << 10;
constexpr absl::Duration kFlushPatience = absl::Seconds(1);

// Waits for the reader; gives up when there is none.
void WriteAll(int fd, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd room{fd, POLLOUT, 0};
      (void)poll(&room, 1, -1);
    } else if (errno != EINTR) {
      return;
    }
  }
}

}  // namespace

// Shared with the thread, which may hang in a write for as long as the process lives.
struct LogSink::Queue {
  void Put(absl::string_view line) ABSL_LOCKS_EXCLUDED(mutex) {
    absl::MutexLock lock(&mutex);
    if (waiting.size() + line.size() > kMostWaitingBytes) {
      ++left_out;
    } else {
      absl::StrAppend(&waiting, line);
    }
  }

  // What to write next; empty at the end.
  std::string Take() ABSL_LOCKS_EXCLUDED(mutex) {
    absl::MutexLock lock(&mutex);
    writing = false;
    if (waiting.empty()) written.SignalAll();
    mutex.Await(absl::Condition(
        +[](Queue* queue) ABSL_EXCLUSIVE_LOCKS_REQUIRED(queue->mutex) {
          return queue->stopping || !queue->waiting.empty();
        },
        this));
    writing = !waiting.empty();
    std::string text = std::exchange(waiting, {});
    if (const int lost = std::exchange(left_out, 0); lost > 0) {
      absl::StrAppend(&text, lost, " log lines were left out: they were not read fast enough\n");
    }
    return text;
  }

  void Flush() ABSL_LOCKS_EXCLUDED(mutex) {
    absl::MutexLock lock(&mutex);
    written.WaitFor(&mutex, kFlushPatience, [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      return waiting.empty() && !writing;
    });
  }

  void Stop() ABSL_LOCKS_EXCLUDED(mutex) {
    absl::MutexLock lock(&mutex);
    stopping = true;
  }

  absl::Mutex mutex;
  std::string waiting ABSL_GUARDED_BY(mutex);
  int left_out ABSL_GUARDED_BY(mutex) = 0;
  bool writing ABSL_GUARDED_BY(mutex) = false;
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  TimedCondition written;  // nothing waits or is being written
};

LogSink::LogSink(int fd) : queue_(std::make_shared<Queue>()) {
  std::thread([fd, queue = queue_] {
    for (;;) {
      const std::string text = queue->Take();
      if (text.empty()) return;
      WriteAll(fd, text);
    }
  }).detach();
}

LogSink::~LogSink() {
  queue_->Flush();
  queue_->Stop();
}

void LogSink::sink_it_(const spdlog::details::log_msg& message) {
  spdlog::memory_buf_t line;
  formatter_->format(message, line);
  queue_->Put({line.data(), line.size()});
}

void LogSink::flush_() { queue_->Flush(); }

}  // namespace p2p::net

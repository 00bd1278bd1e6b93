#include "core/net/event_loop.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include <chrono>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "asio/post.hpp"
#include "asio/steady_timer.hpp"
#include "core/base/clock.h"

namespace p2p::net {
namespace {

constexpr size_t kScratchBytes = 64 << 10;
// What Linux allows, without the final NUL.
constexpr size_t kMaxThreadNameBytes = 15;
// A weight of 0.4: measured not to cost the bulk anything, and to halve the time of a short call.
constexpr int kBulkNiceness = 4;

void NameThread(const std::string& name) {
  const std::string cut = name.substr(0, kMaxThreadNameBytes);
#ifdef __APPLE__
  pthread_setname_np(cut.c_str());
#else
  pthread_setname_np(pthread_self(), cut.c_str());
#endif
}

// sendfile has no MSG_NOSIGNAL, and its SIGPIPE goes to the calling thread.
void BlockSigpipe() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

}  // namespace

void LowerPriorityOfThisThread() {
#if defined(__linux__) && !defined(P2P_PORTABLE)
  // 0 means the calling thread; POSIX would have it the process.
  (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + kBulkNiceness);
#endif
}

struct EventLoop::Gate {
  absl::Mutex mutex;
  EventLoop* loop ABSL_GUARDED_BY(mutex) = nullptr;
};

EventLoop::EventLoop(std::string thread_name)
    : thread_name_(std::move(thread_name)),
      gate_(std::make_shared<Gate>()),
      turns_([this](std::function<void()> run) { Post(std::move(run)); }, MonotonicNow),
      context_(/*concurrency_hint=*/1),
      work_(context_.get_executor()) {
  // asio opens its descriptors with the first timer or socket, and throws when there are none left:
  // better at the start of the program than then.
  const asio::steady_timer opens_them(context_);
  absl::MutexLock lock(&gate_->mutex);
  gate_->loop = this;
}

EventLoop::~EventLoop() {
  {
    absl::MutexLock lock(&gate_->mutex);
    gate_->loop = nullptr;
  }
  Stop();
  turns_.Clear();
}

void EventLoop::Start() {
  thread_ = std::thread([this] {
    NameThread(thread_name_);
    BlockSigpipe();
    context_.run();
  });
}

void EventLoop::Stop() {
  context_.stop();
  if (thread_.joinable() && !IsInLoop()) thread_.join();
}

void EventLoop::Post(std::function<void()> task) { asio::post(context_, std::move(task)); }

void EventLoop::RunAndWait(std::function<void()> task) {
  absl::Notification done;
  Post([&task, &done] {
    task();
    done.Notify();
  });
  done.WaitForNotification();
}

bool EventLoop::IsInLoop() const {
  return const_cast<asio::io_context&>(context_).get_executor().running_in_this_thread();
}

EventLoop::WeakPoster EventLoop::MakeWeakPoster() {
  return [gate = gate_](std::function<void()> task) {
    absl::MutexLock lock(&gate->mutex);
    if (gate->loop != nullptr) gate->loop->Post(std::move(task));
  };
}

absl::Span<uint8_t> EventLoop::Scratch() {
  if (scratch_.empty()) scratch_.resize(kScratchBytes);
  return absl::MakeSpan(scratch_);
}

// `wait_until` is when the pending wait of `timer` ends. It may be earlier than `due`: then it is
// waited for again, so that a deadline that moves with every event costs nothing at that event.
struct Timer::State : std::enable_shared_from_this<Timer::State> {
  explicit State(EventLoop* loop) : timer(loop->context()) {}

  void Wait() {
    wait_until = due;
    const auto since_start =
        absl::ToChronoNanoseconds(absl::Ceil(due - absl::UnixEpoch(), absl::Nanoseconds(1)));
    timer.expires_at(std::chrono::steady_clock::time_point(since_start));
    timer.async_wait([self = shared_from_this(), wait = ++waits](const asio::error_code&) {
      if (self->waits == wait) self->WaitEnded();
    });
  }

  void WaitEnded() {
    wait_until = absl::InfiniteFuture();
    if (due == absl::InfiniteFuture()) return;
    if (MonotonicNow() < due) return Wait();
    due = absl::InfiniteFuture();
    // Moved out: `fire` may arm or destroy the timer.
    const std::function<void()> call = std::exchange(fire, nullptr);
    call();
  }

  asio::steady_timer timer;
  absl::Time due = absl::InfiniteFuture();
  absl::Time wait_until = absl::InfiniteFuture();
  uint64_t waits = 0;  // an earlier wait that ends late is told by its number
  std::function<void()> fire;
};

Timer::Timer(EventLoop* loop) : state_(std::make_shared<State>(loop)) {}

Timer::~Timer() {
  Disarm();
  ++state_->waits;
  state_->timer.cancel();
}

void Timer::Arm(absl::Time when, std::function<void()> fire) {
  if (when == absl::InfiniteFuture()) return Disarm();
  state_->due = when;
  state_->fire = std::move(fire);
  if (when < state_->wait_until) state_->Wait();
}

void Timer::Disarm() {
  state_->due = absl::InfiniteFuture();
  state_->fire = nullptr;
}

absl::Time Timer::due() const { return state_->due; }

}  // namespace p2p::net

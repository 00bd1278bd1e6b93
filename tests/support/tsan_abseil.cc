// Shows Abseil's locks to ThreadSanitizer: the system's libraries are not instrumented, so that
// every lock of absl::Mutex in them, gRPC's too, would be invisible and everything it guards a data
// race.
//
// Linked into every executable of the tsan build, before the shared library: each function here
// says what happens before what and calls the one that it stands before. What ReaderUnlock()
// releases only an exclusive lock acquires: writing under a shared lock is still a race. Deadlocks
// are found by Abseil itself in a debug build.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/base/config.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace {

// Abseil's inline namespace as mangled names have it ("7debian3").
std::string Namespace() {
  const std::string name = ABSL_INTERNAL_INLINE_NAMESPACE_STR;
  return std::to_string(name.size()) + name;
}

// The library's function "_ZN4absl<namespace><rest>" ("_ZNK4absl..." where `prefix` says so).
template <typename Function>
Function* Next(const char* rest, const char* prefix = "_ZN4absl") {
  const std::string name = prefix + Namespace() + rest;
  void* found = dlsym(RTLD_NEXT, name.c_str());
  if (found == nullptr) {
    std::fprintf(stderr, "the Abseil of this system has no function %s\n", name.c_str());
    std::abort();
  }
  return reinterpret_cast<Function*>(found);
}

char* ByWriters(const void* mutex) { return const_cast<char*>(static_cast<const char*>(mutex)); }
char* ByReaders(const void* mutex) { return ByWriters(mutex) + 1; }

void Locked(const void* mutex) {
  __tsan_acquire(ByWriters(mutex));
  __tsan_acquire(ByReaders(mutex));
}
void Unlocking(const void* mutex) { __tsan_release(ByWriters(mutex)); }

// A condition is evaluated under the lock, but by any thread that has it.
struct Awaited {
  const void* mutex;
  const absl::Condition* condition;

  static bool IsTrue(Awaited* awaited) {
    Locked(awaited->mutex);
    const bool is_true = awaited->condition->Eval();
    Unlocking(awaited->mutex);
    return is_true;
  }
};

}  // namespace

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() {
  static auto* const next = Next<void(Mutex*)>("5Mutex4LockEv");
  next(this);
  Locked(this);
}

void Mutex::Unlock() {
  static auto* const next = Next<void(Mutex*)>("5Mutex6UnlockEv");
  Unlocking(this);
  next(this);
}

bool Mutex::TryLock() {
  static auto* const next = Next<bool(Mutex*)>("5Mutex7TryLockEv");
  const bool locked = next(this);
  if (locked) Locked(this);
  return locked;
}

void Mutex::ReaderLock() {
  static auto* const next = Next<void(Mutex*)>("5Mutex10ReaderLockEv");
  next(this);
  __tsan_acquire(ByWriters(this));
}

void Mutex::ReaderUnlock() {
  static auto* const next = Next<void(Mutex*)>("5Mutex12ReaderUnlockEv");
  __tsan_release(ByReaders(this));
  next(this);
}

bool Mutex::ReaderTryLock() {
  static auto* const next = Next<bool(Mutex*)>("5Mutex13ReaderTryLockEv");
  const bool locked = next(this);
  if (locked) __tsan_acquire(ByWriters(this));
  return locked;
}

void Mutex::Await(const Condition& condition) {
  static auto* const next = Next<void(Mutex*, const Condition&)>("5Mutex5AwaitERKNS0_9ConditionE");
  Awaited awaited{this, &condition};
  Unlocking(this);
  next(this, Condition(&Awaited::IsTrue, &awaited));
  Locked(this);
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  return AwaitWithDeadline(condition, Now() + timeout);
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  static auto* const next = Next<bool(Mutex*, const Condition&, Time)>(
      "5Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  Awaited awaited{this, &condition};
  Unlocking(this);
  const bool is_true = next(this, Condition(&Awaited::IsTrue, &awaited), deadline);
  Locked(this);
  return is_true;
}

void Mutex::LockWhen(const Condition& condition) {
  Lock();
  Await(condition);
}

bool Mutex::LockWhenWithTimeout(const Condition& condition, Duration timeout) {
  Lock();
  return AwaitWithTimeout(condition, timeout);
}

bool Mutex::LockWhenWithDeadline(const Condition& condition, Time deadline) {
  Lock();
  return AwaitWithDeadline(condition, deadline);
}

void ReleasableMutexLock::Release() {
  mu_->Unlock();
  mu_ = nullptr;
}

void CondVar::Wait(Mutex* mutex) {
  static auto* const next = Next<void(CondVar*, Mutex*)>("7CondVar4WaitEPNS0_5MutexE");
  Unlocking(mutex);
  next(this, mutex);
  Locked(mutex);
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  static auto* const next = Next<bool(CondVar*, Mutex*, Duration)>(
      "7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  Unlocking(mutex);
  const bool timed_out = next(this, mutex, timeout);
  Locked(mutex);
  return timed_out;
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  static auto* const next =
      Next<bool(CondVar*, Mutex*, Time)>("7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  Unlocking(mutex);
  const bool timed_out = next(this, mutex, deadline);
  Locked(mutex);
  return timed_out;
}

// HasBeenNotified() is compiled into its caller and acquires what is released here.
void Notification::Notify() {
  static auto* const next = Next<void(Notification*)>("12Notification6NotifyEv");
  __tsan_release(&notified_yet_);
  next(this);
}

void Notification::WaitForNotification() const {
  static auto* const next =
      Next<void(const Notification*)>("12Notification19WaitForNotificationEv", "_ZNK4absl");
  next(this);
  __tsan_acquire(const_cast<std::atomic<bool>*>(&notified_yet_));
}

bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  return WaitForNotificationWithDeadline(Now() + timeout);
}

bool Notification::WaitForNotificationWithDeadline(Time deadline) const {
  static auto* const next = Next<bool(const Notification*, Time)>(
      "12Notification31WaitForNotificationWithDeadlineENS0_4TimeE", "_ZNK4absl");
  const bool notified = next(this, deadline);
  if (notified) __tsan_acquire(const_cast<std::atomic<bool>*>(&notified_yet_));
  return notified;
}

// The count of references is otherwise only half seen: copies are compiled into their callers.
void Status::UnrefNonInlined(uintptr_t rep) {
  status_internal::StatusRep* const shared = RepToPointer(rep);
  if (shared->ref.fetch_sub(1, std::memory_order_acq_rel) == 1) delete shared;
}

ABSL_NAMESPACE_END
}  // namespace absl

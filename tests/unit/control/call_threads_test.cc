#include "daemon/control/call_threads.h"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <string>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace {

std::atomic<bool> no_more_threads{false};

}  // namespace

// Stands before the system's own, as if the limit of threads had been reached.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define P2P_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define P2P_SANITIZED 1
#endif
#endif
#ifndef P2P_SANITIZED
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*start)(void*), void* argument) noexcept {
  using Function = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "pthread_create"));
  return no_more_threads ? EAGAIN : real(thread, attributes, start, argument);
}
#endif

namespace p2p::control {
namespace {

TEST(CallThreads, RunsWhatItWasGivenBeforeItIsGone) {
  std::atomic<int> ran{0};
  {
    CallThreads threads(3);
    for (int i = 0; i < 100; ++i) threads.Run([&] { ++ran; });
  }
  EXPECT_EQ(ran, 100);
}

TEST(CallThreads, CallsThatWaitHoldUpNoOthers) {
  CallThreads threads(3);
  absl::Notification release;
  absl::Notification third;
  for (int i = 0; i < 2; ++i) threads.Run([&] { release.WaitForNotification(); });
  threads.Run([&] { third.Notify(); });
  third.WaitForNotification();
  release.Notify();
}

#ifndef P2P_SANITIZED
TEST(CallThreads, Q11_WithoutAFurtherThreadCallsWaitForTheOneThereIs) {
  CallThreads threads(16);
  no_more_threads = true;
  absl::BlockingCounter ran(20);
  for (int i = 0; i < 20; ++i) threads.Run([&] { ran.DecrementCount(); });
  ran.Wait();
  no_more_threads = false;
}
#endif

}  // namespace
}  // namespace p2p::control

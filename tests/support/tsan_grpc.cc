// Shows ThreadSanitizer that what a thread did before it gave an operation to gRPC happened before
// the callback at its end: gRPC passes it from thread to thread with atomics that are not
// instrumented. Linked into every program of the tsan build that has gRPC, before the shared
// library.
#include <dlfcn.h>
#include <grpc/grpc.h>
#include <grpcpp/support/server_callback.h>
#include <sanitizer/tsan_interface.h>

#include <atomic>
#include <cstring>
#include <thread>

namespace {

using Callback = void(grpc_completion_queue_functor*, int);

// grpc::internal::CallbackWithSuccessTag's, the only kind that servers have. It is private.
std::atomic<Callback*> callback_with_success{nullptr};

void RunAfterOperation(grpc_completion_queue_functor* tag, int ok) {
  __tsan_acquire(tag);
  callback_with_success.load()(tag, ok);
}

// The tags of synchronous calls begin with a table of virtual functions instead.
bool IsCallbackWithSuccess(Callback* callback) {
  if (callback == callback_with_success) return true;
  Dl_info info;
  return dladdr(reinterpret_cast<void*>(callback), &info) != 0 && info.dli_sname != nullptr &&
         std::strstr(info.dli_sname, "22CallbackWithSuccessTag9StaticRun") != nullptr;
}

}  // namespace

extern "C" grpc_call_error grpc_call_start_batch(grpc_call* call, const grpc_op* operations,
                                                 size_t count, void* tag, void* reserved) {
  static auto* const next =
      reinterpret_cast<decltype(&grpc_call_start_batch)>(dlsym(RTLD_NEXT, "grpc_call_start_batch"));
  auto* const functor = static_cast<grpc_completion_queue_functor*>(tag);
  if (functor != nullptr && functor->functor_run != &RunAfterOperation &&
      IsCallbackWithSuccess(functor->functor_run)) {
    callback_with_success = functor->functor_run;
    functor->functor_run = &RunAfterOperation;
  }
  __tsan_release(tag);
  return next(call, operations, count, tag, reserved);
}

namespace grpc::internal {

// Counted down in the library, too.
void ServerCallbackCall::ScheduleOnDone(bool inline_ondone) {
  static auto* const next = reinterpret_cast<void (*)(ServerCallbackCall*, bool)>(
      dlsym(RTLD_NEXT, "_ZN4grpc8internal18ServerCallbackCall14ScheduleOnDoneEb"));
  __tsan_acquire(&callbacks_outstanding_);
  next(this, inline_ondone);
}

// As gRPC does it, on any other thread, but with a count that is seen.
void ServerCallbackCall::CallOnCancel(ServerReactor* reactor) {
  __tsan_acquire(&on_cancel_conditions_remaining_);
  if (reactor->InternalInlineable()) return reactor->OnCancel();
  Ref();
  std::thread([this, reactor] {
    reactor->OnCancel();
    MaybeDone(/*inline_ondone=*/true);
  }).detach();
}

}  // namespace grpc::internal

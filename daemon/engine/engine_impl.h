// What stands behind Engine: its parts, and how a call from another thread reaches the engine loop.
// Only for engine*.cc.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/types/optional.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "daemon/engine/engine.h"
#include "daemon/engine/links.h"
#include "daemon/engine/runtime.h"
#include "daemon/engine/trackers.h"
#include "daemon/engine/transfer.h"
#include "daemon/engine/transfer_table.h"

namespace p2p::engine {

// Inside Engine the word Transfer is a call of its own.
using TransferObject = Transfer;

// A call that the engine loop does not answer in this time finds it stuck.
inline constexpr absl::Duration kCallTimeout = absl::Seconds(30);
inline absl::Status Stuck() {
  return absl::DeadlineExceededError("the daemon did not answer in time; look at its log");
}

// The answer to a call, waited for by one thread and given by another, which may come too late.
template <typename T>
struct Answer {
  absl::Notification given;
  absl::optional<T> value;
};

struct Engine::Impl {
  Runtime runtime;
  std::unique_ptr<store::StateDirLock> lock;
  std::unique_ptr<TransferTable> table;
  std::unique_ptr<Links> links;
  std::unique_ptr<Trackers> trackers;
  std::unique_ptr<net::Timer> memory_timer;
  std::string listen;
  absl::Time started;
  std::atomic<bool> stopped{false};
  absl::Mutex commit_mutex;
  bool waits_ended ABSL_GUARDED_BY(commit_mutex) = false;

  // Runs `call` on the engine loop; it gets a function to answer with, now or later.
  template <typename T>
  absl::StatusOr<T> Call(std::function<void(std::function<void(T)>)> call,
                         absl::Duration timeout = kCallTimeout) {
    auto answer = std::make_shared<Answer<T>>();
    runtime.engine_loop.Post([answer, call = std::move(call)] {
      call([answer](T value) {
        answer->value = std::move(value);
        answer->given.Notify();
      });
    });
    if (!answer->given.WaitForNotificationWithTimeout(timeout)) return Stuck();
    return std::move(*answer->value);
  }

  // What `ask` gives for the transfer (a StatusOr or Status), or the reason why there is none.
  // `ask` may run after the caller has given up: it owns what it needs.
  template <typename T>
  T With(TransferId id, std::function<T(TransferObject&)> ask) {
    absl::StatusOr<T> answer = Call<T>([this, id, ask = std::move(ask)](auto reply) {
      const std::shared_ptr<TransferObject> transfer = table->Find(id);
      reply(transfer != nullptr
                ? ask(*transfer)
                : absl::NotFoundError(absl::StrCat("there is no transfer ", id.value(),
                                                   "; p2pctl list shows those there are")));
    });
    return answer.ok() ? *std::move(answer) : answer.status();
  }

  // The same for what the catalog must know: `act` gets a function to call when it does. Waits for
  // that, too, but not longer than limits::kCommitWait.
  absl::Status WithCommit(TransferId id,
                          std::function<void(TransferObject&, std::function<void()>)> act) {
    auto committed = std::make_shared<bool>(false);  // under commit_mutex
    P2P_RETURN_IF_ERROR(
        With<absl::Status>(id, [this, act = std::move(act), committed](TransferObject& transfer) {
          act(transfer, [this, committed] {
            absl::MutexLock commit_lock(&commit_mutex);
            *committed = true;
          });
          return absl::OkStatus();
        }));
    const auto over = [this, &committed]() ABSL_SHARED_LOCKS_REQUIRED(commit_mutex) {
      return *committed || waits_ended;
    };
    absl::MutexLock commit_lock(&commit_mutex);
    commit_mutex.AwaitWithTimeout(absl::Condition(&over), limits::kCommitWait);
    return absl::OkStatus();
  }

  // Runs `addition` when those before it have called EndAddition: it looks for a transfer that is
  // the same, and one before it may only be on its way into the catalog. Engine loop.
  void AddInTurn(std::function<void()> addition);
  void EndAddition();
  std::deque<std::function<void()>> additions;  // the first one runs

  absl::Status OpenState();
  absl::Status StartLoops();
  // Now and then, on a worker.
  void GiveMemoryBack();
  void AddShare(const std::string& path, const std::string& name,
                const std::vector<store::FileIdentity>& identities,
                std::function<void(absl::StatusOr<TransferId>)> reply);
  void AddDownload(store::TransferRecord record,
                   std::function<void(absl::StatusOr<TransferId>)> reply);
};

}  // namespace p2p::engine

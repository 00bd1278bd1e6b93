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

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/base/timed_wait.h"
#include "daemon/engine/engine.h"
#include "daemon/engine/links.h"
#include "daemon/engine/pending_calls.h"
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

inline absl::Status StoppingStatus() {
  return absl::UnavailableError("the daemon is stopping; try again when it runs again");
}

struct Engine::Impl {
  // Ends all threads before what they use; also of a start that failed half-way.
  ~Impl();

  Runtime runtime;
  std::unique_ptr<store::StateDirLock> lock;
  std::unique_ptr<TransferTable> table;
  std::unique_ptr<Links> links;
  std::unique_ptr<Trackers> trackers;
  std::unique_ptr<net::Timer> memory_timer;
  std::string listen;
  absl::Time started;
  std::atomic<bool> stopped{false};
  PendingCalls pending;

  // Runs `call` on the engine loop and waits for its answer, an absl::Status or StatusOr; it gets a
  // function to answer with, now or later. An error when the loop does not answer in time, or the
  // engine stops.
  template <typename Answer>
  Answer Call(std::function<void(std::function<void(Answer)>)> call) {
    struct Given {
      TimedNotification is_here;
      absl::optional<Answer> answer;
    };
    // Shared: the answer may come too late.
    auto given = std::make_shared<Given>();
    const std::function<void(Answer)> reply = pending.Add<Answer>([given](Answer answer) {
      given->answer.emplace(std::move(answer));
      given->is_here.Notify();
    });
    if (!given->is_here.HasBeenNotified()) {
      runtime.engine_loop.Post([call = std::move(call), reply] { call(reply); });
    }
    if (!given->is_here.WaitFor(kCallTimeout)) {
      reply(Stuck());
      given->is_here.WaitFor(
          absl::InfiniteDuration());  // another one may be just about to be given
    }
    return *std::move(given->answer);
  }

  // What `ask` gives for the transfer (a StatusOr or Status), or the reason why there is none.
  // `ask` may run after the caller has given up: it owns what it needs.
  template <typename T>
  T With(TransferId id, std::function<T(TransferObject&)> ask) {
    return Call<T>([this, id, ask = std::move(ask)](auto reply) {
      const std::shared_ptr<TransferObject> transfer = table->Find(id);
      reply(transfer != nullptr
                ? ask(*transfer)
                : T(absl::NotFoundError(absl::StrCat("there is no transfer ", id.value(),
                                                     "; p2pctl list shows those there are"))));
    });
  }

  // The same for what the catalog must know: `act` gets a function to call when it does, or when it
  // refused. Waits for that, too, but not longer than limits::kCommitWait.
  absl::Status WithCommit(
      TransferId id, std::function<void(TransferObject&, std::function<void(absl::Status)>)> act) {
    struct Outcome {
      TimedNotification is_here;
      absl::Status status;
    };
    auto outcome = std::make_shared<Outcome>();
    const std::function<void(absl::Status)> commit =
        pending.Add<absl::Status>([outcome](absl::Status status) {
          outcome->status = std::move(status);
          outcome->is_here.Notify();
        });
    const absl::Status done = With<absl::Status>(
        id, [act = std::move(act), commit](TransferObject& transfer) -> absl::Status {
          act(transfer, commit);
          return absl::OkStatus();
        });
    if (done.ok()) outcome->is_here.WaitFor(limits::kCommitWait);
    commit(absl::OkStatus());  // nobody waits any longer
    // Another answer may be just about to be given.
    outcome->is_here.WaitFor(absl::InfiniteDuration());
    return done.ok() ? outcome->status : done;
  }

  // Runs `addition` when those before it have called EndAddition: it looks for a transfer that is
  // the same, and one before it may only be on its way into the catalog. Engine loop.
  void AddInTurn(std::function<void()> addition);
  void EndAddition();
  std::deque<std::function<void()>> additions;  // the first one runs

  absl::Status OpenState();
  absl::Status StartLoops();
  // Makes the directory for downloads where it is missing, and sees what kind of device it is on;
  // `done` runs when that is known. It may be on a disk that hangs.
  void PrepareDownloadDir(std::function<void()> done);
  // Now and then, on a worker.
  void GiveMemoryBack();
  void AddShare(const std::string& path, const std::string& name,
                const std::vector<store::FileIdentity>& identities,
                std::function<void(absl::StatusOr<TransferId>)> reply);
  void OnScanned(const std::string& path, const std::string& name,
                 const absl::StatusOr<store::ScannedShare>& scanned,
                 std::function<void(absl::StatusOr<TransferId>)> reply);
  void AddDownload(store::TransferRecord record,
                   std::function<void(absl::StatusOr<TransferId>)> reply);
};

}  // namespace p2p::engine

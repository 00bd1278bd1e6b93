// A TransferService that holds what a test puts into it. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/base/text.h"
#include "daemon/control/transfer_service.h"

namespace p2p::testing_support {

class FakeTransferService final : public control::TransferService {
 public:
  // Adds or replaces by id, and counts it as a change.
  void Put(const engine::TransferInfo& info) {
    absl::MutexLock lock(&mutex_);
    transfers_[info.id.value()] = info;
    ++revision_;
  }
  // The same without a change that watchers should see at once: progress.
  void PutQuietly(const engine::TransferInfo& info) {
    absl::MutexLock lock(&mutex_);
    transfers_[info.id.value()] = info;
  }
  void Erase(uint64_t id) {
    absl::MutexLock lock(&mutex_);
    transfers_.erase(id);
    ++revision_;
  }
  // What Share and Download answer with from now on; Pause and the others fail with `status` if it
  // is not ok.
  void AnswerWith(absl::StatusOr<TransferId> answer) {
    absl::MutexLock lock(&mutex_);
    answer_ = std::move(answer);
  }
  void SetPeers(std::vector<engine::PeerInfo> peers) {
    absl::MutexLock lock(&mutex_);
    peers_ = std::move(peers);
  }
  void SetDaemon(engine::DaemonInfo daemon) {
    absl::MutexLock lock(&mutex_);
    daemon_ = std::move(daemon);
  }
  // What every question about transfers and the daemon is answered with while it is not OK: as an
  // engine does that stands still.
  void AnswerQuestionsWith(absl::Status silence) {
    absl::MutexLock lock(&mutex_);
    silence_ = std::move(silence);
    ++revision_;
  }
  // From now on until LetPausesGo, Pause waits, as it does for a slow disk.
  void HoldPauses() {
    absl::MutexLock lock(&mutex_);
    hold_ = true;
  }
  void LetPausesGo() {
    absl::MutexLock lock(&mutex_);
    hold_ = false;
  }
  // Until `count` calls are held.
  void AwaitHeldPauses(int count) {
    absl::MutexLock lock(&mutex_);
    const auto held = [this, count]()
                          ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return held_ >= count; };
    mutex_.Await(absl::Condition(&held));
  }
  // "share PATH NAME", "pause 3", ... in the order of the calls.
  std::vector<std::string> calls() const {
    absl::MutexLock lock(&mutex_);
    return calls_;
  }
  // How often Transfer or Transfers was called.
  int looks() const {
    absl::MutexLock lock(&mutex_);
    return looks_;
  }

  void Share(const std::string& path, const std::string& name,
             std::function<void(absl::StatusOr<TransferId>)> done) override {
    done(Record(absl::StrCat("share ", path, " ", name)));
  }
  absl::StatusOr<TransferId> Download(const std::string& source, const std::string& output,
                                      bool allow_unverified) override {
    return Record(absl::StrCat("download ", source, " ", output,
                               allow_unverified ? " allow unverified" : ""));
  }
  absl::Status Pause(TransferId id) override {
    Hold();
    return Record(absl::StrCat("pause ", id.value())).status();
  }
  absl::Status Resume(TransferId id) override {
    return Record(absl::StrCat("resume ", id.value())).status();
  }
  absl::Status Remove(TransferId id, bool with_data) override {
    const auto answer = Record(absl::StrCat("remove ", id.value(), with_data ? " with data" : ""));
    if (answer.ok()) Erase(id.value());
    return answer.status();
  }
  absl::Status Verify(TransferId id) override {
    return Record(absl::StrCat("verify ", id.value())).status();
  }

  absl::StatusOr<TransferId> Find(const std::string& what) override {
    absl::MutexLock lock(&mutex_);
    for (const auto& [id, info] : transfers_) {
      if (what == absl::StrCat(id) || what == info.name) return info.id;
    }
    return absl::NotFoundError(absl::StrCat("there is no transfer ", Printable(what)));
  }
  absl::StatusOr<engine::TransferInfo> Transfer(TransferId id) override {
    absl::MutexLock lock(&mutex_);
    ++looks_;
    if (!silence_.ok()) return silence_;
    const auto found = transfers_.find(id.value());
    if (found == transfers_.end()) return absl::NotFoundError("it is gone");
    return found->second;
  }
  absl::StatusOr<std::vector<engine::TransferInfo>> Transfers(TransferId after,
                                                              size_t most) override {
    absl::MutexLock lock(&mutex_);
    ++looks_;
    if (!silence_.ok()) return silence_;
    std::vector<engine::TransferInfo> out;
    for (auto it = transfers_.upper_bound(after.value());
         it != transfers_.end() && out.size() < most; ++it) {
      out.push_back(it->second);
    }
    return out;
  }
  absl::StatusOr<std::vector<engine::PeerInfo>> Peers(TransferId) override {
    absl::MutexLock lock(&mutex_);
    return peers_;
  }
  absl::StatusOr<engine::DaemonInfo> Daemon() override {
    absl::MutexLock lock(&mutex_);
    if (!silence_.ok()) return silence_;
    return daemon_;
  }

  uint64_t Revision() const override {
    absl::MutexLock lock(&mutex_);
    return revision_;
  }
  uint64_t WaitForChange(uint64_t seen, absl::Duration timeout) override {
    absl::MutexLock lock(&mutex_);
    const auto changed = [this, seen]()
                             ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return revision_ != seen; };
    mutex_.AwaitWithTimeout(absl::Condition(&changed), timeout);
    return revision_;
  }

 private:
  void Hold() {
    absl::MutexLock lock(&mutex_);
    ++held_;
    mutex_.Await(absl::Condition(
        +[](bool* hold) { return !*hold; }, &hold_));
    --held_;
  }
  absl::StatusOr<TransferId> Record(std::string call) {
    absl::MutexLock lock(&mutex_);
    calls_.push_back(std::move(call));
    return answer_;
  }

  mutable absl::Mutex mutex_;
  std::map<uint64_t, engine::TransferInfo> transfers_ ABSL_GUARDED_BY(mutex_);
  std::vector<engine::PeerInfo> peers_ ABSL_GUARDED_BY(mutex_);
  engine::DaemonInfo daemon_ ABSL_GUARDED_BY(mutex_);
  absl::StatusOr<TransferId> answer_ ABSL_GUARDED_BY(mutex_) = TransferId(1);
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mutex_);
  absl::Status silence_ ABSL_GUARDED_BY(mutex_);
  uint64_t revision_ ABSL_GUARDED_BY(mutex_) = 1;
  bool hold_ ABSL_GUARDED_BY(mutex_) = false;
  int held_ ABSL_GUARDED_BY(mutex_) = 0;
  int looks_ ABSL_GUARDED_BY(mutex_) = 0;
};

// A transfer with believable figures.
inline engine::TransferInfo MakeTransfer(uint64_t id, engine::TransferState state,
                                         engine::TransferKind kind, const std::string& name) {
  engine::TransferInfo info;
  info.id = TransferId(id);
  info.state = state;
  info.kind = kind;
  info.name = name;
  info.content_id = std::string(64, 'a');
  info.magnet = "magnet:?xt=urn:btmh:1220" + info.content_id;
  info.verified = true;
  info.bytes_total = 3'000'000;
  info.bytes_done = 1'500'000;
  info.path = "/srv/" + name;
  info.placed = true;
  return info;
}

}  // namespace p2p::testing_support

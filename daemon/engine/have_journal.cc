#include "daemon/engine/have_journal.h"

#include <utility>

#include "core/base/clock.h"

namespace p2p::engine {
namespace {

// A crash loses at most what came since the last commit: this much, or this long.
constexpr uint64_t kBatchBytes = 256 << 20;
constexpr absl::Duration kBatchTime = absl::Seconds(1);
// The disk is told to begin after each of these: a sync that finds much unwritten holds up the
// writes beside it, and the end of the download.
constexpr uint64_t kWriteBackBytes = 8 << 20;

}  // namespace

HaveJournal::HaveJournal(Runtime* runtime, TransferId id,
                         std::shared_ptr<store::FileChunkManager> store,
                         store::DurableChunks committed, std::weak_ptr<HaveJournalHost> host)
    : runtime_(runtime),
      id_(id),
      store_(std::move(store)),
      ledger_(store_->ledger()),
      host_(std::move(host)),
      committed_(std::move(committed)),
      timer_(&runtime->engine_loop) {}

ChunkSet HaveJournal::Start() {
  // The thread that meets a loss posts this before the result of its call: it is known first.
  ledger_->SetListener([runtime = runtime_, weak = weak_from_this()] {
    runtime->engine_loop.Post([weak] {
      if (const auto self = weak.lock()) self->TakeLost();
    });
  });
  (void)ledger_->TakeLost();
  const ChunkSet kept = ledger_->kept();
  dirty_ = ledger_->HasUnsynced() || !(kept == committed_.chunks());
  if (dirty_) timer_.Arm(MonotonicNow() + kBatchTime, [this] { Commit(); });
  return kept;
}

void HaveJournal::OnWritten(ChunkIndex chunk, uint32_t bytes) {
  // What was lost meanwhile is told by itself.
  if (!ledger_->Keep(chunk)) return;
  dirty_bytes_ += bytes;
  unstarted_bytes_ += bytes;
  if (!std::exchange(dirty_, true) && !committing_) {
    timer_.Arm(MonotonicNow() + kBatchTime, [this] { Commit(); });
  }
  if (dirty_bytes_ >= kBatchBytes) {
    Commit();
  } else if (unstarted_bytes_ >= kWriteBackBytes) {
    StartWriteBack();
  }
}

void HaveJournal::TakeLost() {
  const std::vector<ChunkIndex> lost = ledger_->TakeLost();
  if (lost.empty()) return;
  if (!std::exchange(dirty_, true) && !committing_)
    timer_.Arm(MonotonicNow() + kBatchTime, [this] { Commit(); });
  if (const auto host = host_.lock()) host->OnLostOnDisk(lost);
}

// One at a time and none beside a sync: a slow disk then holds one worker of a download, not all.
void HaveJournal::StartWriteBack() {
  if (starting_ || committing_) return;
  starting_ = true;
  unstarted_bytes_ = 0;
  runtime_->RunOnDisk(
      store::WorkerPool::Priority::kBulk, store_->disk(),
      [store = store_] { return store->StartWriteBack(); },
      [weak = weak_from_this(), host = host_](const absl::Status& status) {
        if (const auto self = weak.lock()) self->starting_ = false;
        const auto to_tell = host.lock();
        if (!status.ok() && to_tell != nullptr) to_tell->OnJournalError(status);
      });
}

void HaveJournal::OnBad(const ChunkSet& chunks) {
  if (chunks.None()) return;
  ledger_->Drop(chunks);
  dirty_ = true;
  Commit();
}

void HaveJournal::Flush(std::function<void(absl::Status)> done) {
  // Also what is there in part: a file is claimed as it is.
  dirty_ |= ledger_->HasUnsynced();
  if (!dirty_ && !committing_) return done(absl::OkStatus());
  waiting_.push_back(std::move(done));
  Commit();
}

void HaveJournal::Commit() {
  timer_.Disarm();
  if (committing_ || !dirty_) return;
  committing_ = true;
  dirty_ = false;
  dirty_bytes_ = 0;
  unstarted_bytes_ = 0;
  const auto finish = [weak = weak_from_this()](const store::DurableChunks& durable,
                                                absl::Status status) {
    if (const auto self = weak.lock()) self->OnCommitted(durable, status);
  };
  runtime_->RunOnDisk(
      store::WorkerPool::Priority::kBulk, store_->disk(),
      [store = store_] { return store->Sync(); },
      [runtime = runtime_, id = id_, finish](absl::StatusOr<store::DurableChunks> synced) {
        if (!synced.ok()) return finish({}, synced.status());
        auto durable = std::make_shared<const store::DurableChunks>(*std::move(synced));
        runtime->RunOnCatalog(
            [id, durable](store::Catalog& catalog) { return catalog.SaveHave(id, *durable); },
            [durable, finish](absl::Status saved) { finish(*durable, saved); });
      });
}

void HaveJournal::OnCommitted(const store::DurableChunks& durable, const absl::Status& status) {
  committing_ = false;
  if (status.ok()) {
    committed_ = durable;
    for (const auto& [file, identity] : durable.files()) files_[file] = identity;
  } else {
    dirty_ = true;
  }
  auto waiting = std::exchange(waiting_, {});
  if (status.ok() && dirty_) {
    if (waiting.empty()) {
      timer_.Arm(MonotonicNow() + kBatchTime, [this] { Commit(); });
    } else {
      waiting_ = std::move(waiting);
      Commit();
    }
    return;
  }
  for (auto& done : waiting) done(status);
  const auto host = host_.lock();
  if (!status.ok() && host != nullptr) host->OnJournalError(status);
}

}  // namespace p2p::engine

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
                         std::shared_ptr<store::FileChunkManager> store, ChunkSet written,
                         ChunkSet committed, std::function<void(absl::Status)> on_error)
    : runtime_(runtime),
      id_(id),
      store_(std::move(store)),
      on_error_(std::move(on_error)),
      written_(std::move(written)),
      committed_(std::move(committed)),
      timer_(&runtime->engine_loop) {
  dirty_ = !(written_ == committed_);
  if (dirty_) timer_.Arm(MonotonicNow() + kBatchTime, [this] { Commit(); });
}

void HaveJournal::OnWritten(ChunkIndex chunk, uint32_t bytes) {
  if (!written_.Add(chunk)) return;
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

// One at a time and none beside a sync: a slow disk then holds one worker of a download, not all.
void HaveJournal::StartWriteBack() {
  if (starting_ || committing_) return;
  starting_ = true;
  unstarted_bytes_ = 0;
  runtime_->RunOnDisk(
      store::WorkerPool::Priority::kBulk, store_->disk(),
      [store = store_] {
        store->StartWriteBack();
        return absl::OkStatus();
      },
      [weak = weak_from_this()](const absl::Status&) {
        if (const auto self = weak.lock()) self->starting_ = false;
      });
}

void HaveJournal::OnLost(ChunkIndex chunk) {
  if (!written_.Remove(chunk)) return;
  dirty_ = true;
  Commit();
}

void HaveJournal::Flush(std::function<void(absl::Status)> done) {
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
  // Taken before the sync: it covers exactly these.
  auto set = std::make_shared<const ChunkSet>(written_);
  const auto finish = [weak = weak_from_this(), set](absl::Status status) {
    if (const auto self = weak.lock()) self->OnCommitted(*set, status);
  };
  runtime_->RunOnDisk(
      store::WorkerPool::Priority::kBulk, store_->disk(),
      [store = store_] { return store->Sync(); },
      [runtime = runtime_, id = id_, set, finish](absl::Status synced) {
        if (!synced.ok()) return finish(synced);
        runtime->RunOnCatalog(
            [id, set](store::Catalog& catalog) { return catalog.SaveHave(id, set->ToBytes()); },
            finish);
      });
}

void HaveJournal::OnCommitted(const ChunkSet& set, const absl::Status& status) {
  committing_ = false;
  if (status.ok()) committed_ = set;
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
  if (!status.ok()) on_error_(status);
}

}  // namespace p2p::engine

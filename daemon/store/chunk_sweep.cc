#include "daemon/store/chunk_sweep.h"

#include <algorithm>
#include <utility>

#include "core/base/limits.h"

namespace p2p::store {
namespace {

// What one job visits at most: some milliseconds of hashing, or of opening small files.
constexpr uint64_t kBatchBytes = 8 << 20;
constexpr size_t kBatchChunks = 64;

class Sweep : public std::enable_shared_from_this<Sweep> {
 public:
  Sweep(WorkerPool* pool, SweepWork work) : pool_(pool), work_(std::move(work)) {}

  void Start() {
    // One job a thread at a time; each that ends makes place for the next, at the end of the queue.
    const size_t batches = (work_.which.count() + kBatchChunks - 1) / kBatchChunks +
                           static_cast<size_t>(work_.layout->total_bytes().value() / kBatchBytes);
    const int most = OneReader() ? 1 : pool_->bulk_threads();
    jobs_ = std::clamp<size_t>(batches, 1, static_cast<size_t>(most));
    {
      absl::MutexLock lock(&mutex_);
      running_ = jobs_;
      left_ = work_.which.count();
    }
    for (size_t i = 0; i < jobs_; ++i) Submit();
  }

 private:
  bool OneReader() const { return work_.disk.type == DeviceType::kRotational; }

  void Submit() {
    WorkerPool::Job job = [self = shared_from_this()] { self->RunBatch(); };
    if (OneReader()) {
      pool_->SubmitInTurn(work_.disk.device, std::move(job));
    } else {
      pool_->SubmitSweep(work_.disk_id, std::move(job));
    }
  }

  void RunBatch() {
    std::vector<ChunkIndex> batch = TakeBatch();
    if (batch.empty()) return EndJob();
    std::vector<uint8_t> buffer(limits::kChunkBytes);
    const absl::Status status =
        work_.visit(batch, absl::MakeSpan(buffer), [this](ChunkIndex chunk) {
          work_.progress->bytes_done += work_.layout->ChunkLength(chunk);
        });
    if (!status.ok()) {
      Fail(status);
      return EndJob();
    }
    Submit();
  }

  // Empty when there is nothing left to do or reason not to do it.
  std::vector<ChunkIndex> TakeBatch() {
    std::vector<ChunkIndex> batch;
    absl::MutexLock lock(&mutex_);
    if (work_.progress->cancelled && status_.ok()) status_ = absl::CancelledError("cancelled");
    if (!status_.ok()) return batch;
    // Small ones at the end, so that all threads end at about the same time.
    const size_t most = std::clamp<size_t>(left_ / (2 * jobs_), 1, kBatchChunks);
    uint64_t bytes = 0;
    while (bytes < kBatchBytes && batch.size() < most) {
      next_ = work_.which.NextMember(next_);
      if (next_ >= work_.which.size()) break;
      bytes += work_.layout->ChunkLength(ChunkIndex(next_));
      batch.push_back(ChunkIndex(next_++));
    }
    left_ -= batch.size();
    return batch;
  }

  void Fail(const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    status_.Update(status);
  }

  void EndJob() {
    absl::Status status;
    {
      absl::MutexLock lock(&mutex_);
      if (--running_ > 0) return;
      status = status_;
    }
    work_.done(std::move(status));
  }

  WorkerPool* const pool_;
  const SweepWork work_;
  size_t jobs_ = 0;  // constant from Start() on
  absl::Mutex mutex_;
  uint32_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t left_ ABSL_GUARDED_BY(mutex_) = 0;  // chunks from `next_` on
  size_t running_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

void StartSweep(WorkerPool* pool, SweepWork work) {
  std::make_shared<Sweep>(pool, std::move(work))->Start();
}

}  // namespace p2p::store

// Visits many chunks of a share on all workers: bulk jobs of some milliseconds each, so that urgent
// ones get their turn even with a single thread, and one chunk of memory for each that runs.
// Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "core/base/chunk_set.h"
#include "core/content/layout.h"
#include "daemon/store/device_type.h"
#include "daemon/store/file_chunk_manager.h"
#include "daemon/store/worker_pool.h"

namespace p2p::store {

// What has to be done. All three functions run on workers and live until `done` has returned.
struct SweepWork {
  std::shared_ptr<const content::Layout> layout;
  ChunkSet which;
  // Where the chunks are. A rotational one has a single reader at a time, of all sweeps together:
  // a second one would make its head go to and fro.
  Disk disk;
  DiskId disk_id = DiskId::kUnknown;       // as WorkerPool has it
  std::shared_ptr<WorkProgress> progress;  // gets the bytes of each chunk that was visited
  // Visits some chunks in order; `buffer` has room for one. An error ends the sweep. Calls
  // `visited` after each.
  using Visited = std::function<void(ChunkIndex)>;
  std::function<absl::Status(absl::Span<const ChunkIndex> chunks, absl::Span<uint8_t> buffer,
                             const Visited& visited)>
      visit;
  // Once, after the last visit: OK, the first error, or Cancelled.
  std::function<void(absl::Status)> done;
};

// Returns at once.
void StartSweep(WorkerPool* pool, SweepWork work);

}  // namespace p2p::store

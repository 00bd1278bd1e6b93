// The machinery that the engine's parts share: loops, workers, catalog, pool. Made by
// Engine::Start, outlives every part. Members belong to the engine loop unless they are thread-safe
// themselves.
#pragma once

#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/base/buffers.h"
#include "core/base/byte_budget.h"
#include "core/base/clock.h"
#include "core/base/ids.h"
#include "core/base/limits.h"
#include "core/base/line_limit.h"
#include "core/net/event_loop.h"
#include "daemon/engine/address_rules.h"
#include "daemon/engine/change_feed.h"
#include "daemon/engine/engine.h"
#include "daemon/engine/known_speakers.h"
#include "daemon/engine/rate_meter.h"
#include "daemon/store/catalog.h"
#include "daemon/store/device_type.h"
#include "daemon/store/file_chunk_manager.h"
#include "daemon/store/file_system.h"
#include "daemon/store/mount_table.h"
#include "daemon/store/worker_pool.h"

namespace p2p::engine {

struct Runtime {
  EngineOptions options;
  PeerId self;
  std::string agent;  // "p2pd/0.1.0"
  uint16_t listen_port = 0;
  store::DeviceType download_device_type = store::DeviceType::kUnknown;
  OwnPlace own;

  KnownSpeakers extension_peers;
  KnownSpeakers extension_trackers;

  std::vector<std::unique_ptr<net::EventLoop>> io_loops;
  // Destroyed before these: what was posted to it and never ran may hold their sockets.
  net::EventLoop engine_loop{"p2pd-engine"};
  std::shared_ptr<ChunkPool> pool;
  // Of manifests that come in, of all transfers.
  const std::shared_ptr<ByteBudget> manifests =
      std::make_shared<ByteBudget>(limits::kMaxUnverifiedManifestBytes);
  store::FileSystem* files = nullptr;
  std::unique_ptr<store::Catalog> catalog;            // only on catalog_worker
  std::unique_ptr<store::WorkerPool> workers;         // hash, read, write, sync
  std::unique_ptr<store::WorkerPool> catalog_worker;  // one thread, without stand-ins

  // A sentence in the log about what a peer did wrong, or about a chunk that can not be read for
  // one. Not each of very many.
  void LogPeerFault(std::string line) { Log(&peer_faults_, std::move(line)); }
  void LogReadFault(std::string line) { Log(&read_faults_, std::move(line)); }

  ChangeFeed changes;
  RateMeter down;  // payload of all transfers
  RateMeter up;

  net::EventLoop* PickIoLoop() { return io_loops[next_io_loop_++ % io_loops.size()].get(); }

  // The disk that a user's path leads to, which is not touched for it.
  store::DiskId DiskAt(absl::string_view path) { return mounts_.DiskAt(path, MonotonicNow()); }

  // Runs `work`, which touches files on `disk`, on a worker and hands its result to `then` on the
  // engine loop. However slow the disk is, it does not take all workers.
  template <typename Work, typename Then>
  void RunOnDisk(store::WorkerPool::Priority priority, store::DiskId disk, Work work, Then then) {
    workers->Submit(priority, disk, Posting(std::move(work), std::move(then)));
  }
  // The same for what only computes: a plain function, none of whose arguments leads to files.
  template <typename Result, typename... Parameters, typename Then>
  void RunComputation(Result (*work)(Parameters...), Then then,
                      std::decay_t<Parameters>... arguments) {
    static_assert(!(LeadsToFiles<std::decay_t<Parameters>>::value || ...),
                  "what touches files goes by RunOnDisk");
    workers->SubmitComputation(
        store::WorkerPool::Priority::kUrgent,
        Posting([work, given = std::make_tuple(std::move(
                           arguments)...)]() mutable { return std::apply(work, std::move(given)); },
                std::move(then)));
  }
  // The same with the catalog: work(*catalog).
  template <typename Work, typename Then>
  void RunOnCatalog(Work work, Then then) {
    catalog_worker->Submit(
        store::WorkerPool::Priority::kUrgent, store::DiskId::kUnknown,
        Posting([this, work = std::move(work)]() mutable { return work(*catalog); },
                std::move(then)));
  }

 private:
  template <typename T>
  using LeadsToFiles =
      std::disjunction<std::is_convertible<T, const store::FileSystem*>,
                       std::is_convertible<T, const store::FileChunkManager*>,
                       std::is_convertible<T, std::shared_ptr<const store::FileChunkManager>>>;

  static void Log(LineLimit* limit, std::string line);

  LineLimit peer_faults_{limits::kMaxFaultLinesPerSecond};
  LineLimit read_faults_{limits::kMaxFaultLinesPerSecond};

  template <typename Work, typename Then>
  store::WorkerPool::Job Posting(Work work, Then then) {
    return [this, work = std::move(work), then = std::move(then)]() mutable {
      // Shared because a posted task must be copyable and results often are not.
      auto result = std::make_shared<decltype(work())>(work());
      auto shared_then = std::make_shared<Then>(std::move(then));
      engine_loop.Post([result, shared_then] { (*shared_then)(std::move(*result)); });
    };
  }

  size_t next_io_loop_ = 0;
  store::MountTable mounts_;
};

}  // namespace p2p::engine

// The engine's start and stop.
#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/free_memory.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/net/congestion_control.h"
#include "daemon/engine/engine_impl.h"
#include "spdlog/spdlog.h"

namespace p2p::engine {
namespace {

// What a stop waits for trackers.
constexpr absl::Duration kTellPatience = absl::Seconds(2);
// And at least for connections to be closed in good order.
constexpr absl::Duration kClosePatience = absl::Milliseconds(200);

}  // namespace

absl::Status Engine::Impl::OpenState() {
  const std::string& dir = runtime.options.state_dir;
  P2P_ASSIGN_OR_RETURN(lock, store::StateDirLock::Acquire(dir));
  P2P_ASSIGN_OR_RETURN(runtime.self, store::LoadOrMakePeerId(dir));
  std::string recovered;
  P2P_ASSIGN_OR_RETURN(runtime.catalog, store::Catalog::Open(dir, &recovered));
  if (!recovered.empty()) spdlog::error("{}", recovered);
  return absl::OkStatus();
}

absl::Status Engine::Impl::StartLoops() {
  // One worker takes urgent jobs only, so that hashing with all the others uses every core.
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const EngineOptions& options = runtime.options;
  const int io_threads = options.io_threads > 0 ? options.io_threads : std::min(cores, 8);
  const int worker_threads =
      options.worker_threads > 0 ? options.worker_threads : std::min(cores + 1, 32);
  runtime.pool = ChunkPool::Create(limits::kChunkPoolBytes);
  runtime.workers = std::make_unique<store::WorkerPool>(
      worker_threads, "p2pd-work", limits::kJobPatience, net::LowerPriorityOfThisThread);
  runtime.catalog_worker = std::make_unique<store::WorkerPool>(1, "p2pd-catalog");
  for (int i = 0; i < io_threads; ++i) {
    runtime.io_loops.push_back(std::make_unique<net::EventLoop>(absl::StrCat("p2pd-io-", i)));
    runtime.io_loops.back()->Start();
    runtime.io_loops.back()->Post(net::LowerPriorityOfThisThread);
  }
  P2P_RETURN_IF_ERROR(net::CheckCongestionControl(options.congestion_control));
  table = std::make_unique<TransferTable>(&runtime);
  links = std::make_unique<Links>(&runtime, table.get());
  trackers = std::make_unique<Trackers>(&runtime);
  memory_timer = std::make_unique<net::Timer>(&runtime.engine_loop);
  table->Use(links.get(), trackers.get());
  P2P_ASSIGN_OR_RETURN(net::Endpoint at,
                       net::ParseEndpoint(options.listen, /*allow_port_zero=*/true));
  P2P_RETURN_IF_ERROR(links->Listen(at));
  listen = net::FormatEndpoint(links->listen_endpoint());
  runtime.listen_port = links->listen_endpoint().port();
  runtime.own.listen = links->listen_endpoint();
  return absl::OkStatus();
}

void Engine::Impl::GiveMemoryBack() {
  memory_timer->Arm(MonotonicNow() + kFreeMemoryInterval, [this] {
    runtime.workers->SubmitComputation(store::WorkerPool::Priority::kBulk, GiveFreeMemoryBack);
    GiveMemoryBack();
  });
}

void Engine::Impl::PrepareDownloadDir(std::function<void()> done) {
  constexpr uint32_t kWhatTheUmaskAllows = 0777;
  const std::string& dir = runtime.options.download_dir;
  runtime.RunOnDisk(
      store::WorkerPool::Priority::kBulk, runtime.DiskAt(dir),
      [dir] {
        // Where it cannot be made, downloads with a path of their own still work.
        const absl::Status made = store::MakeDirectories(dir, kWhatTheUmaskAllows);
        if (!made.ok()) spdlog::warn("{}", std::string(made.message()));
        return store::DeviceTypeOf(dir);
      },
      [this, done = std::move(done)](store::DeviceType type) {
        runtime.download_device_type = type;
        done();
      });
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::Start(EngineOptions options) {
  auto impl = std::make_unique<Impl>();
  Runtime& runtime = impl->runtime;
  runtime.options = std::move(options);
  runtime.agent = "p2pd/" P2P_VERSION;
  runtime.files = store::SystemFiles();
  impl->started = MonotonicNow();
  P2P_RETURN_IF_ERROR(impl->OpenState());
  P2P_RETURN_IF_ERROR(impl->StartLoops());
  P2P_ASSIGN_OR_RETURN(const bool unclean, runtime.catalog->BeginRun());
  P2P_ASSIGN_OR_RETURN(std::vector<store::TransferRecord> records,
                       runtime.catalog->LoadTransfers());
  runtime.engine_loop.Post([impl = impl.get(), records = std::move(records), unclean] {
    impl->trackers->Configure(impl->runtime.options.trackers);
    impl->table->Load(records, unclean);
    impl->GiveMemoryBack();
  });
  auto loaded = std::make_shared<TimedNotification>();
  auto prepared = std::make_shared<TimedNotification>();
  runtime.engine_loop.Post([impl = impl.get(), loaded, prepared] {
    impl->PrepareDownloadDir([prepared] { prepared->Notify(); });
    impl->runtime.RunOnCatalog([](store::Catalog&) { return absl::OkStatus(); },
                               [loaded](const absl::Status&) { loaded->Notify(); });
  });
  runtime.engine_loop.Start();
  // Until then a transfer that has bytes shows none.
  loaded->WaitFor(limits::kLoadWait);
  prepared->WaitFor(limits::kJobPatience);
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Engine::~Engine() { Stop(absl::Seconds(5)); }

Engine::Impl::~Impl() {
  // Jobs first: what they post then goes nowhere; what lives on a loop goes after the loop. The
  // pools stay: until its end the engine loop submits to them.
  if (runtime.workers != nullptr) runtime.workers->Stop();
  if (runtime.catalog_worker != nullptr) runtime.catalog_worker->Stop();
  for (auto& loop : runtime.io_loops) loop->Stop();
  runtime.engine_loop.Stop();
  memory_timer.reset();
  table.reset();
  trackers.reset();
  links.reset();
}

const std::string& Engine::listen() const { return impl_->listen; }

std::vector<LoopHandle> Engine::Loops() {
  Runtime& runtime = impl_->runtime;
  std::vector<LoopHandle> loops = {{"the engine loop", runtime.engine_loop.MakeWeakPoster()}};
  for (size_t i = 0; i < runtime.io_loops.size(); ++i) {
    loops.push_back({absl::StrCat("I/O loop ", i), runtime.io_loops[i]->MakeWeakPoster()});
  }
  return loops;
}

bool Engine::Stop(absl::Duration deadline) {
  if (impl_->stopped.exchange(true)) return true;
  const absl::Time until = MonotonicNow() + deadline;
  impl_->pending.End(StoppingStatus());
  impl_->runtime.changes.Changed();
  impl_->links->StopListening();
  auto committed = std::make_shared<TimedNotification>();
  auto told = std::make_shared<TimedNotification>();
  impl_->runtime.engine_loop.Post([impl = impl_.get(), committed, told] {
    impl->trackers->Leave([told] { told->Notify(); });
    auto open = std::make_shared<size_t>(1);
    const auto one_less = [impl, open, committed] {
      if (--*open > 0) return;
      impl->runtime.RunOnCatalog([](store::Catalog& catalog) { return catalog.MarkClean(); },
                                 [committed](absl::Status) { committed->Notify(); });
    };
    for (const auto& [id, transfer] : impl->table->all()) {
      ++*open;
      transfer->Stop(one_less);
    }
    one_less();
  });
  const bool all = committed->WaitFor(until - MonotonicNow());
  told->WaitFor(std::min(until - MonotonicNow(), kTellPatience));
  auto closed = std::make_shared<TimedNotification>();
  impl_->runtime.engine_loop.Post([impl = impl_.get(), closed] {
    impl->links->CloseAll("the daemon stops");
    closed->Notify();
  });
  closed->WaitFor(std::max(until - MonotonicNow(), kClosePatience));
  return all;
}

const char* StateName(TransferState state) {
  switch (state) {
    case TransferState::kHashing:
      return "hashing";
    case TransferState::kQueued:
      return "queued";
    case TransferState::kDownloading:
      return "downloading";
    case TransferState::kSeeding:
      return "seeding";
    case TransferState::kPaused:
      return "paused";
    case TransferState::kChecking:
      return "checking";
    case TransferState::kComplete:
      return "complete";
    case TransferState::kError:
      return "error";
  }
  return "error";
}

const char* KindName(TransferKind kind) {
  return kind == TransferKind::kShare ? "share" : "download";
}

}  // namespace p2p::engine

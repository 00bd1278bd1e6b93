// The engine's calls from other threads.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/names.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "core/content/magnet.h"
#include "core/content/sha256.h"
#include "core/net/congestion_control.h"
#include "daemon/engine/download_target.h"
#include "daemon/engine/engine_impl.h"
#include "spdlog/spdlog.h"

namespace p2p::engine {
namespace {

absl::StatusOr<store::TransferRecord> DownloadRecord(const std::string& source,
                                                     const std::string& output,
                                                     bool allow_unverified) {
  store::TransferRecord record;
  record.allow_unverified = allow_unverified;
  record.kind = store::TransferKind::kDownload;
  record.path = output;
  record.source = source;
  record.added_unix_seconds = absl::ToUnixSeconds(absl::Now());
  if (content::LooksLikeMagnet(source)) {
    P2P_ASSIGN_OR_RETURN(content::Magnet magnet, content::ParseMagnet(source));
    record.content_id = magnet.content_id;
    record.name = magnet.name;
    record.size_bytes = magnet.total_bytes.value();
    record.trackers = magnet.trackers;
  } else if (!AskedName(source).has_value()) {
    record.content_id = *ContentIdFromHex(source);
  } else {
    absl::Status name = CheckName(source);
    if (!name.ok())
      return Annotate(name, "this is neither a name nor a content id nor a magnet link");
    record.name = source;
  }
  return record;
}

}  // namespace

void Engine::Impl::AddInTurn(std::function<void()> addition) {
  additions.push_back(std::move(addition));
  if (additions.size() == 1) runtime.engine_loop.Post(additions.front());
}

void Engine::Impl::EndAddition() {
  additions.pop_front();
  if (!additions.empty()) runtime.engine_loop.Post(additions.front());
}

void Engine::Impl::AddShare(const std::string& path, const std::string& name,
                            const std::vector<store::FileIdentity>& identities,
                            std::function<void(absl::StatusOr<TransferId>)> reply) {
  const auto add = [this, path, name, reply] {
    store::TransferRecord record;
    record.kind = store::TransferKind::kShare;
    record.name = name;
    record.path = path;
    record.added_unix_seconds = absl::ToUnixSeconds(absl::Now());
    table->Add(std::move(record), [this, reply](absl::StatusOr<TransferId> id) {
      EndAddition();
      reply(std::move(id));
    });
  };
  const std::shared_ptr<TransferObject> former = table->FindShareOf(path);
  if (former == nullptr) return add();
  const bool hashing = former->content().manifest == nullptr && !former->record().paused &&
                       former->record().error.empty();
  if (former->record().name == name && (hashing || former->identities() == identities)) {
    EndAddition();
    return former->Resume([reply, id = former->record().id](absl::Status saved) {
      saved.ok() ? reply(id) : reply(std::move(saved));
    });
  }
  table->Remove(former->record().id, /*with_data=*/false, [this, add, reply](absl::Status removed) {
    if (removed.ok()) return add();
    EndAddition();
    reply(Annotate(removed, "cannot remove the former share of that path from the catalog"));
  });
}

void Engine::Impl::AddDownload(store::TransferRecord record,
                               std::function<void(absl::StatusOr<TransferId>)> reply) {
  if (const std::shared_ptr<TransferObject> same = table->FindSameDownload(record)) {
    EndAddition();
    const TransferId id = same->record().id;
    if (record.allow_unverified) same->AllowUnverified();
    if (!same->record().verified && !record.allow_unverified && !runtime.options.allow_unverified) {
      return reply(absl::FailedPreconditionError(
          absl::StrCat("transfer ", id.value(),
                       " gets it unverified, as somebody allowed; get it with --allow-unverified, "
                       "or remove that transfer first")));
    }
    return same->Resume(
        [reply, id](absl::Status saved) { saved.ok() ? reply(id) : reply(std::move(saved)); });
  }
  table->Add(std::move(record), [this, reply](absl::StatusOr<TransferId> id) {
    EndAddition();
    reply(std::move(id));
  });
}

void Engine::Impl::OnScanned(const std::string& path, const std::string& name,
                             const absl::StatusOr<store::ScannedShare>& scanned,
                             std::function<void(absl::StatusOr<TransferId>)> reply) {
  if (!scanned.ok()) return reply(scanned.status());
  if (pending.ended()) return;  // `reply` was told; nothing is begun any more
  AddInTurn([this, path, name, identities = scanned->identities, reply = std::move(reply)] {
    AddShare(path, name, identities, reply);
  });
}

void Engine::Share(const std::string& path, const std::string& name,
                   std::function<void(absl::StatusOr<TransferId>)> done) {
  if (path.empty() || path.front() != '/')
    return done(absl::InvalidArgumentError("the path to share must be absolute"));
  std::string clean = path;
  while (clean.size() > 1 && clean.back() == '/') clean.pop_back();
  const std::string share_name = name.empty() ? clean.substr(clean.rfind('/') + 1) : name;
  const absl::Status usable =
      Annotate(CheckNameComponent(share_name),
               absl::StrCat("\"", Printable(share_name),
                            "\" cannot be the name of a share; choose another with --name"));
  if (!usable.ok()) return done(usable);
  const auto reply = impl_->pending.Add<absl::StatusOr<TransferId>>(std::move(done));
  // Looked at before there is a transfer: a wrong path leaves nothing behind.
  impl_->runtime.engine_loop.Post([impl = impl_.get(), clean, share_name, reply] {
    impl->runtime.RunOnDisk(
        store::WorkerPool::Priority::kUrgent, impl->runtime.DiskAt(clean),
        [files = impl->runtime.files, clean, share_name] {
          return store::ScanShare(files, clean, share_name);
        },
        [impl, clean, share_name, reply](const absl::StatusOr<store::ScannedShare>& scanned) {
          impl->OnScanned(clean, share_name, scanned, reply);
        });
  });
}

absl::StatusOr<TransferId> Engine::Download(const std::string& source, const std::string& output,
                                            bool allow_unverified) {
  if (!output.empty() && output.front() != '/')
    return absl::InvalidArgumentError("the output path must be absolute");
  using Id = absl::StatusOr<TransferId>;
  return impl_->Call<Id>([impl = impl_.get(), source, output, allow_unverified](auto reply) {
    absl::StatusOr<store::TransferRecord> record =
        DownloadRecord(source, output.empty() ? impl->runtime.options.download_dir + "/" : output,
                       allow_unverified);
    if (!record.ok()) return reply(record.status());
    impl->AddInTurn(
        [impl, record = *std::move(record), reply] { impl->AddDownload(record, reply); });
  });
}

absl::Status Engine::Pause(TransferId id) {
  return impl_->WithCommit(
      id, [](TransferObject& transfer, auto committed) { transfer.Pause(std::move(committed)); });
}

absl::Status Engine::Resume(TransferId id) {
  return impl_->WithCommit(
      id, [](TransferObject& transfer, auto committed) { transfer.Resume(std::move(committed)); });
}

absl::Status Engine::Remove(TransferId id, bool with_data) {
  return impl_->Call<absl::Status>([impl = impl_.get(), id, with_data](auto reply) {
    impl->table->Remove(id, with_data, reply);
  });
}

absl::Status Engine::Verify(TransferId id) {
  return impl_->With<absl::Status>(id, [](TransferObject& transfer) { return transfer.Verify(); });
}

absl::StatusOr<TransferId> Engine::Find(const std::string& what) {
  using Id = absl::StatusOr<TransferId>;
  return impl_->Call<Id>(
      [impl = impl_.get(), what](auto reply) { reply(impl->table->FindByText(what)); });
}

absl::StatusOr<TransferInfo> Engine::Transfer(TransferId id) {
  return impl_->With<absl::StatusOr<TransferInfo>>(
      id, [](TransferObject& transfer) { return transfer.Info(); });
}

absl::StatusOr<std::vector<TransferInfo>> Engine::Transfers(TransferId after, size_t most) {
  using Infos = std::vector<TransferInfo>;
  return impl_->Call<absl::StatusOr<Infos>>([impl = impl_.get(), after, most](auto reply) {
    Infos infos;
    const auto& all = impl->table->all();
    for (auto it = all.upper_bound(after); it != all.end() && infos.size() < most; ++it) {
      infos.push_back(it->second->Info());
    }
    reply(std::move(infos));
  });
}

absl::StatusOr<std::vector<PeerInfo>> Engine::Peers(TransferId id) {
  return impl_->With<absl::StatusOr<std::vector<PeerInfo>>>(
      id, [](TransferObject& transfer) { return transfer.Peers(); });
}

absl::StatusOr<DaemonInfo> Engine::Daemon() {
  return impl_->Call<absl::StatusOr<DaemonInfo>>([impl = impl_.get()](auto reply) {
    const Runtime& runtime = impl->runtime;
    const absl::Time now = MonotonicNow();
    DaemonInfo info;
    info.version = P2P_VERSION;
    info.peer_id = runtime.self.Hex();
    info.listen = impl->listen;
    info.trackers = impl->trackers->Info();
    info.state_dir = runtime.options.state_dir;
    info.download_dir = runtime.options.download_dir;
    info.transfers = impl->table->all().size();
    info.connections = impl->links->size();
    info.bytes_down = runtime.down.total_bytes();
    info.bytes_up = runtime.up.total_bytes();
    info.rate_down = runtime.down.Rate(now);
    info.rate_up = runtime.up.Rate(now);
    info.uptime_seconds = absl::ToInt64Seconds(now - impl->started);
    info.io_threads = static_cast<int>(runtime.io_loops.size());
    info.worker_threads = runtime.workers->threads();
    info.hash_threads = runtime.download_device_type == store::DeviceType::kRotational
                            ? 1
                            : runtime.workers->bulk_threads();
    info.download_device_type = store::DeviceTypeName(runtime.download_device_type);
    info.hash_implementation = content::BestHashImplementation().name;
    info.congestion_control = net::DescribeCongestionControl(runtime.options.congestion_control);
    info.allow_unverified = runtime.options.allow_unverified;
    reply(std::move(info));
  });
}

uint64_t Engine::revision() const { return impl_->runtime.changes.revision(); }

uint64_t Engine::WaitForChange(uint64_t seen, absl::Duration timeout) {
  return impl_->runtime.changes.WaitForChange(seen, timeout);
}

void Engine::Reconfigure(const EngineOptions& options) {
  impl_->runtime.engine_loop.Post([impl = impl_.get(), options] {
    if (impl->pending.ended()) return;
    EngineOptions& current = impl->runtime.options;
    if (options.listen != current.listen || options.state_dir != current.state_dir ||
        options.worker_threads != current.worker_threads) {
      spdlog::warn(
          "a changed state_dir, listen or worker_threads takes effect with the next start only");
    }
    current.download_dir = options.download_dir;
    current.allow_unverified = options.allow_unverified;
    impl->PrepareDownloadDir([] {});
    current.trackers = options.trackers;
    const absl::Status usable = net::CheckCongestionControl(options.congestion_control);
    if (usable.ok()) {
      current.congestion_control = options.congestion_control;
    } else {
      spdlog::error("{}", std::string(usable.message()));
    }
    impl->trackers->Configure(current.trackers);
  });
}

}  // namespace p2p::engine

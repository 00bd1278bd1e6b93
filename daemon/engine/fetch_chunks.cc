// Asking for chunks, checking and storing them, telling others.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/content/merkle.h"
#include "daemon/engine/fetch.h"
#include "spdlog/spdlog.h"

namespace p2p::engine {

void Fetch::OnStoreReady(store::DurableChunks committed) {
  if (stopped_) return;
  journal_ = std::make_shared<HaveJournal>(runtime_, id_, content_->store, std::move(committed),
                                           weak_from_this());
  ChunkSet have = journal_->Start();
  if (swarm_ == nullptr) {
    MakeSwarm(std::move(have));
  } else {
    // Links may have joined meanwhile: what they said of their chunks is kept, and they are told.
    for (uint32_t i = have.NextMember(0); i < have.size(); i = have.NextMember(i + 1)) {
      swarm_->OnVerified(LinkId(), ChunkIndex(i));
      fresh_.emplace_back(ChunkIndex(i));
    }
  }
  store_ready_ = true;
  CheckDone();
  SchedulePump();
}

void Fetch::OnBadHere(const ChunkSet& bad) {
  for (uint32_t i = bad.NextMember(0); i < bad.size(); i = bad.NextMember(i + 1))
    OnLostHere(ChunkIndex(i));
  if (journal_ != nullptr) journal_->OnBad(bad);
  CheckDone();
  SchedulePump();
}

void Fetch::OnLostOnDisk(const std::vector<ChunkIndex>& lost) {
  if (stopped_) return;
  spdlog::warn("transfer {}: {} chunks were lost on their way to the disk; they are fetched again",
               id_.value(), lost.size());
  for (const ChunkIndex chunk : lost) OnLostHere(chunk);
  SchedulePump();
}

void Fetch::OnJournalError(const absl::Status& status) {
  if (!stopped_) host_->OnStoreProblem(status);
}

void Fetch::OnLostHere(ChunkIndex chunk) {
  const bool was_whole = swarm_->have().Has(chunk);
  swarm_->OnChunkLostHere(chunk);
  content_->trees.Forget(chunk);
  // Of one that was here in part others find out when they ask.
  if (was_whole) lost_.push_back(chunk);
}

void Fetch::SchedulePump() {
  if (stopped_ || std::exchange(pump_scheduled_, true)) return;
  runtime_->engine_loop.Post(Guard([this] {
    pump_scheduled_ = false;
    Pump();
  }));
}

void Fetch::Pump() {
  if (swarm_ == nullptr) return;
  TellHaves();
  if (!arrived_.empty() && store_jobs_ < runtime_->workers->threads()) StoreArrived();
  if (!store_ready_ || swarm_->Complete()) return;
  const swarm::Commands commands = swarm_->Decide(MonotonicNow());
  for (const swarm::CancelPart& cancel : commands.cancels) {
    if (Link* link = links_->Find(cancel.link)) {
      link->io->Do([part = cancel.part](session::PeerSession& s) { s.Cancel(part); });
    }
  }
  for (const swarm::RequestChunks& request : commands.requests) Request(request);
  for (const swarm::RequestLeaves& request : commands.leaf_requests) Request(request);
  for (const swarm::DropLink& drop : commands.drops) {
    Link* link = links_->Find(drop.link);
    if (link == nullptr) continue;
    if (drop.lied) {
      Ban(*link, drop.reason);
    } else {
      Dismiss(*link, drop.reason);
    }
  }
  const absl::Time wake = swarm_->NextWake();
  if (wake == absl::InfiniteFuture()) return pump_timer_.Disarm();
  pump_timer_.Arm(wake, [this] { SchedulePump(); });
}

void Fetch::Request(const swarm::RequestChunks& request) {
  Link* link = links_->Find(request.link);
  if (link == nullptr) return;
  if (link->original) {
    const uint32_t length = content_->layout->ChunkLength(request.first);
    link->io->Do(
        [name = source_.original_name, chunk = request.first, length](session::PeerSession& s) {
          s.RequestOriginalChunk(name, chunk, length, MonotonicNow());
        });
    return;
  }
  std::vector<uint32_t> lengths(request.count);
  for (uint32_t i = 0; i < request.count; ++i) {
    lengths[i] = content_->layout->ChunkLength(request.first + ChunkIndex(i));
  }
  link->io->Do([first = request.first, lengths = std::move(lengths)](session::PeerSession& s) {
    s.RequestChunks(first, lengths, MonotonicNow());
  });
}

void Fetch::Request(const swarm::RequestLeaves& request) {
  Link* link = links_->Find(request.link);
  if (link == nullptr) return;
  const uint32_t length = content_->layout->PartLength(request.part);
  link->io->Do([part = request.part, length](session::PeerSession& s) {
    s.RequestLeaves(part, length, MonotonicNow());
  });
}

void Fetch::OnChunk(Link& link, session::ChunkReceived& received) {
  if (swarm_ == nullptr || !swarm_->OnReceived(link.id(), received.part, MonotonicNow())) {
    SchedulePump();
    return;
  }
  const ChunkIndex chunk = received.part.chunk;
  if (!MayTake(chunk)) {
    // Nothing that cannot be checked is asked for; this is for what is asked for in error.
    swarm_->OnNotStored(link.id(), received.part);
    return SchedulePump();
  }
  ArrivedChunk arrived;
  arrived.from = link.id();
  arrived.part = received.part;
  if (content_->hashes != nullptr) arrived.expected = content_->hashes->Get(chunk);
  arrived.file_bytes = content_->layout->file(content_->layout->Locate(chunk).file).length;
  arrived.proof = std::move(received.proof);
  arrived.data = std::move(received.data);
  arrived_bytes_ += arrived.data.size();
  arrived_.push_back(std::move(arrived));
  if (arrived_bytes_ >= limits::kChunkBytes) StoreArrived();
  SchedulePump();
}

bool Fetch::MayTake(ChunkIndex chunk) const {
  return store_ready_ && (content_->hashes == nullptr || content_->hashes->Knows(chunk));
}

void Fetch::StoreArrived() {
  ++store_jobs_;
  arrived_bytes_ = 0;
  runtime_->RunOnDisk(
      store::WorkerPool::Priority::kUrgent, content_->store->disk(),
      [store = content_->store, stopped = writes_stopped_,
       chunks = std::exchange(arrived_, {})]() mutable {
        if (*stopped) return std::vector<StoredChunk>();
        return CheckAndWrite(store.get(), std::move(chunks));
      },
      // Also once it has stopped: what it commits last is its files as they are then.
      [self = shared_from_this()](const std::vector<StoredChunk>& results) {
        --self->store_jobs_;
        if (!self->stopped_) self->OnStored(results);
        if (self->store_jobs_ > 0) return;
        for (const auto& next : std::exchange(self->after_stores_, {})) next();
      });
}

void Fetch::OnStored(const std::vector<StoredChunk>& results) {
  for (const StoredChunk& result : results) {
    OnChunkStored(result);
    if (stopped_) return;
  }
  CheckDone();
  SchedulePump();
}

std::vector<Fetch::StoredChunk> Fetch::CheckAndWrite(store::FileChunkManager* store,
                                                     std::vector<ArrivedChunk> chunks) {
  std::vector<content::ChunkToHash> to_hash;
  for (const ArrivedChunk& chunk : chunks) {
    if (chunk.expected.has_value() && chunk.part.whole()) {
      to_hash.push_back({chunk.data.span(), chunk.file_bytes});
    }
  }
  const std::vector<Hash256> hashes = content::HashOfEach(to_hash);
  const auto ledger = store->ledger();
  auto hash = hashes.begin();
  std::vector<StoredChunk> results;
  for (ArrivedChunk& chunk : chunks) {
    const uint64_t losses = ledger == nullptr ? 0 : ledger->losses();
    if (!chunk.part.whole()) {
      results.push_back(CheckAndWriteLeaves(store, &chunk));
      results.back().losses = losses;
      continue;
    }
    StoredChunk result{chunk.from, chunk.part, losses, true, {}, {}};
    if (chunk.expected.has_value()) result.good = *hash++ == *chunk.expected;
    if (result.good) result.stored = store->WriteChunk(chunk.part.chunk, chunk.data.span());
    chunk.data = ChunkBuffer();
    results.push_back(std::move(result));
  }
  return results;
}

Fetch::StoredChunk Fetch::CheckAndWriteLeaves(store::FileChunkManager* store,
                                              ArrivedChunk* leaves) {
  const ChunkPart& part = leaves->part;
  StoredChunk result{leaves->from, part, 0, false, {}, {}};
  if (!leaves->expected.has_value()) return result;
  content::ChunkTree tree(*leaves->expected, store->layout().ChunkLength(part.chunk),
                          leaves->file_bytes);
  const Hash256 root = content::ChunkTree::RangeRoot(leaves->data.span(), part.leaf_count);
  result.good = tree.Add(part.first_leaf, part.leaf_count, root, leaves->proof).ok();
  if (!result.good) return result;
  result.stored =
      store->WritePart(part.chunk, part.first_leaf * limits::kLeafBytes, leaves->data.span());
  result.leaves = ProvenLeaves{root, std::move(leaves->proof), tree};
  leaves->data = ChunkBuffer();
  return result;
}

void Fetch::OnChunkStored(const StoredChunk& result) {
  Link* link = links_->Find(result.from);
  const ChunkIndex chunk = result.part.chunk;
  if (!result.good) {
    swarm_->OnFailed(result.from, result.part);
    if (link != nullptr) Ban(*link, absl::StrCat("it sent wrong bytes for chunk ", chunk.value()));
    return;
  }
  if (!result.stored.ok()) {
    swarm_->OnNotStored(result.from, result.part);
    host_->OnStoreProblem(result.stored);
    return;
  }
  if (!journal_->IsThere(chunk, result.losses)) {
    // Lost since it was written, like all that came with it.
    swarm_->OnNotStored(result.from, result.part);
    return;
  }
  if (link != nullptr) ++link->chunks_down;
  if (result.leaves.has_value()) {
    const ProvenLeaves& leaves = *result.leaves;
    content_->trees.Learn(result.part, leaves.range_root, leaves.proof, leaves.tree);
  }
  swarm_->OnVerified(result.from, result.part);
  if (swarm_->have().Has(chunk)) {
    fresh_.emplace_back(chunk);
    journal_->OnWritten(chunk, content_->layout->ChunkLength(chunk));
  } else {
    fresh_.push_back(result.part);
  }
  if (!std::exchange(told_first_chunk_, true)) host_->OnFirstChunk();
}

void Fetch::TellLost() {
  const std::vector<ChunkIndex> lost = std::exchange(lost_, {});
  if (lost.empty()) return;
  links_->ForEachOf(host_->SelfAsTransfer().get(), [&](Link& link) {
    if (!link.subscribed) return;
    link.io->Do([lost](session::PeerSession& s) {
      for (auto from = lost.begin(); from != lost.end();) {
        auto end = from + 1;
        while (end != lost.end() && *end == *(end - 1) + ChunkIndex(1)) ++end;
        s.SendLost(*from, static_cast<uint32_t>(end - from));
        from = end;
      }
    });
  });
}

// Whole chunks as runs. Nobody is told what he has.
void Fetch::TellHaves() {
  TellLost();
  if (fresh_.empty()) return;
  std::vector<ChunkPart> fresh = std::exchange(fresh_, {});
  // The chunk may be whole by now.
  fresh.erase(std::remove_if(fresh.begin(), fresh.end(),
                             [this](const ChunkPart& part) {
                               if (!swarm_->Has(part)) return true;  // lost again
                               return !part.whole() &&
                                      (swarm_->have().Has(part.chunk) || swarm_->IsCommon(part));
                             }),
              fresh.end());
  std::sort(fresh.begin(), fresh.end());
  links_->ForEachOf(host_->SelfAsTransfer().get(), [&](Link& link) {
    if (!link.subscribed) return;
    std::vector<std::pair<ChunkIndex, uint32_t>> runs;
    std::vector<ChunkPart> parts;
    for (const ChunkPart& part : fresh) {
      if (swarm_->LinkHas(link.id(), part)) continue;
      if (!part.whole()) {
        parts.push_back(part);
      } else if (!runs.empty() &&
                 runs.back().first + ChunkIndex(runs.back().second) == part.chunk) {
        ++runs.back().second;
      } else {
        runs.emplace_back(part.chunk, 1);
      }
    }
    if (runs.empty() && parts.empty()) return;
    link.io->Do([runs = std::move(runs), parts = std::move(parts)](session::PeerSession& s) {
      for (const auto& [first, count] : runs) s.SendHave(first, count);
      for (const ChunkPart& part : parts) s.SendHaveLeaves(part);
    });
  });
}

void Fetch::CheckDone() {
  if (swarm_ == nullptr || !store_ready_ || !swarm_->Complete()) return;
  TellHaves();
  journal_->Flush(Guard([this](absl::Status status) {
    if (status.ok() && swarm_->Complete()) host_->OnFetched();
  }));
}

void Fetch::Stop(std::function<void()> done) {
  stopped_ = true;
  search_->Stop();
  pump_timer_.Disarm();
  manifest_timer_.Disarm();
  hashes_timer_.Disarm();
  content_->swarm = nullptr;
  arrived_.clear();
  if (journal_ == nullptr) return done();
  *writes_stopped_ = true;
  auto flush = [this, self = shared_from_this(), done = std::move(done)]() mutable {
    FlushJournal(std::move(done));
  };
  if (store_jobs_ == 0) return flush();
  after_stores_.push_back(std::move(flush));
}

void Fetch::FlushJournal(std::function<void()> done) {
  journal_->Flush([self = shared_from_this(), done = std::move(done)](const absl::Status& status) {
    if (!status.ok()) {
      spdlog::warn("transfer {}: its last chunks are not committed and may be fetched again: {}",
                   self->id_.value(), std::string(status.message()));
    }
    self->uncommitted_ = status;
    done();
  });
}

}  // namespace p2p::engine

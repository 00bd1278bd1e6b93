#include "daemon/store/write_ledger.h"

#include <sys/resource.h>

#include <algorithm>
#include <utility>

namespace p2p::store {
namespace {

// Descriptors that a download holds until their files are synced. With more files the whole file
// system is synced, whose errors the held directory is told of.
constexpr size_t kMaxHeld = 64;
// The same for all downloads together, and of what the process may open.
constexpr int kMaxHeldInAll = 256;
constexpr rlim_t kHeldPart = 16;

int MayHoldInAll() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur / kHeldPart, kMaxHeldInAll));
}

std::atomic<int> held_in_all{0};

// Counts a handle for as long as somebody holds it. nullptr when there are too many.
std::shared_ptr<File> Hold(std::shared_ptr<File> handle) {
  if (held_in_all.fetch_add(1) >= MayHoldInAll()) {
    --held_in_all;
    return nullptr;
  }
  File* const file = handle.get();
  return std::shared_ptr<File>(file, [handle = std::move(handle)](File*) mutable {
    handle.reset();
    --held_in_all;
  });
}

}  // namespace

WriteLedger::WriteLedger(std::shared_ptr<const content::Layout> layout,
                         const DurableChunks& claimed, std::vector<FileIdentity> identities)
    : layout_(std::move(layout)),
      kept_(claimed.chunks()),
      durable_(claimed.chunks()),
      identities_(std::move(identities)) {
  identities_.resize(layout_->files().size());
}

void WriteLedger::SetListener(std::function<void()> listener) {
  absl::MutexLock lock(&mutex_);
  listener_ = std::move(listener);
}

void WriteLedger::Wrote(ChunkIndex chunk, std::shared_ptr<File> handle) {
  const FileIndex file = layout_->Locate(chunk).file;
  absl::MutexLock lock(&mutex_);
  touched_.insert(chunk.value());
  const bool room = unsynced_.files.size() < kMaxHeld;
  std::shared_ptr<File>& held = unsynced_.files[file.value()];
  if (held != nullptr) return;
  if (room) held = Hold(std::move(handle));
  if (held == nullptr) unsynced_.not_held.insert(file.value());
}

bool WriteLedger::IsThere(ChunkIndex chunk, uint64_t since) const {
  absl::MutexLock lock(&mutex_);
  return losses_ == since && lost_.count(chunk.value()) == 0;
}

bool WriteLedger::Keep(ChunkIndex chunk) {
  absl::MutexLock lock(&mutex_);
  if (lost_.count(chunk.value()) != 0) return false;
  kept_.Add(chunk);
  // A sync may have come between its last byte and this: none would name it again.
  if (touched_.count(chunk.value()) == 0 && syncing_.count(chunk.value()) == 0) durable_.Add(chunk);
  return true;
}

void WriteLedger::KeepFound(const ChunkSet& chunks) {
  absl::MutexLock lock(&mutex_);
  kept_.Add(chunks);
  for (uint32_t i = chunks.NextMember(0); i < chunks.size(); i = chunks.NextMember(i + 1))
    touched_.insert(i);
}

void WriteLedger::Drop(const ChunkSet& chunks) {
  absl::MutexLock lock(&mutex_);
  kept_.Remove(chunks);
  durable_.Remove(chunks);
}

ChunkSet WriteLedger::kept() const {
  absl::MutexLock lock(&mutex_);
  return kept_;
}

bool WriteLedger::HasUnsynced() const {
  absl::MutexLock lock(&mutex_);
  return !touched_.empty();
}

std::vector<ChunkIndex> WriteLedger::TakeLost() {
  absl::MutexLock lock(&mutex_);
  std::vector<ChunkIndex> lost;
  for (const uint32_t chunk : std::exchange(lost_, {})) lost.emplace_back(chunk);
  return lost;
}

WriteLedger::Unsynced WriteLedger::unsynced() const {
  absl::MutexLock lock(&mutex_);
  return unsynced_;
}

void WriteLedger::MarkFound(FileIndex file) {
  absl::MutexLock lock(&mutex_);
  unsynced_.files.try_emplace(file.value());
}

void WriteLedger::MarkTouched(FileIndex file) {
  absl::MutexLock lock(&mutex_);
  if (unsynced_.files[file.value()] == nullptr) unsynced_.not_held.insert(file.value());
}

WriteLedger::Unsynced WriteLedger::TakeUnsynced() {
  absl::MutexLock lock(&mutex_);
  syncing_ = std::exchange(touched_, {});
  return std::exchange(unsynced_, {});
}

void WriteLedger::SyncedAs(FileIndex file, const FileIdentity& identity) {
  absl::MutexLock lock(&mutex_);
  FileIdentity& known = identities_[file.value()];
  if (known == identity) return;
  known = identity;
  changed_.emplace_back(file, identity);
}

void WriteLedger::EndSync() {
  absl::MutexLock lock(&mutex_);
  // What was written to once more meanwhile waits for the next sync.
  for (const uint32_t chunk : std::exchange(syncing_, {})) {
    if (kept_.Has(ChunkIndex(chunk)) && touched_.count(chunk) == 0) durable_.Add(ChunkIndex(chunk));
  }
}

DurableChunks WriteLedger::Durable() {
  absl::MutexLock lock(&mutex_);
  DurableChunks durable(durable_);
  durable.files_ = std::exchange(changed_, {});
  return durable;
}

void WriteLedger::Lost(FileIndex file) {
  const content::LayoutFile& place = layout_->file(file);
  const uint32_t first = place.first_chunk.value();
  {
    absl::MutexLock lock(&mutex_);
    ++losses_;
    for (std::set<uint32_t>* const written : {&touched_, &syncing_}) {
      for (auto at = written->lower_bound(first);
           at != written->end() && *at < first + place.chunk_count;) {
        Lose(ChunkIndex(*at));
        at = written->erase(at);
      }
    }
  }
  Tell();
}

void WriteLedger::LostChunk(ChunkIndex chunk) {
  {
    absl::MutexLock lock(&mutex_);
    ++losses_;
    Lose(chunk);
    touched_.erase(chunk.value());
    syncing_.erase(chunk.value());
  }
  Tell();
}

void WriteLedger::Lose(ChunkIndex chunk) {
  lost_.insert(chunk.value());
  kept_.Remove(chunk);
  durable_.Remove(chunk);
}

void WriteLedger::Tell() {
  std::function<void()> listener;
  {
    absl::MutexLock lock(&mutex_);
    listener = listener_;
  }
  if (listener) listener();
}

bool WriteLedger::AllDurable() const {
  absl::MutexLock lock(&mutex_);
  return durable_.All();
}

}  // namespace p2p::store

#include "daemon/store/hashing.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "core/content/merkle.h"
#include "daemon/store/chunk_sweep.h"
#include "daemon/store/directory_cursor.h"
#include "daemon/store/share_path.h"

namespace p2p::store {
namespace {

// Two changes of a file within one tick of the kernel's clock can leave the same times; a tick is
// 10 ms at most.
constexpr absl::Duration kTimestampGranularity = absl::Milliseconds(20);

// A file that was changed just now could be changed again without its times showing it: waits until
// it could not. Times from another machine's clock, or in the future, are not waited for.
void WaitOutGranularity(const std::vector<FileIdentity>& identities) {
  int64_t newest = 0;
  for (const FileIdentity& identity : identities) {
    newest = std::max({newest, identity.ctime_ns, identity.mtime_ns});
  }
  const absl::Duration age = absl::Now() - absl::FromUnixNanos(newest);
  if (age >= absl::ZeroDuration() && age < kTimestampGranularity)
    absl::SleepFor(kTimestampGranularity - age);
}

// One HashShare call. Its visits write to different elements of `hashes_`.
class ShareHashing : public std::enable_shared_from_this<ShareHashing> {
 public:
  using Done = std::function<void(absl::StatusOr<HashedShare>)>;

  ShareHashing(FileSystem* files, WorkerPool* pool, std::string path, std::string name,
               std::shared_ptr<WorkProgress> progress, Done done)
      : files_(files),
        pool_(pool),
        path_(std::move(path)),
        name_(std::move(name)),
        progress_(std::move(progress)),
        done_(std::move(done)) {}

  void ScanAndStart(const std::function<void(ByteCount)>& scanned) {
    if (progress_->cancelled) return done_(absl::CancelledError("cancelled"));
    const absl::Status status = Scan();
    if (!status.ok()) return done_(status);
    scanned(share_.layout->total_bytes());
    WaitOutGranularity(share_.identities);
    hashes_.resize(share_.layout->chunk_count());
    SweepWork work;
    work.layout = share_.layout;
    work.which = ChunkSet(share_.layout->chunk_count());
    work.which.AddAll();
    work.disk = DiskOf(share_.identities.front().device);
    work.disk_id = DiskId(share_.identities.front().device);
    work.progress = progress_;
    work.visit = [self = shared_from_this()](auto chunks, auto buffer, const auto& visited) {
      return self->HashChunks(chunks, buffer, visited);
    };
    work.done = [self = shared_from_this()](const absl::Status& swept) { self->End(swept); };
    StartSweep(pool_, std::move(work));
  }

 private:
  absl::Status Scan() {
    P2P_ASSIGN_OR_RETURN(SplitPath split, SplitUserPath(path_));
    base_ = std::move(split.name);
    P2P_ASSIGN_OR_RETURN(root_, files_->OpenRoot(split.parent));
    P2P_ASSIGN_OR_RETURN(share_, ScanShare(files_, path_, name_));
    return absl::OkStatus();
  }

  absl::Status Changed(FileIndex file) const {
    const std::string shown = share_.layout->is_directory()
                                  ? absl::StrCat(path_, "/", share_.layout->file(file).path)
                                  : path_;
    return absl::AbortedError(absl::StrCat(
        Printable(shown), " changed while it was being hashed; share it again when it is at rest"));
  }

  absl::StatusOr<std::unique_ptr<File>> Open(FileIndex index, DirectoryCursor* cursor) {
    auto file = cursor->OpenRead(DiskName(base_, *share_.layout, index));
    if (absl::IsNotFound(file.status())) return Changed(index);
    P2P_RETURN_IF_ERROR(file.status());
    P2P_ASSIGN_OR_RETURN(const FileInfo info, (*file)->Info());
    if (!(info.identity == share_.identities[index.value()])) return Changed(index);
    if (info.identity.size > limits::kChunkBytes) (*file)->AdviseSequential();
    return file;
  }

  absl::Status HashChunks(absl::Span<const ChunkIndex> chunks, absl::Span<uint8_t> buffer,
                          const SweepWork::Visited& visited) {
    DirectoryCursor cursor(root_.get());
    std::unique_ptr<File> file;
    FileIndex open_index;
    // Chunks that were read into the front of `buffer`: small ones are hashed together.
    std::vector<ChunkIndex> indexes;
    std::vector<content::ChunkToHash> read_ones;
    absl::Span<uint8_t> room = buffer;
    const auto hash_them = [&] {
      const std::vector<Hash256> hashes = content::HashOfEach(read_ones);
      for (size_t i = 0; i < indexes.size(); ++i) {
        hashes_[indexes[i].value()] = hashes[i];
        visited(indexes[i]);
      }
      indexes.clear();
      read_ones.clear();
      room = buffer;
    };
    for (const ChunkIndex chunk : chunks) {
      const content::ChunkPlace place = share_.layout->Locate(chunk);
      if (place.length > room.size()) hash_them();
      if (progress_->cancelled) return absl::CancelledError("cancelled");
      if (!file || open_index != place.file) {
        P2P_ASSIGN_OR_RETURN(file, Open(place.file, &cursor));
        open_index = place.file;
      }
      const absl::Span<uint8_t> data = room.first(place.length);
      const absl::Status read = file->ReadAt(place.offset.value(), data);
      if (absl::IsOutOfRange(read)) return Changed(place.file);
      P2P_RETURN_IF_ERROR(read);
      indexes.push_back(chunk);
      read_ones.push_back({data, share_.layout->file(place.file).length});
      room.remove_prefix(data.size());
    }
    hash_them();
    return absl::OkStatus();
  }

  void End(const absl::Status& swept) {
    if (!swept.ok()) return done_(swept);
    done_(Result());
  }

  absl::StatusOr<HashedShare> Result() {
    // Every change since the scan shows here, also one that came and went while a file was open.
    DirectoryCursor cursor(root_.get());
    for (uint32_t i = 0; i < share_.identities.size(); ++i) {
      const auto info = cursor.Info(DiskName(base_, *share_.layout, FileIndex(i)));
      if (!info.ok() && !absl::IsNotFound(info.status())) return info.status();
      if (!info.ok() || !(info->identity == share_.identities[i])) return Changed(FileIndex(i));
    }
    std::vector<Hash256> roots(share_.layout->files().size());
    std::string encoded;  // as ChunkHashes::Encode
    for (uint32_t i = 0; i < roots.size(); ++i) {
      const content::LayoutFile& file = share_.layout->file(FileIndex(i));
      if (file.chunk_count == 0) continue;
      const auto own =
          absl::MakeConstSpan(hashes_).subspan(file.first_chunk.value(), file.chunk_count);
      roots[i] = content::FileRoot(own);
      if (file.chunk_count == 1) continue;
      for (const Hash256& hash : own) absl::StrAppend(&encoded, hash.AsView());
    }
    P2P_ASSIGN_OR_RETURN(auto manifest, content::Manifest::Make(*share_.layout, std::move(roots)));
    HashedShare result;
    result.manifest = std::make_shared<const content::Manifest>(std::move(manifest));
    P2P_ASSIGN_OR_RETURN(auto hashes, content::ChunkHashes::Decode(result.manifest, encoded));
    result.hashes = std::make_shared<const content::ChunkHashes>(std::move(hashes));
    result.identities = std::move(share_.identities);
    return result;
  }

  FileSystem* const files_;
  WorkerPool* const pool_;
  const std::string path_;
  const std::string name_;
  const std::shared_ptr<WorkProgress> progress_;
  const Done done_;
  // Set before the first visit.
  std::string base_;
  std::unique_ptr<Directory> root_;
  ScannedShare share_;
  std::vector<Hash256> hashes_;  // by ChunkIndex
};

// One VerifyChunks call.
struct Verification {
  std::shared_ptr<FileChunkManager> store;
  std::shared_ptr<const content::Manifest> manifest;
  std::shared_ptr<const content::ChunkHashes> hashes;
  std::shared_ptr<WorkProgress> progress;
  std::vector<uint8_t> good;  // by ChunkIndex; visits write to different elements
  absl::Mutex mutex;
  absl::Status problem ABSL_GUARDED_BY(mutex);

  void Complain(const absl::Status& status) {
    absl::MutexLock lock(&mutex);
    problem.Update(status);
  }

  absl::Status Verify(absl::Span<const ChunkIndex> chunks, absl::Span<uint8_t> buffer,
                      const SweepWork::Visited& visited) {
    for (const ChunkIndex chunk : chunks) {
      const content::ChunkPlace place = manifest->layout().Locate(chunk);
      const absl::Span<uint8_t> data = buffer.first(place.length);
      const absl::Status read = store->ReadChunk(chunk, data);
      if (!read.ok()) {
        Complain(read);
      } else if (hashes->Knows(chunk)) {
        const ByteCount file_bytes = manifest->layout().file(place.file).length;
        good[chunk.value()] = content::ChunkHash(data, file_bytes) == hashes->Get(chunk) ? 1 : 0;
      }
      visited(chunk);
      if (progress->cancelled) return absl::CancelledError("cancelled");
    }
    return absl::OkStatus();
  }

  VerifiedChunks Result(const absl::Status& swept) {
    VerifiedChunks result;
    result.good = ChunkSet(static_cast<uint32_t>(good.size()));
    for (uint32_t i = 0; i < good.size(); ++i) {
      if (good[i] != 0) result.good.Add(ChunkIndex(i));
    }
    Complain(swept);
    absl::MutexLock lock(&mutex);
    result.problem = problem;
    return result;
  }

  // RefreshIdentity() compares with these, so that a change behind the reader's back is not taken
  // over.
  void NoteIdentities(const ChunkSet& which) {
    if (store->is_part()) return;
    const content::Layout& layout = manifest->layout();
    for (uint32_t i = 0; i < layout.files().size(); ++i) {
      const content::LayoutFile& file = layout.file(FileIndex(i));
      const uint32_t first = file.first_chunk.value();
      if (which.NextMember(first) >= first + file.chunk_count) continue;
      const absl::Status noted = store->NoteIdentity(FileIndex(i));
      if (!noted.ok()) Complain(noted);
    }
  }
};

}  // namespace

void HashShare(FileSystem* files, WorkerPool* pool, DiskId disk, const std::string& path,
               const std::string& name, std::shared_ptr<WorkProgress> progress,
               std::function<void(ByteCount total_bytes)> scanned,
               std::function<void(absl::StatusOr<HashedShare>)> done) {
  auto hashing =
      std::make_shared<ShareHashing>(files, pool, path, name, std::move(progress), std::move(done));
  pool->SubmitSweep(disk,
                    [hashing, scanned = std::move(scanned)] { hashing->ScanAndStart(scanned); });
}

void VerifyChunks(std::shared_ptr<FileChunkManager> store, WorkerPool* pool,
                  std::shared_ptr<const content::Manifest> manifest,
                  std::shared_ptr<const content::ChunkHashes> hashes, ChunkSet which,
                  std::shared_ptr<WorkProgress> progress,
                  std::function<void(VerifiedChunks)> done) {
  auto verification = std::make_shared<Verification>();
  verification->store = std::move(store);
  verification->manifest = std::move(manifest);
  verification->hashes = std::move(hashes);
  verification->progress = progress;
  verification->good.resize(which.size(), 0);
  SweepWork work;
  work.layout = std::shared_ptr<const content::Layout>(verification->manifest,
                                                       &verification->manifest->layout());
  work.which = std::move(which);
  work.progress = std::move(progress);
  work.visit = [verification](auto chunks, auto buffer, const auto& visited) {
    return verification->Verify(chunks, buffer, visited);
  };
  work.done = [verification, done = std::move(done)](const absl::Status& swept) {
    done(verification->Result(swept));
  };
  work.disk_id = verification->store->disk();
  pool->SubmitSweep(work.disk_id, [verification, pool, work = std::move(work)]() mutable {
    verification->NoteIdentities(work.which);
    work.disk = verification->store->DiskOfContent();
    StartSweep(pool, std::move(work));
  });
}

}  // namespace p2p::store

// What an earlier run left of a download: whether it is what was claimed.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/store/directory_cursor.h"
#include "daemon/store/part_files.h"
#include "daemon/store/share_path.h"

namespace p2p::store {
namespace {

bool IsSame(const FileIdentity& a, const FileIdentity& b, bool times_tell) {
  return times_tell ? a == b : IsSameFile(a, b) && a.size == b.size;
}

}  // namespace

absl::StatusOr<std::shared_ptr<PartFiles>> PartFiles::Reopen(std::shared_ptr<Directory> parent,
                                                             std::string part_name,
                                                             LayoutPtr layout, PartClaim* claim) {
  std::vector<FileIndex> wrong_size;
  P2P_ASSIGN_OR_RETURN(auto part, Find(std::move(parent), std::move(part_name), std::move(layout),
                                       claim, &wrong_size));
  for (const FileIndex file : wrong_size) {
    P2P_ASSIGN_OR_RETURN(const auto handle, part->Open(file));
    P2P_RETURN_IF_ERROR(handle->Truncate(part->layout_->file(file).length.value()));
    P2P_ASSIGN_OR_RETURN(const FileInfo now, handle->Info());
    part->watch_.Found(file, now.identity);
  }
  return part;
}

absl::Status PartFiles::Look(std::shared_ptr<Directory> parent, std::string part_name,
                             LayoutPtr layout, PartClaim* claim) {
  std::vector<FileIndex> wrong_size;
  return Find(std::move(parent), std::move(part_name), std::move(layout), claim, &wrong_size)
      .status();
}

// What an earlier run left, as it is.
absl::StatusOr<std::shared_ptr<PartFiles>> PartFiles::Find(std::shared_ptr<Directory> parent,
                                                           std::string part_name, LayoutPtr layout,
                                                           PartClaim* claim,
                                                           std::vector<FileIndex>* wrong_size) {
  P2P_ASSIGN_OR_RETURN(const FileInfo there, parent->Info(part_name));
  if (there.kind != (layout->is_directory() ? FileKind::kDirectory : FileKind::kRegular)) {
    return absl::FailedPreconditionError(
        absl::StrCat(Printable(part_name), " is not what this download left there; move it away"));
  }
  claim->have.Fit(layout->chunk_count());
  claim->files.resize(layout->files().size());
  claim->doubtful = ChunkSet(layout->chunk_count());
  std::shared_ptr<PartFiles> part(
      new PartFiles(std::move(parent), std::move(part_name), std::move(layout), *claim));
  part->NoteRoot(there.identity);
  part->MarkFoundDirectories();
  DirectoryCursor cursor(part->parent_.get());
  for (uint32_t i = 0; i < part->layout_->files().size(); ++i) {
    P2P_ASSIGN_OR_RETURN(const bool right, part->LookAgain(FileIndex(i), &cursor, claim));
    if (!right) wrong_size->push_back(FileIndex(i));
  }
  // Nothing of these is had before somebody looked at them.
  part->ledger_->Drop(claim->doubtful);
  return part;
}

// Finds out what an earlier run left of a file. False when it is there with another size.
absl::StatusOr<bool> PartFiles::LookAgain(FileIndex file, DirectoryCursor* cursor,
                                          PartClaim* claim) {
  const content::LayoutFile& wanted = layout_->file(file);
  const std::string name = NameOf(file);
  const auto info = cursor->Info(name);
  if (!info.ok() && !absl::IsNotFound(info.status())) return info.status();
  if (info.ok() && info->kind != FileKind::kRegular) {
    return absl::FailedPreconditionError(
        absl::StrCat(Printable(name), " is not a regular file; move it away"));
  }
  if (info.ok()) MarkFound(file, info->identity);
  if (info.ok() && info->identity.size == wanted.length.value()) {
    Compare(file, info->identity, claim);
    return true;
  }
  ChunkSet gone(layout_->chunk_count());
  gone.AddRun(wanted.first_chunk, wanted.chunk_count);
  claim->have.Remove(gone);
  ledger_->Drop(gone);
  return !info.ok();
}

void PartFiles::Compare(FileIndex file, const FileIdentity& now, PartClaim* claim) {
  if (IsSame(now, claim->files[file.value()], claim->times_tell)) return;
  const content::LayoutFile& place = layout_->file(file);
  const ChunkSet& have = claim->have.chunks();
  const uint32_t end = place.first_chunk.value() + place.chunk_count;
  for (uint32_t at = have.NextMember(place.first_chunk.value()); at < end;) {
    const uint32_t gap = std::min(have.NextGap(at), end);
    claim->doubtful.AddRun(ChunkIndex(at), gap - at);
    at = have.NextMember(gap);
  }
  absl::MutexLock lock(&mutex_);
  found_as_[file.value()] = now;
}

// The earlier run may have been killed before it synced what it wrote: the next Sync() does.
void PartFiles::MarkFound(FileIndex file, const FileIdentity& now) {
  watch_.Found(file, now);
  ledger_->MarkFound(file);
  absl::MutexLock lock(&mutex_);
  exists_[file.value()] = true;
}

void PartFiles::MarkFoundDirectories() {
  absl::MutexLock lock(&mutex_);
  unsynced_directories_.insert("");
  for (const std::string& name : DiskDirectories(part_name_, *layout_)) {
    if (parent_->Info(name).ok()) unsynced_directories_.insert(name);
  }
}

ChunkSet PartFiles::PossiblyWritten() {
  ChunkSet written(layout_->chunk_count());
  for (uint32_t i = 0; i < layout_->files().size(); ++i) {
    const content::LayoutFile& file = layout_->file(FileIndex(i));
    if (!Exists(FileIndex(i)) || file.chunk_count == 0) continue;
    // What cannot be told is looked at by whoever asks.
    if (file.chunk_count > 1 && AddWrittenChunks(FileIndex(i), &written).ok()) continue;
    written.AddRun(file.first_chunk, file.chunk_count);
  }
  return written;
}

absl::Status PartFiles::ForgetCached() {
  P2P_RETURN_IF_ERROR(SyncAll());
  for (uint32_t i = 0; i < layout_->files().size(); ++i) {
    if (!Exists(FileIndex(i))) continue;
    P2P_ASSIGN_OR_RETURN(const auto handle, Open(FileIndex(i)));
    handle->DropCache();
  }
  return absl::OkStatus();
}

absl::Status PartFiles::AddWrittenChunks(FileIndex file, ChunkSet* written) {
  const content::LayoutFile& place = layout_->file(file);
  P2P_ASSIGN_OR_RETURN(const auto handle, Open(file));
  for (uint32_t chunk = 0; chunk < place.chunk_count; ++chunk) {
    P2P_ASSIGN_OR_RETURN(const uint64_t data,
                         handle->NextData(uint64_t{chunk} * limits::kChunkBytes));
    if (data >= place.length.value()) break;
    chunk = static_cast<uint32_t>(data / limits::kChunkBytes);
    written->Add(place.first_chunk + ChunkIndex(chunk));
  }
  return absl::OkStatus();
}

}  // namespace p2p::store

#include "daemon/store/file_chunk_manager.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/store/directory_cursor.h"
#include "daemon/store/open_files.h"
#include "daemon/store/part_files.h"
#include "daemon/store/share_path.h"

namespace p2p::store {
namespace {

absl::Status CheckInside(const content::ChunkPlace& place, uint32_t offset, uint64_t length) {
  if (length > 0 && offset + length <= place.length) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("no part of a chunk of ", place.length,
                                                 " bytes: ", length, " bytes at ", offset));
}

}  // namespace

std::shared_ptr<PartFiles> FileChunkManager::part() const {
  absl::MutexLock lock(&mutex_);
  return part_;
}

std::string FileChunkManager::NameOf(FileIndex file) const {
  const auto unfinished = part();
  return DiskName(unfinished ? unfinished->part_name() : name_, *layout_, file);
}

std::string FileChunkManager::ShownPath(FileIndex file) const {
  return absl::StrCat(parent_path_, parent_path_ == "/" ? "" : "/",
                      DiskName(name_, *layout_, file));
}

absl::StatusOr<std::shared_ptr<Directory>> FileChunkManager::Root() {
  if (const auto unfinished = part()) return unfinished->parent();
  if (auto kept = OpenFiles::OfProcess().FindRoot(owner_)) return kept;
  P2P_ASSIGN_OR_RETURN(std::shared_ptr<Directory> opened, files_->OpenRoot(parent_path_));
  OpenFiles::OfProcess().KeepRoot(owner_, opened);
  return opened;
}

absl::StatusOr<std::shared_ptr<File>> FileChunkManager::Handle(FileIndex file, bool make) {
  if (auto kept = OpenFiles::OfProcess().FindFile(owner_, file)) return kept;
  std::shared_ptr<File> opened;
  if (const auto unfinished = part()) {
    P2P_ASSIGN_OR_RETURN(opened, make ? unfinished->OpenOrMake(file) : unfinished->Open(file));
  } else {
    P2P_ASSIGN_OR_RETURN(const auto root, Root());
    P2P_ASSIGN_OR_RETURN(opened, root->OpenRead(NameOf(file)));
  }
  OpenFiles::OfProcess().KeepFile(owner_, file, opened);
  return opened;
}

absl::Status FileChunkManager::ReadChunk(ChunkIndex chunk, absl::Span<uint8_t> data) {
  return ReadPart(chunk, 0, data);
}

absl::Status FileChunkManager::ReadPart(ChunkIndex chunk, uint32_t offset,
                                        absl::Span<uint8_t> data) {
  const content::ChunkPlace place = layout_->Locate(chunk);
  P2P_RETURN_IF_ERROR(CheckInside(place, offset, data.size()));
  std::shared_ptr<File> handle;
  {
    absl::ReaderMutexLock lock(&name_mutex_);
    P2P_ASSIGN_OR_RETURN(handle, Handle(place.file, /*make=*/false));
  }
  return NoteReadFault(chunk, handle->ReadAt(place.offset.value() + offset, data));
}

absl::Status FileChunkManager::WriteChunk(ChunkIndex chunk, absl::Span<const uint8_t> data) {
  return WritePart(chunk, 0, data);
}

absl::Status FileChunkManager::WritePart(ChunkIndex chunk, uint32_t offset,
                                         absl::Span<const uint8_t> data) {
  const content::ChunkPlace place = layout_->Locate(chunk);
  P2P_RETURN_IF_ERROR(CheckInside(place, offset, data.size()));
  const auto unfinished = part();
  if (!unfinished) {
    return absl::FailedPreconditionError(
        absl::StrCat(Printable(ShownPath(place.file)), " is complete and is not written to"));
  }
  absl::StatusOr<std::shared_ptr<File>> handle;
  {
    absl::ReaderMutexLock lock(&name_mutex_);
    handle = Handle(place.file, /*make=*/true);
  }
  absl::Status status = handle.status();
  if (status.ok()) status = unfinished->BeginWrite(handle->get(), place);
  if (status.ok()) {
    status = (*handle)->WriteAt(place.offset.value() + offset, data);
    // Some of it may be written, too, when it failed.
    unfinished->Wrote(chunk, *std::move(handle));
  }
  return NoteFault(place.file, std::move(status));
}

// EIO may be all that is ever told of a write-back that failed.
absl::Status FileChunkManager::NoteFault(FileIndex file, absl::Status status) const {
  const auto unfinished = ledger();
  if (absl::IsDataLoss(status) && unfinished != nullptr) unfinished->Lost(file);
  return status;
}

absl::Status FileChunkManager::NoteReadFault(ChunkIndex chunk, absl::Status status) const {
  const auto unfinished = ledger();
  if (!absl::IsDataLoss(status) || unfinished == nullptr) return status;
  unfinished->LostChunk(chunk);
  return NoteFault(layout_->Locate(chunk).file, std::move(status));
}

absl::StatusOr<FileSlice> FileChunkManager::PrepareToSend(ChunkIndex chunk) {
  return PrepareToSend(chunk, 0, layout_->ChunkLength(chunk));
}

absl::StatusOr<FileSlice> FileChunkManager::PrepareToSend(ChunkIndex chunk, uint32_t offset,
                                                          uint32_t length) {
  const content::ChunkPlace place = layout_->Locate(chunk);
  P2P_RETURN_IF_ERROR(CheckInside(place, offset, length));
  const uint64_t start = place.offset.value() + offset;
  std::shared_ptr<File> handle;
  {
    absl::ReaderMutexLock lock(&name_mutex_);
    if (is_part_) {
      P2P_ASSIGN_OR_RETURN(handle, Handle(place.file, /*make=*/false));
    } else {
      P2P_ASSIGN_OR_RETURN(handle, UnchangedHandle(place.file));
    }
  }
  const absl::Status cached = NoteReadFault(chunk, handle->ReadAhead(start, length));
  if (absl::IsOutOfRange(cached)) return absl::FailedPreconditionError(cached.message());
  P2P_RETURN_IF_ERROR(cached);
  const int fd = handle->descriptor();
  return FileSlice{std::move(handle), fd, start, length};
}

// The open file and the one that has the name now must both be the one that was hashed.
absl::StatusOr<std::shared_ptr<File>> FileChunkManager::UnchangedHandle(FileIndex file) {
  FileIdentity expected;
  {
    absl::MutexLock lock(&mutex_);
    expected = identities_[file.value()];
  }
  const auto gone = [&](const absl::Status& status) -> absl::Status {
    if (!absl::IsNotFound(status)) return status;
    return absl::NotFoundError(absl::StrCat(Printable(ShownPath(file)), " is gone"));
  };
  const auto changed = [&] {
    OpenFiles::OfProcess().DropFile(owner_, file);
    return absl::FailedPreconditionError(
        absl::StrCat(Printable(ShownPath(file)), " changed since it was shared"));
  };
  if (auto kept = OpenFiles::OfProcess().FindFile(owner_, file)) {
    const auto current = CurrentIdentity(file);
    if (!current.ok()) {
      OpenFiles::OfProcess().DropFile(owner_, file);
      return gone(current.status());
    }
    if (!(*current == expected)) return changed();
    P2P_ASSIGN_OR_RETURN(const FileInfo opened, kept->Info());
    if (opened.identity == expected) return kept;
    // It may be of an earlier file of that name.
    OpenFiles::OfProcess().DropFile(owner_, file);
  }
  // Opened just now, it is the one that has the name.
  auto handle = Handle(file, /*make=*/false);
  if (!handle.ok()) return gone(handle.status());
  P2P_ASSIGN_OR_RETURN(const FileInfo opened, (*handle)->Info());
  return opened.identity == expected ? handle : changed();
}

absl::StatusOr<FileIdentity> FileChunkManager::CurrentIdentity(FileIndex file) {
  P2P_ASSIGN_OR_RETURN(const auto root, Root());
  P2P_ASSIGN_OR_RETURN(const FileInfo info, root->Info(NameOf(file)));
  return IdentityOf(file, info);
}

absl::StatusOr<FileIdentity> FileChunkManager::CurrentIdentity(FileIndex file,
                                                               DirectoryCursor* cursor) {
  P2P_ASSIGN_OR_RETURN(const FileInfo info, cursor->Info(NameOf(file)));
  return IdentityOf(file, info);
}

// FailedPrecondition when something else than a regular file has the name.
absl::StatusOr<FileIdentity> FileChunkManager::IdentityOf(FileIndex file,
                                                          const FileInfo& info) const {
  if (info.kind == FileKind::kRegular) return info.identity;
  return absl::FailedPreconditionError(
      absl::StrCat(Printable(ShownPath(file)), " is no longer a regular file"));
}

std::vector<FileIndex> FileChunkManager::ChangedFiles() {
  std::vector<FileIndex> all(layout_->files().size());
  for (uint32_t i = 0; i < all.size(); ++i) all[i] = FileIndex(i);
  return ChangedAmong(all);
}

std::vector<FileIndex> FileChunkManager::ChangedAmong(const std::vector<FileIndex>& files) {
  const std::vector<FileIdentity> expected = identities();
  std::vector<FileIndex> changed;
  absl::ReaderMutexLock lock(&name_mutex_);
  const auto root = Root();
  DirectoryCursor cursor(root.ok() ? root->get() : nullptr);
  for (const FileIndex file : files) {
    const absl::StatusOr<FileIdentity> current =
        root.ok() ? CurrentIdentity(file, &cursor) : root.status();
    if (!current.ok() || !(*current == expected[file.value()])) changed.push_back(file);
  }
  return changed;
}

absl::Status FileChunkManager::NoteIdentity(FileIndex file) {
  OpenFiles::OfProcess().DropFile(owner_, file);
  absl::ReaderMutexLock lock(&name_mutex_);
  const auto current = CurrentIdentity(file);
  absl::MutexLock inner(&mutex_);
  noted_.erase(file.value());
  if (current.ok()) noted_[file.value()] = *current;
  return current.status();
}

absl::Status FileChunkManager::RefreshIdentity(FileIndex file) {
  absl::ReaderMutexLock lock(&name_mutex_);
  P2P_ASSIGN_OR_RETURN(const FileIdentity current, CurrentIdentity(file));
  absl::MutexLock inner(&mutex_);
  const auto noted = noted_.find(file.value());
  const bool changed = noted != noted_.end() && !(noted->second == current);
  if (noted != noted_.end()) noted_.erase(noted);
  if (changed) {
    return absl::AbortedError(
        absl::StrCat(Printable(ShownPath(file)), " changed while it was hashed; hash it again"));
  }
  // An empty file has no chunk whose hash could tell.
  if (current.size != layout_->file(file).length.value()) {
    return absl::FailedPreconditionError(
        absl::StrCat(Printable(ShownPath(file)), " has another size now"));
  }
  identities_[file.value()] = current;
  return absl::OkStatus();
}

std::vector<FileIdentity> FileChunkManager::identities() const {
  absl::MutexLock lock(&mutex_);
  return identities_;
}

absl::StatusOr<FileIdentity> FileChunkManager::Place() {
  const auto unfinished = part();
  if (!unfinished) return absl::FailedPreconditionError("it is finished");
  P2P_ASSIGN_OR_RETURN(const FileInfo directory, unfinished->parent()->InfoOfSelf());
  FileIdentity place;
  place.inode = directory.identity.inode;
  place.ctime_ns = directory.born_ns;
  return place;
}

absl::StatusOr<FileIdentity> FileChunkManager::PartRoot() {
  const auto unfinished = part();
  if (!unfinished) return absl::FailedPreconditionError("it is finished");
  return unfinished->root();
}

ChunkSet FileChunkManager::PossiblyWritten() {
  if (const auto unfinished = part()) return unfinished->PossiblyWritten();
  ChunkSet all(layout_->chunk_count());
  all.AddAll();
  return all;
}

ByteCount FileChunkManager::BytesToAllocate() {
  const auto unfinished = part();
  return unfinished ? unfinished->BytesToAllocate() : ByteCount(0);
}

absl::StatusOr<uint64_t> FileChunkManager::FreeBytes() {
  absl::ReaderMutexLock lock(&name_mutex_);
  P2P_ASSIGN_OR_RETURN(const auto root, Root());
  return root->FreeBytes();
}

Disk FileChunkManager::DiskOfContent() {
  absl::ReaderMutexLock lock(&name_mutex_);
  const auto root = Root();
  if (!root.ok()) return {};
  const auto unfinished = part();
  const auto info = (*root)->Info(unfinished ? unfinished->part_name() : name_);
  return info.ok() ? DiskOf(info->identity.device) : Disk();
}

std::shared_ptr<WriteLedger> FileChunkManager::ledger() const {
  const auto unfinished = part();
  return unfinished ? unfinished->ledger() : nullptr;
}

absl::Status FileChunkManager::StartWriteBack() {
  const auto unfinished = part();
  return unfinished ? unfinished->StartWriteBack() : absl::OkStatus();
}

absl::StatusOr<DurableChunks> FileChunkManager::Sync() {
  const auto unfinished = part();
  if (!unfinished) return absl::FailedPreconditionError("it is finished");
  auto durable = unfinished->Sync();
  // Each open file is told of an error of its own; those that are opened now are told of later
  // ones.
  if (unfinished->TakeReplaced() || !durable.ok()) OpenFiles::OfProcess().DropOwner(owner_);
  return durable;
}

absl::Status FileChunkManager::ForgetCached() {
  const auto unfinished = part();
  return unfinished ? unfinished->ForgetCached() : absl::OkStatus();
}

}  // namespace p2p::store

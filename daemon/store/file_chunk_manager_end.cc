// How a content gets its final name, and how its files go.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/store/directory_cursor.h"
#include "daemon/store/file_chunk_manager.h"
#include "daemon/store/open_files.h"
#include "daemon/store/part_files.h"
#include "daemon/store/share_path.h"

namespace p2p::store {

absl::Status FileChunkManager::Finish() {
  const auto unfinished = part();
  if (unfinished) {
    P2P_RETURN_IF_ERROR(unfinished->Complete());
    P2P_RETURN_IF_ERROR(Rename(*unfinished));
  }
  absl::ReaderMutexLock lock(&name_mutex_);
  P2P_ASSIGN_OR_RETURN(const auto root, Root());
  P2P_RETURN_IF_ERROR(root->Sync());
  // Rename() took them, unless it is an earlier call that got so far.
  return unfinished ? absl::OkStatus() : TakeIdentities();
}

absl::Status FileChunkManager::Rename(const PartFiles& part) {
  absl::WriterMutexLock lock(&name_mutex_);
  P2P_RETURN_IF_ERROR(part.CheckName());
  const absl::Status renamed = part.parent()->RenameNew(part.part_name(), name_);
  if (absl::IsAlreadyExists(renamed)) {
    return absl::AlreadyExistsError(
        absl::StrCat(Printable(absl::StrCat(parent_path_, "/", name_)),
                     " already exists, so the finished download stays in ",
                     Printable(part.part_name()), "; move the other away and resume"));
  }
  P2P_RETURN_IF_ERROR(renamed);
  OpenFiles::OfProcess().DropOwner(owner_);
  OpenFiles::OfProcess().KeepRoot(owner_, part.parent());
  {
    absl::MutexLock inner(&mutex_);
    part_ = nullptr;
    identities_ = part.left();
  }
  is_part_ = false;
  return TakeIdentities();
}

// Of files that are known already they are those that were known, but for the rename of a file.
absl::Status FileChunkManager::TakeIdentities() {
  P2P_ASSIGN_OR_RETURN(const auto root, Root());
  DirectoryCursor cursor(root.get());
  std::vector<FileIdentity> taken = identities();
  for (uint32_t i = 0; i < layout_->files().size(); ++i) {
    P2P_ASSIGN_OR_RETURN(const FileIdentity now, CurrentIdentity(FileIndex(i), &cursor));
    FileIdentity known = std::exchange(taken[i], now);
    if (!layout_->is_directory()) known.ctime_ns = now.ctime_ns;
    if (known.inode == 0 || known == now) continue;
    return absl::AbortedError(
        absl::StrCat(Printable(ShownPath(FileIndex(i))), " was changed while it got its name"));
  }
  absl::MutexLock lock(&mutex_);
  identities_ = std::move(taken);
  return absl::OkStatus();
}

absl::Status FileChunkManager::RemoveFiles() {
  const auto unfinished = part();
  OpenFiles::OfProcess().DropOwner(owner_);
  return unfinished ? unfinished->Remove() : RemoveWholeFiles();
}

absl::Status FileChunkManager::RemoveWholeFiles() {
  absl::ReaderMutexLock lock(&name_mutex_);
  P2P_ASSIGN_OR_RETURN(const auto root, Root());
  absl::Status first_left;
  size_t left = 0;
  DirectoryCursor cursor(root.get());
  for (uint32_t i = 0; i < layout_->files().size(); ++i) {
    const absl::Status removed = RemoveUnchanged(FileIndex(i), &cursor);
    if (removed.ok()) continue;
    if (left++ == 0) first_left = removed;
  }
  for (const std::string& directory : DiskDirectories(name_, *layout_)) {
    // Those that hold what is not of this share stay.
    (void)root->Remove(directory, true);
  }
  P2P_RETURN_IF_ERROR(root->Sync());
  if (left <= 1) return first_left;
  return absl::Status(first_left.code(),
                      absl::StrCat(first_left.message(), " (and ", left - 1, " more)"));
}

absl::Status FileChunkManager::RemoveUnchanged(FileIndex file, DirectoryCursor* cursor) {
  const auto current = CurrentIdentity(file, cursor);
  if (absl::IsNotFound(current.status())) return absl::OkStatus();
  FileIdentity expected;
  {
    absl::MutexLock lock(&mutex_);
    expected = identities_[file.value()];
  }
  if (!current.ok() || !(*current == expected)) {
    return absl::FailedPreconditionError(
        absl::StrCat(Printable(ShownPath(file)), " was left: it changed since it was shared"));
  }
  return cursor->RemoveFile(NameOf(file));
}

}  // namespace p2p::store

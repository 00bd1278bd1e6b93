#include "daemon/store/part_files.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/store/directory_cursor.h"
#include "daemon/store/share_path.h"

namespace p2p::store {
namespace {

// Space is reserved in steps of this: enough for long extents, little enough not to hold up the
// first write.
constexpr uint64_t kReserveBytes = 64 << 20;
// From here on one sync of the file system is cheaper than one a file.
constexpr size_t kMaxSingleSyncs = 64;

std::string DirectoryOf(absl::string_view name) {
  const size_t slash = name.rfind('/');
  return std::string(slash == absl::string_view::npos ? absl::string_view()
                                                      : name.substr(0, slash));
}

}  // namespace

PartFiles::PartFiles(std::shared_ptr<Directory> parent, std::string part_name, LayoutPtr layout,
                     const PartClaim& claim)
    : parent_(std::move(parent)),
      part_name_(std::move(part_name)),
      layout_(std::move(layout)),
      ledger_(std::make_shared<WriteLedger>(layout_, claim.have, claim.files)),
      exists_(layout_->files().size(), false) {}

absl::StatusOr<std::shared_ptr<PartFiles>> PartFiles::Create(std::shared_ptr<Directory> parent,
                                                             std::string part_name,
                                                             LayoutPtr layout) {
  const auto there = parent->Info(part_name);
  if (there.ok()) {
    return absl::AlreadyExistsError(absl::StrCat(
        Printable(part_name), " is in the way; remove it, or choose another place with -o"));
  }
  if (!absl::IsNotFound(there.status())) return there.status();
  PartClaim nothing;
  nothing.have = DurableChunks::None(layout->chunk_count());
  std::shared_ptr<PartFiles> part(
      new PartFiles(std::move(parent), std::move(part_name), std::move(layout), nothing));
  if (part->layout_->is_directory()) {
    P2P_RETURN_IF_ERROR(part->parent_->MakeDirectory(part->part_name_));
    absl::MutexLock lock(&part->mutex_);
    part->unsynced_directories_.insert("");
    return part;
  }
  auto made = part->Make(FileIndex(0), part->part_name_);
  if (!made.ok()) {
    if (!absl::IsAlreadyExists(made.status())) (void)part->parent_->Remove(part->part_name_, false);
    return made.status();
  }
  return part;
}

std::string PartFiles::NameOf(FileIndex file) const { return DiskName(part_name_, *layout_, file); }

bool PartFiles::Exists(FileIndex file) const {
  absl::MutexLock lock(&mutex_);
  return exists_[file.value()];
}

void PartFiles::MarkMade(FileIndex file, absl::string_view name) {
  absl::MutexLock lock(&mutex_);
  exists_[file.value()] = true;
  unsynced_directories_.insert(DirectoryOf(name));
}

absl::StatusOr<std::unique_ptr<File>> PartFiles::Open(FileIndex file) {
  return parent_->OpenReadWrite(NameOf(file));
}

absl::StatusOr<std::unique_ptr<File>> PartFiles::OpenOrMake(FileIndex file) {
  const std::string name = NameOf(file);
  if (Exists(file)) return parent_->OpenReadWrite(name);
  auto made = Make(file, name);
  if (absl::IsNotFound(made.status())) {
    P2P_RETURN_IF_ERROR(MakeDirectories(name));
    made = Make(file, name);
  }
  // Another worker was quicker.
  if (absl::IsAlreadyExists(made.status())) return parent_->OpenReadWrite(name);
  return made;
}

absl::StatusOr<std::unique_ptr<File>> PartFiles::Make(FileIndex file, const std::string& name) {
  P2P_ASSIGN_OR_RETURN(auto handle, parent_->CreateNew(name));
  // The write of a file's only chunk gives it its size as well.
  if (layout_->file(file).chunk_count != 1 || !layout_->is_directory()) {
    P2P_RETURN_IF_ERROR(handle->Truncate(layout_->file(file).length.value()));
  }
  MarkMade(file, name);
  return handle;
}

absl::Status PartFiles::MakeDirectories(absl::string_view file_name) {
  for (size_t slash = file_name.find('/'); slash != absl::string_view::npos;
       slash = file_name.find('/', slash + 1)) {
    const absl::string_view directory = file_name.substr(0, slash);
    P2P_RETURN_IF_ERROR(parent_->MakeDirectory(directory));
    absl::MutexLock lock(&mutex_);
    unsynced_directories_.insert(DirectoryOf(directory));
  }
  return absl::OkStatus();
}

absl::Status PartFiles::Reserve(File* handle, const content::ChunkPlace& place) {
  const uint64_t file_bytes = layout_->file(place.file).length.value();
  if (file_bytes <= limits::kChunkBytes) return absl::OkStatus();
  const uint64_t step = place.offset.value() / kReserveBytes;
  const uint64_t key = uint64_t{place.file.value()} << 32 | step;
  {
    absl::MutexLock lock(&mutex_);
    if (!reserved_.insert(key).second) return absl::OkStatus();
  }
  const uint64_t start = step * kReserveBytes;
  const absl::Status status = handle->Allocate(start, std::min(kReserveBytes, file_bytes - start));
  if (status.ok()) return status;
  absl::MutexLock lock(&mutex_);
  reserved_.erase(key);
  return status;
}

void PartFiles::Wrote(ChunkIndex chunk, std::shared_ptr<File> handle) {
  ledger_->Wrote(chunk, std::move(handle));
  absl::MutexLock lock(&mutex_);
  unstarted_files_.insert(layout_->Locate(chunk).file.value());
}

absl::Status PartFiles::StartWriteBack() {
  std::set<uint32_t> files;
  {
    absl::MutexLock lock(&mutex_);
    files.swap(unstarted_files_);
  }
  // Many small ones are left to the sync of the file system.
  if (files.size() > kMaxSingleSyncs) return absl::OkStatus();
  const WriteLedger::Unsynced unsynced = ledger_->unsynced();
  absl::Status status;
  for (const uint32_t file : files) {
    const auto held = unsynced.files.find(file);
    if (held == unsynced.files.end() || held->second == nullptr) continue;
    const absl::Status started = held->second->StartWriteBack();
    if (!started.ok()) ledger_->Lost(FileIndex(file));
    status.Update(started);
  }
  return status;
}

absl::StatusOr<DurableChunks> PartFiles::Sync() {
  P2P_RETURN_IF_ERROR(SyncAll());
  std::map<uint32_t, FileIdentity> found;
  {
    absl::MutexLock lock(&mutex_);
    found.swap(found_as_);
  }
  // As each was before anybody looked into it, whatever happened to it since.
  for (const auto& [file, identity] : found) ledger_->SyncedAs(FileIndex(file), identity);
  return ledger_->Durable();
}

absl::Status PartFiles::SyncAll() {
  absl::MutexLock sync_lock(&sync_mutex_);
  std::set<std::string> directories;
  {
    absl::MutexLock lock(&mutex_);
    unstarted_files_.clear();
    directories.swap(unsynced_directories_);
  }
  const WriteLedger::Unsynced unsynced = ledger_->TakeUnsynced();
  const bool many =
      !unsynced.not_held.empty() || unsynced.files.size() + directories.size() > kMaxSingleSyncs;
  absl::Status all = many ? parent_->SyncFileSystem() : absl::UnimplementedError("");
  const bool one_by_one = absl::IsUnimplemented(all);
  absl::Status status;
  if (one_by_one || all.ok()) status = SyncFiles(unsynced, one_by_one);
  if (one_by_one) all = SyncDirectories(directories);
  if (!all.ok()) {
    for (const auto& file : unsynced.files) ledger_->Lost(FileIndex(file.first));
    // What is written next is reached through them.
    absl::MutexLock lock(&mutex_);
    unsynced_directories_.insert(directories.begin(), directories.end());
  }
  ledger_->EndSync();
  status.Update(all);
  return status;
}

// All of them, whatever one of them says.
absl::Status PartFiles::SyncFiles(const WriteLedger::Unsynced& unsynced, bool one_by_one) {
  absl::Status status;
  DirectoryCursor cursor(parent_.get());
  for (const auto& [index, held] : unsynced.files) {
    const FileIndex file(index);
    if (one_by_one) {
      const absl::Status synced = SyncFile(file, held.get());
      if (!synced.ok()) ledger_->Lost(file);
      status.Update(synced);
      if (!synced.ok()) continue;
    }
    // One that cannot be looked at is taken for changed at the next start.
    if (held == nullptr && unsynced.not_held.count(index) == 0) continue;
    const auto now = held != nullptr ? held->Info() : cursor.Info(NameOf(file));
    if (now.ok()) ledger_->SyncedAs(file, now->identity);
    absl::MutexLock lock(&mutex_);
    found_as_.erase(index);
  }
  return status;
}

absl::Status PartFiles::SyncFile(FileIndex file, File* handle) {
  if (handle != nullptr) return handle->SyncData();
  P2P_ASSIGN_OR_RETURN(const auto opened, Open(file));
  return opened->SyncData();
}

absl::Status PartFiles::SyncDirectories(const std::set<std::string>& names) {
  for (const std::string& name : names) {
    if (name.empty()) {
      P2P_RETURN_IF_ERROR(parent_->Sync());
      continue;
    }
    P2P_ASSIGN_OR_RETURN(const auto directory, parent_->OpenDirectory(name));
    P2P_RETURN_IF_ERROR(directory->Sync());
  }
  return absl::OkStatus();
}

absl::Status PartFiles::Complete() {
  const auto& files = layout_->files();
  const auto executables =
      std::count_if(files.begin(), files.end(), [](const auto& file) { return file.executable; });
  const bool sync_each = static_cast<size_t>(executables) <= kMaxSingleSyncs;
  DirectoryCursor cursor(parent_.get());
  for (uint32_t i = 0; i < files.size(); ++i)
    P2P_RETURN_IF_ERROR(CompleteFile(FileIndex(i), &cursor, sync_each));
  P2P_RETURN_IF_ERROR(SyncAll());
  if (!ledger_->AllDurable())
    return absl::DataLossError(absl::StrCat(Printable(part_name_), " is not whole on the disk"));
  if (sync_each) return absl::OkStatus();
  const absl::Status synced = parent_->SyncFileSystem();
  if (!absl::IsUnimplemented(synced)) return synced;
  for (uint32_t i = 0; i < files.size(); ++i)
    P2P_RETURN_IF_ERROR(CompleteFile(FileIndex(i), &cursor, /*sync_each=*/true));
  return absl::OkStatus();
}

absl::Status PartFiles::CompleteFile(FileIndex file, DirectoryCursor* cursor, bool sync_each) {
  const content::LayoutFile& wanted = layout_->file(file);
  if (wanted.length.value() == 0) P2P_RETURN_IF_ERROR(OpenOrMake(file).status());
  const std::string name = NameOf(file);
  P2P_ASSIGN_OR_RETURN(const FileInfo info, cursor->Info(name));
  if (info.kind != FileKind::kRegular || info.identity.size != wanted.length.value()) {
    return absl::DataLossError(
        absl::StrCat(Printable(name), " is not as it was written; it was changed by someone else"));
  }
  if (!wanted.executable) return absl::OkStatus();
  P2P_ASSIGN_OR_RETURN(const auto handle, parent_->OpenReadWrite(name));
  P2P_RETURN_IF_ERROR(handle->SetExecutable());
  return sync_each ? handle->SyncData() : absl::OkStatus();
}

absl::Status PartFiles::Remove() {
  (void)ledger_->TakeUnsynced();  // closes what waits
  DirectoryCursor cursor(parent_.get());
  for (uint32_t i = 0; i < layout_->files().size(); ++i) {
    const absl::Status removed = cursor.RemoveFile(NameOf(FileIndex(i)));
    if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
  }
  absl::Status left;
  for (const std::string& directory : DiskDirectories(part_name_, *layout_)) {
    const absl::Status removed = parent_->Remove(directory, true);
    if (removed.ok() || absl::IsNotFound(removed)) continue;
    if (!absl::IsAlreadyExists(removed)) return removed;
    left = absl::FailedPreconditionError(absl::StrCat(
        Printable(directory), " was left: it holds files that are not of this download"));
  }
  P2P_RETURN_IF_ERROR(parent_->Sync());
  return left;
}

ByteCount PartFiles::BytesToAllocate() {
  uint64_t missing = 0;
  DirectoryCursor cursor(parent_.get());
  for (uint32_t i = 0; i < layout_->files().size(); ++i) {
    const uint64_t length = layout_->file(FileIndex(i)).length.value();
    const auto info = Exists(FileIndex(i)) ? cursor.Info(NameOf(FileIndex(i)))
                                           : absl::NotFoundError("not made yet");
    missing += length - std::min(length, info.ok() ? info->allocated_bytes : 0);
  }
  return ByteCount(missing);
}

}  // namespace p2p::store

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
      watch_(layout_->files().size()),
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
  absl::Status made = part->MakeRoot();
  if (absl::IsAlreadyExists(made)) return made;
  if (made.ok()) {
    const auto root = part->parent_->Info(part->part_name_);
    made = root.status();
    if (root.ok()) part->NoteRoot(root->identity);
  }
  if (made.ok()) return part;
  (void)part->parent_->Remove(part->part_name_, part->layout_->is_directory());
  return made;
}

absl::Status PartFiles::MakeRoot() {
  if (!layout_->is_directory()) return Make(FileIndex(0), part_name_).status();
  P2P_RETURN_IF_ERROR(parent_->MakeNewDirectory(part_name_));
  absl::MutexLock lock(&mutex_);
  unsynced_directories_.insert("");
  return absl::OkStatus();
}

void PartFiles::NoteRoot(const FileIdentity& identity) {
  root_.device = identity.device;
  root_.inode = identity.inode;
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
  if (const auto made = handle->Info(); made.ok()) watch_.Found(file, made->identity);
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

absl::Status PartFiles::BeginWrite(File* handle, const content::ChunkPlace& place) {
  P2P_RETURN_IF_ERROR(watch_.BeginChange(place.file, handle));
  const absl::Status reserved = Reserve(handle, place);
  if (!reserved.ok()) {
    watch_.EndChange(place.file);
    // It may have been changed, and is looked at after the next sync.
    ledger_->MarkTouched(place.file);
  }
  return reserved;
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
  const FileIndex file = layout_->Locate(chunk).file;
  // In this order: a sync that does not yet know of the change does not take it for somebody's.
  watch_.EndChange(file);
  ledger_->Wrote(chunk, std::move(handle));
  absl::MutexLock lock(&mutex_);
  unstarted_files_.insert(file.value());
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
    if (held == nullptr && unsynced.not_held.count(index) == 0) continue;
    LookAfterSync(file, held.get(), &cursor);
    absl::MutexLock lock(&mutex_);
    found_as_.erase(index);
  }
  return status;
}

// What somebody else changed or replaced is not claimed as what it is now, and so is doubtful to
// whoever opens it next; as is one that cannot be looked at.
void PartFiles::LookAfterSync(FileIndex file, File* held, DirectoryCursor* cursor) {
  const std::string name = NameOf(file);
  const auto began = watch_.BeginLook(file);
  const auto now = held != nullptr ? held->Info() : cursor->Info(name);
  if (!now.ok()) return;
  if (held != nullptr) {
    const auto named = cursor->Info(name);
    if (absl::IsNotFound(named.status()) ||
        (named.ok() && !IsSameFile(named->identity, now->identity))) {
      watch_.Replaced(file);
      replaced_ = true;
    }
  }
  if (watch_.EndLook(file, began, now->identity)) ledger_->SyncedAs(file, now->identity);
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
  for (uint32_t i = 0; i < files.size(); ++i) {
    if (files[i].length.value() == 0) P2P_RETURN_IF_ERROR(OpenOrMake(FileIndex(i)).status());
  }
  P2P_RETURN_IF_ERROR(SyncAll());
  if (!ledger_->AllDurable())
    return absl::DataLossError(absl::StrCat(Printable(part_name_), " is not whole on the disk"));
  P2P_RETURN_IF_ERROR(CheckAsLeft());
  const auto executables =
      std::count_if(files.begin(), files.end(), [](const auto& file) { return file.executable; });
  const bool sync_each = static_cast<size_t>(executables) <= kMaxSingleSyncs;
  P2P_RETURN_IF_ERROR(MakeExecutable(sync_each));
  if (sync_each) return absl::OkStatus();
  const absl::Status synced = parent_->SyncFileSystem();
  if (!absl::IsUnimplemented(synced)) return synced;
  return MakeExecutable(/*sync_each=*/true);
}

absl::Status PartFiles::CheckAsLeft() {
  DirectoryCursor cursor(parent_.get());
  for (uint32_t i = 0; i < layout_->files().size(); ++i) {
    const FileIndex file(i);
    const std::string name = NameOf(file);
    P2P_ASSIGN_OR_RETURN(const FileInfo now, cursor.Info(name));
    if (now.kind == FileKind::kRegular && watch_.IsAsLeft(file, now.identity) &&
        now.identity.size == layout_->file(file).length.value()) {
      continue;
    }
    return absl::AbortedError(
        absl::StrCat(Printable(name), " is not as it was written; it was changed by someone else"));
  }
  return absl::OkStatus();
}

absl::Status PartFiles::MakeExecutable(bool sync_each) {
  for (uint32_t i = 0; i < layout_->files().size(); ++i) {
    const FileIndex file(i);
    if (!layout_->file(file).executable) continue;
    P2P_ASSIGN_OR_RETURN(const auto handle, Open(file));
    P2P_RETURN_IF_ERROR(handle->SetExecutable());
    if (sync_each) P2P_RETURN_IF_ERROR(handle->SyncData());
    P2P_ASSIGN_OR_RETURN(const FileInfo now, handle->Info());
    const FileIdentity left = watch_.left(file);
    if (!IsSameFile(left, now.identity) || left.mtime_ns != now.identity.mtime_ns) {
      return absl::AbortedError(absl::StrCat(Printable(NameOf(file)), " was changed at its end"));
    }
    watch_.Found(file, now.identity);
  }
  return absl::OkStatus();
}

absl::Status PartFiles::CheckName() const {
  P2P_ASSIGN_OR_RETURN(const FileInfo now, parent_->Info(part_name_));
  if (IsSameFile(now.identity, root_)) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat(Printable(part_name_), " is another one now"));
}

std::vector<FileIdentity> PartFiles::left() const {
  std::vector<FileIdentity> left(layout_->files().size());
  for (uint32_t i = 0; i < left.size(); ++i) left[i] = watch_.left(FileIndex(i));
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

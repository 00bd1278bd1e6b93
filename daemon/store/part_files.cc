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

PartFiles::PartFiles(std::shared_ptr<Directory> parent, std::string part_name, LayoutPtr layout)
    : parent_(std::move(parent)),
      part_name_(std::move(part_name)),
      layout_(std::move(layout)),
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
  std::shared_ptr<PartFiles> part(
      new PartFiles(std::move(parent), std::move(part_name), std::move(layout)));
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

absl::StatusOr<std::shared_ptr<PartFiles>> PartFiles::Reopen(std::shared_ptr<Directory> parent,
                                                             std::string part_name,
                                                             LayoutPtr layout, ChunkSet* intact) {
  std::vector<FileIndex> wrong_size;
  P2P_ASSIGN_OR_RETURN(auto part, Find(std::move(parent), std::move(part_name), std::move(layout),
                                       intact, &wrong_size));
  for (const FileIndex file : wrong_size) {
    P2P_ASSIGN_OR_RETURN(const auto handle, part->Open(file));
    P2P_RETURN_IF_ERROR(handle->Truncate(part->layout_->file(file).length.value()));
  }
  return part;
}

absl::Status PartFiles::Look(std::shared_ptr<Directory> parent, std::string part_name,
                             LayoutPtr layout, ChunkSet* intact) {
  std::vector<FileIndex> wrong_size;
  return Find(std::move(parent), std::move(part_name), std::move(layout), intact, &wrong_size)
      .status();
}

// What an earlier run left, as it is.
absl::StatusOr<std::shared_ptr<PartFiles>> PartFiles::Find(std::shared_ptr<Directory> parent,
                                                           std::string part_name, LayoutPtr layout,
                                                           ChunkSet* intact,
                                                           std::vector<FileIndex>* wrong_size) {
  P2P_ASSIGN_OR_RETURN(const FileInfo there, parent->Info(part_name));
  if (there.kind != (layout->is_directory() ? FileKind::kDirectory : FileKind::kRegular)) {
    return absl::FailedPreconditionError(
        absl::StrCat(Printable(part_name), " is not what this download left there; move it away"));
  }
  if (intact->size() != layout->chunk_count()) {
    *intact = ChunkSet(layout->chunk_count());
    intact->AddAll();
  }
  std::shared_ptr<PartFiles> part(
      new PartFiles(std::move(parent), std::move(part_name), std::move(layout)));
  part->MarkFoundDirectories();
  DirectoryCursor cursor(part->parent_.get());
  for (uint32_t i = 0; i < part->layout_->files().size(); ++i) {
    P2P_ASSIGN_OR_RETURN(const bool right, part->LookAgain(FileIndex(i), &cursor, intact));
    if (!right) wrong_size->push_back(FileIndex(i));
  }
  return part;
}

// Finds out what an earlier run left of a file. False when it is there with another size.
absl::StatusOr<bool> PartFiles::LookAgain(FileIndex file, DirectoryCursor* cursor,
                                          ChunkSet* intact) {
  const content::LayoutFile& wanted = layout_->file(file);
  const std::string name = NameOf(file);
  const auto info = cursor->Info(name);
  if (!info.ok() && !absl::IsNotFound(info.status())) return info.status();
  if (info.ok() && info->kind != FileKind::kRegular) {
    return absl::FailedPreconditionError(
        absl::StrCat(Printable(name), " is not a regular file; move it away"));
  }
  if (info.ok()) MarkFound(file);
  if (info.ok() && info->identity.size == wanted.length.value()) return true;
  for (uint32_t i = 0; i < wanted.chunk_count; ++i)
    intact->Remove(wanted.first_chunk + ChunkIndex(i));
  return !info.ok();
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

// The earlier run may have been killed before it synced what it wrote: the next Sync() does.
void PartFiles::MarkFound(FileIndex file) {
  absl::MutexLock lock(&mutex_);
  exists_[file.value()] = true;
  unsynced_files_.insert(file.value());
}

void PartFiles::MarkFoundDirectories() {
  absl::MutexLock lock(&mutex_);
  unsynced_directories_.insert("");
  for (const std::string& name : DiskDirectories(part_name_, *layout_)) {
    if (parent_->Info(name).ok()) unsynced_directories_.insert(name);
  }
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

void PartFiles::Wrote(FileIndex file) {
  absl::MutexLock lock(&mutex_);
  unsynced_files_.insert(file.value());
  unstarted_files_.insert(file.value());
}

void PartFiles::StartWriteBack() {
  std::set<uint32_t> files;
  {
    absl::MutexLock lock(&mutex_);
    files.swap(unstarted_files_);
  }
  // Many small ones are left to the sync of the file system.
  if (files.size() > kMaxSingleSyncs) return;
  for (const uint32_t file : files) {
    const auto handle = Open(FileIndex(file));
    if (handle.ok()) (*handle)->StartWriteBack();
  }
}

absl::Status PartFiles::Sync() {
  absl::MutexLock sync_lock(&sync_mutex_);
  std::set<uint32_t> files;
  std::set<std::string> directories;
  {
    absl::MutexLock lock(&mutex_);
    files.swap(unsynced_files_);
    unstarted_files_.clear();
    directories.swap(unsynced_directories_);
  }
  if (files.empty() && directories.empty()) return absl::OkStatus();
  const absl::Status status = files.size() + directories.size() > kMaxSingleSyncs
                                  ? parent_->SyncFileSystem()
                                  : SyncEach(files, directories);
  if (!status.ok()) {
    // The files are not tried again: after a failed sync the next one may succeed without having
    // written anything. Directories are, because what is written next is reached through them.
    absl::MutexLock lock(&mutex_);
    unsynced_directories_.insert(directories.begin(), directories.end());
  }
  return status;
}

absl::Status PartFiles::SyncEach(const std::set<uint32_t>& files,
                                 const std::set<std::string>& directories) {
  for (const uint32_t file : files) {
    P2P_ASSIGN_OR_RETURN(const auto handle, Open(FileIndex(file)));
    P2P_RETURN_IF_ERROR(handle->SyncData());
  }
  for (const std::string& name : directories) {
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
  P2P_RETURN_IF_ERROR(Sync());
  return sync_each ? absl::OkStatus() : parent_->SyncFileSystem();
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

ChunkSet PartFiles::PossiblyWritten() {
  ChunkSet written(layout_->chunk_count());
  for (uint32_t i = 0; i < layout_->files().size(); ++i) {
    const content::LayoutFile& file = layout_->file(FileIndex(i));
    if (!Exists(FileIndex(i)) || file.chunk_count == 0) continue;
    // What cannot be told is looked at by whoever asks.
    if (file.chunk_count > 1 && AddWrittenChunks(FileIndex(i), &written).ok()) continue;
    for (uint32_t chunk = 0; chunk < file.chunk_count; ++chunk) {
      written.Add(file.first_chunk + ChunkIndex(chunk));
    }
  }
  return written;
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

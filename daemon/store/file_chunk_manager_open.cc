// How a FileChunkManager comes to be.
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/store/file_chunk_manager.h"
#include "daemon/store/open_files.h"
#include "daemon/store/part_files.h"
#include "daemon/store/share_path.h"

namespace p2p::store {
namespace {

absl::Status CheckSpace(Directory* parent, const std::string& parent_path, uint64_t total,
                        uint64_t reserved) {
  P2P_ASSIGN_OR_RETURN(const uint64_t free_bytes, parent->FreeBytes());
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  const uint64_t needed = reserved > kMost - total ? kMost : total + reserved;
  if (free_bytes >= needed) return absl::OkStatus();
  const std::string others =
      reserved == 0 ? "" : absl::StrCat(" (", HumanBytes(reserved), " of it for other downloads)");
  return absl::ResourceExhaustedError(
      absl::StrCat("not enough space in ", Printable(parent_path), ": need ", HumanBytes(needed),
                   others, ", ", HumanBytes(free_bytes), " free; free ",
                   HumanBytes(needed - free_bytes), " or choose another place with -o"));
}

absl::Status CheckNothingThere(Directory* parent, const std::string& name,
                               const std::string& path) {
  const auto there = parent->Info(name);
  if (absl::IsNotFound(there.status())) return absl::OkStatus();
  if (!there.ok()) return there.status();
  return absl::AlreadyExistsError(absl::StrCat(
      Printable(path), " already exists; move it away, or choose another place with -o"));
}

}  // namespace

FileChunkManager::FileChunkManager(FileSystem* files, std::string parent, std::string name,
                                   LayoutPtr layout)
    : files_(files),
      parent_path_(std::move(parent)),
      name_(std::move(name)),
      layout_(std::move(layout)),
      owner_(OpenFiles::OfProcess().NewOwner()),
      identities_(layout_->files().size()) {}

FileChunkManager::~FileChunkManager() { OpenFiles::OfProcess().DropOwner(owner_); }

absl::StatusOr<std::shared_ptr<FileChunkManager>> FileChunkManager::OpenWhole(
    FileSystem* files, const std::string& path, LayoutPtr layout,
    std::vector<FileIdentity> identities) {
  P2P_ASSIGN_OR_RETURN(SplitPath split, SplitUserPath(path));
  std::shared_ptr<FileChunkManager> manager(new FileChunkManager(
      files, std::move(split.parent), std::move(split.name), std::move(layout)));
  identities.resize(manager->layout_->files().size());
  {
    absl::MutexLock lock(&manager->mutex_);
    manager->identities_ = std::move(identities);
  }
  absl::ReaderMutexLock lock(&manager->name_mutex_);
  P2P_ASSIGN_OR_RETURN(const auto root, manager->Root());
  manager->NoteDisk(root.get());
  return manager;
}

// One that cannot be told is a disk like any other.
void FileChunkManager::NoteDisk(Directory* parent) {
  const auto info = parent->InfoOfSelf();
  if (info.ok()) disk_ = info->identity.device;
}

absl::StatusOr<std::shared_ptr<FileChunkManager>> FileChunkManager::MakeForPart(
    FileSystem* files, const std::string& target, LayoutPtr layout) {
  P2P_ASSIGN_OR_RETURN(SplitPath split, SplitUserPath(target));
  std::shared_ptr<FileChunkManager> manager(new FileChunkManager(
      files, std::move(split.parent), std::move(split.name), std::move(layout)));
  manager->is_part_ = true;
  return manager;
}

ByteCount FileChunkManager::ReservedBeside(FileSystem* files, const std::string& target,
                                           const std::vector<Reservation>& others) {
  uint64_t disk = 0;
  if (const auto split = SplitUserPath(target); split.ok()) {
    const auto parent = files->OpenRoot(split->parent);
    const auto info = parent.ok() ? (*parent)->InfoOfSelf() : parent.status();
    if (info.ok()) disk = info->identity.device;
  }
  ByteCount reserved;
  for (const Reservation& other : others) {
    if (other.store == nullptr) {
      reserved += other.bytes_left;
    } else if (other.store->disk() == DiskId(disk)) {
      reserved += std::min(other.bytes_left, other.store->BytesToAllocate());
    }
  }
  return reserved;
}

absl::Status FileChunkManager::CheckPlace(FileSystem* files, const std::string& target,
                                          const content::Layout& layout, ByteCount reserved) {
  P2P_ASSIGN_OR_RETURN(const SplitPath split, SplitUserPath(target));
  P2P_ASSIGN_OR_RETURN(const auto parent, files->OpenRoot(split.parent));
  P2P_RETURN_IF_ERROR(CheckNothingThere(parent.get(), split.name, target));
  const absl::Status part =
      CheckNothingThere(parent.get(), PartName(split.name), absl::StrCat(target, ".part"));
  if (absl::IsAlreadyExists(part)) return absl::FailedPreconditionError(part.message());
  P2P_RETURN_IF_ERROR(part);
  return CheckSpace(parent.get(), split.parent, layout.total_bytes().value(), reserved.value());
}

absl::StatusOr<std::shared_ptr<FileChunkManager>> FileChunkManager::CreatePart(
    FileSystem* files, const std::string& target, LayoutPtr layout, ByteCount reserved) {
  P2P_ASSIGN_OR_RETURN(auto manager, MakeForPart(files, target, std::move(layout)));
  P2P_ASSIGN_OR_RETURN(std::shared_ptr<Directory> parent, files->OpenRoot(manager->parent_path_));
  manager->NoteDisk(parent.get());
  P2P_RETURN_IF_ERROR(CheckNothingThere(parent.get(), manager->name_, target));
  P2P_RETURN_IF_ERROR(CheckSpace(parent.get(), manager->parent_path_,
                                 manager->layout_->total_bytes().value(), reserved.value()));
  auto part = PartFiles::Create(std::move(parent), PartName(manager->name_), manager->layout_);
  if (!part.ok()) return Annotate(part.status(), absl::StrCat("cannot begin ", Printable(target)));
  absl::MutexLock lock(&manager->mutex_);
  manager->part_ = *std::move(part);
  return manager;
}

absl::StatusOr<std::shared_ptr<FileChunkManager>> FileChunkManager::ReopenPart(
    FileSystem* files, const std::string& target, LayoutPtr layout, PartClaim* claim) {
  P2P_ASSIGN_OR_RETURN(auto manager, MakeForPart(files, target, std::move(layout)));
  P2P_ASSIGN_OR_RETURN(std::shared_ptr<Directory> parent, files->OpenRoot(manager->parent_path_));
  manager->NoteDisk(parent.get());
  auto part =
      PartFiles::Reopen(std::move(parent), PartName(manager->name_), manager->layout_, claim);
  if (!part.ok())
    return Annotate(part.status(), absl::StrCat("cannot go on with ", Printable(target)));
  absl::MutexLock lock(&manager->mutex_);
  manager->part_ = *std::move(part);
  return manager;
}

absl::Status FileChunkManager::LookAtPart(FileSystem* files, const std::string& target,
                                          LayoutPtr layout, PartClaim* claim) {
  P2P_ASSIGN_OR_RETURN(const SplitPath split, SplitUserPath(target));
  P2P_ASSIGN_OR_RETURN(std::shared_ptr<Directory> parent, files->OpenRoot(split.parent));
  return PartFiles::Look(std::move(parent), PartName(split.name), std::move(layout), claim);
}

absl::StatusOr<std::shared_ptr<FileChunkManager>> FileChunkManager::AdoptFinished(
    FileSystem* files, const std::string& target, LayoutPtr layout) {
  P2P_ASSIGN_OR_RETURN(auto manager, OpenWhole(files, target, std::move(layout), {}));
  absl::ReaderMutexLock lock(&manager->name_mutex_);
  P2P_ASSIGN_OR_RETURN(const auto root, manager->Root());
  const auto part = root->Info(PartName(manager->name_));
  if (part.ok())
    return absl::NotFoundError(absl::StrCat(Printable(target), " has an unfinished .part"));
  // The rename may not be on disk yet: who adopts will record it as done.
  P2P_RETURN_IF_ERROR(root->Sync());
  P2P_RETURN_IF_ERROR(manager->TakeIdentities());
  absl::MutexLock inner(&manager->mutex_);
  for (uint32_t i = 0; i < manager->identities_.size(); ++i) {
    if (manager->identities_[i].size == manager->layout_->file(FileIndex(i)).length.value())
      continue;
    return absl::NotFoundError(absl::StrCat(Printable(manager->ShownPath(FileIndex(i))),
                                            " has another size than it should"));
  }
  return manager;
}

absl::Status FileChunkManager::RemovePartAtRest(FileSystem* files, const std::string& target,
                                                const content::Layout& layout,
                                                const FileIdentity& root,
                                                const std::vector<FileIdentity>& written) {
  P2P_ASSIGN_OR_RETURN(const SplitPath split, SplitUserPath(target));
  P2P_ASSIGN_OR_RETURN(const auto parent, files->OpenRoot(split.parent));
  return PartFiles::RemoveWritten(parent.get(), PartName(split.name), layout, root, written);
}

absl::Status FileChunkManager::CheckSameDirectory(FileSystem* files, const std::string& target,
                                                  const FileIdentity& place) {
  P2P_ASSIGN_OR_RETURN(const SplitPath split, SplitUserPath(target));
  const auto parent = files->OpenRoot(split.parent);
  if (absl::IsNotFound(parent.status())) {
    return absl::NotFoundError(
        absl::StrCat("the directory ", Printable(split.parent), " is not there"));
  }
  P2P_RETURN_IF_ERROR(parent.status());
  if ((*parent)->Info(PartName(split.name)).ok()) return absl::OkStatus();
  P2P_ASSIGN_OR_RETURN(const FileInfo now, (*parent)->InfoOfSelf());
  // The first directory of a disk has the same inode on each; it is not as old.
  const bool same_age = place.ctime_ns == 0 || now.born_ns == 0 || place.ctime_ns == now.born_ns;
  if (place.inode == 0 || (place.inode == now.identity.inode && same_age)) return absl::OkStatus();
  return absl::NotFoundError(
      absl::StrCat(Printable(split.parent), " is not the directory that this download began in"));
}

absl::Status FileChunkManager::CheckWritable(FileSystem* files, const std::string& target) {
  P2P_ASSIGN_OR_RETURN(const SplitPath split, SplitUserPath(target));
  P2P_ASSIGN_OR_RETURN(const auto parent, files->OpenRoot(split.parent));
  return parent->CheckWritable();
}

bool FileChunkManager::IsGone(FileSystem* files, const std::string& path) {
  const absl::StatusOr<SplitPath> split = SplitUserPath(path);
  if (!split.ok()) return false;
  const auto parent = files->OpenRoot(split->parent);
  if (!parent.ok()) return absl::IsNotFound(parent.status());
  return absl::IsNotFound((*parent)->Info(split->name).status());
}

}  // namespace p2p::store

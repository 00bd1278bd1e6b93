// How a .part goes: what is not known to be of this download stays.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/store/directory_cursor.h"
#include "daemon/store/part_files.h"
#include "daemon/store/share_path.h"

namespace p2p::store {
namespace {

absl::Status NotTheOne(absl::string_view name) {
  return absl::FailedPreconditionError(
      absl::StrCat(Printable(name), " is not the one that was written, and stays"));
}

// `written`: what is known of it; nothing of a file in a directory that was made for it alone, when
// a crash came before it was recorded.
absl::Status RemoveIfWritten(DirectoryCursor* cursor, const std::string& name,
                             const FileIdentity& written, bool in_own_directory) {
  const auto now = cursor->Info(name);
  if (absl::IsNotFound(now.status())) return absl::OkStatus();
  P2P_RETURN_IF_ERROR(now.status());
  const bool is_own = written.inode == 0 ? in_own_directory : IsSameFile(written, now->identity);
  if (!is_own) return NotTheOne(name);
  const absl::Status removed = cursor->RemoveFile(name);
  return absl::IsNotFound(removed) ? absl::OkStatus() : removed;
}

}  // namespace

absl::Status PartFiles::Remove() {
  (void)ledger_->TakeUnsynced();  // closes what waits
  return RemoveWritten(parent_.get(), part_name_, *layout_, root_, left());
}

absl::Status PartFiles::RemoveWritten(Directory* parent, const std::string& part_name,
                                      const content::Layout& layout, const FileIdentity& root,
                                      const std::vector<FileIdentity>& written) {
  const auto there = parent->Info(part_name);
  if (absl::IsNotFound(there.status())) return absl::OkStatus();
  P2P_RETURN_IF_ERROR(there.status());
  const bool is_own = IsSameFile(root, there->identity);
  if (root.inode != 0 && !is_own) return NotTheOne(part_name);
  const bool in_own_directory = is_own && layout.is_directory();
  absl::Status first_left;
  size_t left = 0;
  DirectoryCursor cursor(parent);
  for (uint32_t i = 0; i < layout.files().size(); ++i) {
    FileIdentity known = i < written.size() ? written[i] : FileIdentity();
    if (!layout.is_directory() && known.inode == 0) known = root;
    const absl::Status removed = RemoveIfWritten(&cursor, DiskName(part_name, layout, FileIndex(i)),
                                                 known, in_own_directory);
    if (removed.ok()) continue;
    if (!absl::IsFailedPrecondition(removed)) return removed;
    if (left++ == 0) first_left = removed;
  }
  for (const std::string& directory : DiskDirectories(part_name, layout)) {
    const absl::Status removed = parent->Remove(directory, true);
    if (removed.ok() || absl::IsNotFound(removed)) continue;
    if (!absl::IsAlreadyExists(removed)) return removed;
    if (left > 0) continue;
    first_left = absl::FailedPreconditionError(absl::StrCat(
        Printable(directory), " was left: it holds files that are not of this download"));
  }
  P2P_RETURN_IF_ERROR(parent->Sync());
  if (left <= 1) return first_left;
  return absl::FailedPreconditionError(
      absl::StrCat(first_left.message(), " (and ", left - 1, " more)"));
}

}  // namespace p2p::store

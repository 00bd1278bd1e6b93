#include "daemon/store/directory_cursor.h"

#include "core/base/status.h"

namespace p2p::store {

absl::StatusOr<FileInfo> DirectoryCursor::Info(absl::string_view name) {
  P2P_ASSIGN_OR_RETURN(Directory* const holder, HolderOf(&name));
  return holder->Info(name);
}

absl::StatusOr<std::unique_ptr<File>> DirectoryCursor::OpenRead(absl::string_view name) {
  P2P_ASSIGN_OR_RETURN(Directory* const holder, HolderOf(&name));
  return holder->OpenRead(name);
}

absl::Status DirectoryCursor::RemoveFile(absl::string_view name) {
  P2P_ASSIGN_OR_RETURN(Directory* const holder, HolderOf(&name));
  return holder->Remove(name, /*is_directory=*/false);
}

absl::StatusOr<Directory*> DirectoryCursor::HolderOf(absl::string_view* name) {
  const size_t slash = name->rfind('/');
  if (slash == absl::string_view::npos) return top_;
  const absl::string_view directory = name->substr(0, slash);
  name->remove_prefix(slash + 1);
  if (held_ == nullptr || held_name_ != directory) {
    held_.reset();
    P2P_ASSIGN_OR_RETURN(held_, top_->OpenDirectory(directory));
    held_name_ = std::string(directory);
  }
  return held_.get();
}

}  // namespace p2p::store

// Goes through many names beneath a directory: the directory that holds the last one stays open
// for the next, so that names in the order of a layout cost one call each. One thread; lives
// shorter than the directory that it was made for.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "daemon/store/file_system.h"

namespace p2p::store {

// As the functions of Directory, with the same errors.
class DirectoryCursor {
 public:
  explicit DirectoryCursor(Directory* top) : top_(top) {}

  absl::StatusOr<FileInfo> Info(absl::string_view name);
  absl::StatusOr<std::unique_ptr<File>> OpenRead(absl::string_view name);
  absl::Status RemoveFile(absl::string_view name);

 private:
  // The directory that holds `name`, which is cut down to its last component.
  absl::StatusOr<Directory*> HolderOf(absl::string_view* name);

  Directory* const top_;
  std::unique_ptr<Directory> held_;
  std::string held_name_;
};

}  // namespace p2p::store

// An open regular file of the real file system. See file_system.h.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <string>

#include "daemon/store/file_system.h"
#include "daemon/store/posix_io.h"

namespace p2p::store {

// What fstat and its kin say, in the store's terms.
FileInfo InfoFromStat(const struct stat& status);

// Takes an open descriptor; FailedPrecondition when it is no regular file. `path` is for messages.
absl::StatusOr<std::unique_ptr<File>> MakeSystemFile(Descriptor fd, std::string path);

}  // namespace p2p::store

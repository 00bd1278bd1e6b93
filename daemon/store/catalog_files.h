// The files around the catalog's database: making, setting aside, and the space put by for when the
// disk is full. Called by the catalog's thread.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace p2p::store {

// Makes an empty file that only its owner may read, when there is none: SQLite would let others
// read it.
absl::Status MakePrivateFile(const std::string& path);
// Whether a file begins as databases of SQLite do, or has nothing in it.
absl::StatusOr<bool> IsEmptyOrDatabase(const std::string& path);
// Whether a database's header says that this SQLite may only read it.
bool HeaderForbidsWriting(const std::string& path);
// As ErrnoStatus, but never DataLoss, which means a damaged catalog: a disk that cannot be read now
// may be read again later.
absl::Status CatalogError(int error_number, absl::string_view what);

// Renames a database with its log to "<path>.corrupt-<time>" and returns that.
absl::StatusOr<std::string> SetAside(const std::string& path, int64_t unix_seconds);

// Puts 1 MiB by, when there is none and as far as the disk has it.
void MakeReserve(const std::string& state_dir);
// Gives it back to the disk; false when there was none.
bool ReleaseReserve(const std::string& state_dir);

}  // namespace p2p::store
